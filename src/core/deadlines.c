/*
 * deadlines.c - see deadlines.h.
 */
#include "deadlines.h"

#include <stdlib.h>

static void put(struct dt_deadlines *h, size_t place, struct dt_deadline *d)
{
  h->nodes[place - 1] = d;
  d->place = place;
}

static struct dt_deadline *at(const struct dt_deadlines *h, size_t place)
{
  return h->nodes[place - 1];
}

static void move_up(struct dt_deadlines *h, struct dt_deadline *d)
{
  size_t place = d->place;

  while(place > 1 && at(h, place / 2)->when > d->when) {
    put(h, place, at(h, place / 2));
    place /= 2;
  }
  put(h, place, d);
}

static void move_down(struct dt_deadlines *h, struct dt_deadline *d)
{
  size_t place = d->place;

  for(;;) {
    size_t child = place * 2;

    if(child < h->size && at(h, child + 1)->when < at(h, child)->when)
      child++;
    if(child > h->size || at(h, child)->when >= d->when)
      break;
    put(h, place, at(h, child));
    place = child;
  }
  put(h, place, d);
}

int dt_deadlines_reserve(struct dt_deadlines *h)
{
  size_t capacity = h->capacity ? h->capacity * 2 : 16;
  struct dt_deadline **nodes;

  if(h->reserved == h->capacity) {
    nodes = realloc(h->nodes, capacity * sizeof(*nodes));
    if(!nodes)
      return -1;
    h->nodes = nodes;
    h->capacity = capacity;
  }
  h->reserved++;
  return 0;
}

void dt_deadlines_release(struct dt_deadlines *h)
{
  h->reserved--;
}

void dt_deadlines_set(struct dt_deadlines *h, struct dt_deadline *d,
                      double when)
{
  d->when = when;
  if(!d->place)
    put(h, ++h->size, d);
  move_up(h, d);
  move_down(h, d);
}

void dt_deadlines_remove(struct dt_deadlines *h, struct dt_deadline *d)
{
  struct dt_deadline *last;

  if(!d->place)
    return;
  last = at(h, h->size--);
  if(last != d) {
    put(h, d->place, last);
    move_up(h, last);
    move_down(h, last);
  }
  d->place = 0;
}

struct dt_deadline *dt_deadlines_first(const struct dt_deadlines *h)
{
  return h->size ? h->nodes[0] : NULL;
}

void dt_deadlines_free(struct dt_deadlines *h)
{
  free(h->nodes);
  h->nodes = NULL;
  h->size = h->capacity = h->reserved = 0;
}
