/*
 * chunk_queue.h - a queue of bytes kept in chunks, so that taking them never
 * moves them. Knows nothing of transfers.
 */
#ifndef DAYTONA_CHUNK_QUEUE_H
#define DAYTONA_CHUNK_QUEUE_H

#include <stddef.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

struct dt_chunk {
  struct dt_chunk *next;
  size_t from, to; /* the bytes in use */
  size_t capacity;
};

/* All zero is an empty queue. */
struct dt_chunk_queue {
  struct dt_chunk *head, *tail;
  size_t size; /* bytes in all chunks */
  struct dt_chunk *spare; /* what was given back, for those to come */
  size_t spares;
};

/* The first byte in use. */
char *dt_chunk_data(struct dt_chunk *c);

/* Copies the bytes to the end. 0, or -1 without memory: nothing was added. */
int dt_chunk_queue_append(struct dt_chunk_queue *q, const char *data,
                          size_t size);

/* Moves up to `size` bytes from the front into `data`; returns how many. */
size_t dt_chunk_queue_read(struct dt_chunk_queue *q, char *data, size_t size);

/* Detaches the first chunk, which the caller then frees, or gives back; NULL when
   empty. */
struct dt_chunk *dt_chunk_queue_take(struct dt_chunk_queue *q);

/* Keeps a few large ones: to ask the system for memory, chunk by chunk, takes
   longer than to fill it. NULL is fine. */
void dt_chunk_queue_give_back(struct dt_chunk_queue *q, struct dt_chunk *c);

void dt_chunk_queue_clear(struct dt_chunk_queue *q);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
