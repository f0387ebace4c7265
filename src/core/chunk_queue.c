/*
 * chunk_queue.c - see chunk_queue.h.
 *
 * Small appends share a chunk; the size of a new one follows what is appended,
 * so that a slow trickle of lines does not cost a big block each.
 */
#include "chunk_queue.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_SMALL 4096
#define CHUNK_LARGE 65536
#define SPARES_MAX  16

char *dt_chunk_data(struct dt_chunk *c)
{
  return (char *)(c + 1) + c->from;
}

static struct dt_chunk *spare_or_new(struct dt_chunk_queue *q, size_t capacity)
{
  struct dt_chunk *c = q->spare;

  if(!c || capacity != CHUNK_LARGE)
    return malloc(sizeof(*c) + capacity);
  q->spare = c->next;
  q->spares--;
  return c;
}

static struct dt_chunk *chunk_new(struct dt_chunk_queue *q, size_t size)
{
  size_t capacity = size < CHUNK_SMALL ? CHUNK_SMALL : CHUNK_LARGE;
  struct dt_chunk *c;

  if(capacity < size)
    capacity = size;
  c = spare_or_new(q, capacity);
  if(!c)
    return NULL;
  c->next = NULL;
  c->from = c->to = 0;
  c->capacity = capacity;
  return c;
}

/* Adds to a chunk that has room for it. */
static void chunk_fill(struct dt_chunk *c, const char *data, size_t size)
{
  memcpy((char *)(c + 1) + c->to, data, size);
  c->to += size;
}

int dt_chunk_queue_append(struct dt_chunk_queue *q, const char *data,
                          size_t size)
{
  size_t room = q->tail ? q->tail->capacity - q->tail->to : 0;
  struct dt_chunk *c;

  if(!size)
    return 0;
  if(size > room) {
    c = chunk_new(q, size - room);
    if(!c)
      return -1;
    chunk_fill(c, data + room, size - room);
    if(room)
      chunk_fill(q->tail, data, room);
    if(q->tail)
      q->tail->next = c;
    else
      q->head = c;
    q->tail = c;
  } else
    chunk_fill(q->tail, data, size);
  q->size += size;
  return 0;
}

struct dt_chunk *dt_chunk_queue_take(struct dt_chunk_queue *q)
{
  struct dt_chunk *c = q->head;

  if(c) {
    q->head = c->next;
    if(!q->head)
      q->tail = NULL;
    q->size -= c->to - c->from;
    c->next = NULL;
  }
  return c;
}

void dt_chunk_queue_give_back(struct dt_chunk_queue *q, struct dt_chunk *c)
{
  if(!c || c->capacity != CHUNK_LARGE || q->spares == SPARES_MAX) {
    free(c);
    return;
  }
  c->next = q->spare;
  q->spare = c;
  q->spares++;
}

size_t dt_chunk_queue_read(struct dt_chunk_queue *q, char *data, size_t size)
{
  size_t done = 0;

  while(done < size && q->head) {
    struct dt_chunk *c = q->head;
    size_t n = c->to - c->from;

    if(n > size - done)
      n = size - done;
    memcpy(data + done, dt_chunk_data(c), n);
    c->from += n;
    q->size -= n;
    done += n;
    if(c->from == c->to)
      free(dt_chunk_queue_take(q));
  }
  return done;
}

void dt_chunk_queue_clear(struct dt_chunk_queue *q)
{
  struct dt_chunk *c = dt_chunk_queue_take(q);

  while(c) {
    free(c);
    c = dt_chunk_queue_take(q);
  }
  while(q->spare) {
    c = q->spare;
    q->spare = c->next;
    free(c);
  }
  q->spares = 0;
}
