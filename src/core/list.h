/*
 * list.h - a circular doubly linked list whose links live in its members.
 *
 * A link that is in no list points at itself, so removing twice is harmless.
 */
#ifndef DAYTONA_LIST_H
#define DAYTONA_LIST_H

#include <stddef.h>

struct dt_link {
  struct dt_link *prev, *next;
};

/* The structure of type `type` whose member `member` is the link `l`. */
#define DT_OF(l, type, member) \
  ((type *)(void *)((char *)(l) - offsetof(type, member)))

static inline void dt_link_init(struct dt_link *l)
{
  l->prev = l->next = l;
}

/* Of a list's head: nothing in it. Of a member: in no list. */
static inline int dt_link_alone(const struct dt_link *l)
{
  return l->next == l;
}

static inline void dt_link_remove(struct dt_link *l)
{
  l->prev->next = l->next;
  l->next->prev = l->prev;
  dt_link_init(l);
}

/* Appends to the list; the link must be in none. */
static inline void dt_link_append(struct dt_link *list, struct dt_link *l)
{
  l->prev = list->prev;
  l->next = list;
  list->prev->next = l;
  list->prev = l;
}

/* Appends unless the link is in a list already. */
static inline void dt_link_ensure(struct dt_link *list, struct dt_link *l)
{
  if(dt_link_alone(l))
    dt_link_append(list, l);
}

#endif
