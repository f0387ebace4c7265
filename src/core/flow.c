/*
 * flow.c - see flow.h.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <stdlib.h>
#include <string.h>

static uint64_t new_id(void)
{
  static uint64_t last;

  return __sync_add_and_fetch(&last, 1);
}

void dt_flow_init(struct dt_flow *f, const struct dt_flow_type *type)
{
  f->type = type;
  f->id = new_id();
  dt_link_init(&f->all);
  dt_link_init(&f->work);
  dt_link_init(&f->event);
}

void dt_flow_join(struct dt_flow *f, struct dt_engine *e)
{
  f->engine = e;
  dt_link_append(&e->flows, &f->all);
  e->stats.started++;
}

void dt_flow_leave(struct dt_flow *f)
{
  struct dt_engine *e = f->engine;

  if(!e)
    return;
  dt_deadlines_remove(&e->deadlines, &f->due);
  dt_deadlines_release(&e->deadlines);
  dt_link_remove(&f->all);
  dt_link_remove(&f->work);
  dt_link_remove(&f->event);
  f->engine = NULL;
}

void dt_flow_post(struct dt_flow *f, unsigned what)
{
  f->events |= what;
  dt_link_ensure(&f->engine->events, &f->event);
}

void dt_flow_work(struct dt_flow *f)
{
  dt_link_ensure(&f->engine->work, &f->work);
}

void dt_flow_touch(struct dt_flow *f)
{
  f->engine->activity++;
  f->last_activity = f->engine->now;
}

void dt_flow_set_deadline(struct dt_flow *f, double when)
{
  if(when > 0)
    dt_deadlines_set(&f->engine->deadlines, &f->due, when);
  else
    dt_deadlines_remove(&f->engine->deadlines, &f->due);
}

/* Makes room for the descriptor in the engine's table. 0 or -1. */
static int table_reserve(struct dt_engine *e, int fd)
{
  int room = e->watchers_room ? e->watchers_room : 64;
  struct dt_flow **table;

  if(fd < e->watchers_room)
    return 0;
  while(room <= fd)
    room *= 2;
  table = realloc(e->watchers, (size_t)room * sizeof(*table));
  if(!table)
    return -1;
  memset(table + e->watchers_room, 0,
         (size_t)(room - e->watchers_room) * sizeof(*table));
  e->watchers = table;
  e->watchers_room = room;
  return 0;
}

int dt_flow_watch(struct dt_flow *f, int fd)
{
  if(table_reserve(f->engine, fd))
    return -1;
  f->engine->watchers[fd] = f;
  return 0;
}

void dt_flow_unwatch(struct dt_flow *f, int fd)
{
  struct dt_engine *e = f->engine;

  if(fd < e->watchers_room)
    e->watchers[fd] = NULL;
  if(!dt_engine_is_ours(e))
    return;
  dt_engine_forget_ready(e, fd);
  (void)dt_pollset_set(e->pollset, fd, 0);
}
