/*
 * deadlines.h - a binary heap of moments. The heap knows only the nodes, which
 * are members of what they belong to.
 */
#ifndef DAYTONA_DEADLINES_H
#define DAYTONA_DEADLINES_H

#include <stddef.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

struct dt_deadline {
  double when;
  size_t place; /* 1-based index in the heap; 0: not in it */
};

/* All zero is an empty heap. */
struct dt_deadlines {
  struct dt_deadline **nodes;
  size_t size, capacity;
  size_t reserved; /* places promised to nodes, whether they are in or not */
};

/* Keeps room for one more node, so that setting it cannot fail, until it is
   released. 0 or -1. */
int dt_deadlines_reserve(struct dt_deadlines *h);
void dt_deadlines_release(struct dt_deadlines *h);

/* Adds the node or moves it. Room for it must have been reserved. */
void dt_deadlines_set(struct dt_deadlines *h, struct dt_deadline *d,
                      double when);

/* Takes the node out; harmless when it is not in. */
void dt_deadlines_remove(struct dt_deadlines *h, struct dt_deadline *d);

/* The nearest, or NULL. */
struct dt_deadline *dt_deadlines_first(const struct dt_deadlines *h);

void dt_deadlines_free(struct dt_deadlines *h);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
