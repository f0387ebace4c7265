/*
 * gather.c - what goes to files is written in large pieces. libcurl hands out 16
 * KiB at most, valid only until its callback returns, and a file system takes as
 * long for the beginning of a write as for some of these: they are copied
 * together. No longer than a step: between steps nothing waits here, so that there
 * is one buffer an engine, and a file grows as its answer comes.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int dt_gather_write(struct dt_transfer *t, const char *data, size_t size)
{
  while(size) {
    ssize_t n = write(t->order.sink_fd, data, size);

    if(n < 0 && errno == EINTR)
      continue;
    if(n <= 0) {
      t->os_error = n ? errno : EIO;
      return DT_SINK;
    }
    data += n;
    size -= (size_t)n;
  }
  return DT_OK;
}

static int flush(struct dt_gather *g)
{
  size_t size = g->size;

  g->size = 0;
  return size ? dt_gather_write(g->whose, g->memory, size) : DT_OK;
}

void dt_gather_flush(struct dt_engine *e)
{
  struct dt_transfer *t = e->gather.whose;
  int code = t ? flush(&e->gather) : DT_OK;

  e->gather.whose = NULL;
  if(!code)
    return;
  t->code = code;
  dt_flow_work(&t->flow);
}

void dt_gather_drop(struct dt_transfer *t)
{
  struct dt_gather *g = &t->flow.engine->gather;

  if(g->whose != t)
    return;
  g->whose = NULL;
  g->size = 0;
}

/* Makes it the transfer's. 0, or -1 without memory. */
static int take(struct dt_engine *e, struct dt_transfer *t)
{
  if(!e->gather.memory)
    e->gather.memory = malloc(DT_GATHER);
  if(e->gather.whose != t)
    dt_gather_flush(e);
  e->gather.whose = t;
  return e->gather.memory ? 0 : -1;
}

int dt_gather_add(struct dt_transfer *t, const char *data, size_t size)
{
  struct dt_gather *g = &t->flow.engine->gather;
  int code = DT_OK;

  if(take(t->flow.engine, t))
    return dt_gather_write(t, data, size);
  if(size > DT_GATHER - g->size)
    code = flush(g);
  if(code)
    return code;
  if(size > DT_GATHER)
    return dt_gather_write(t, data, size);
  memcpy(g->memory + g->size, data, size);
  g->size += size;
  return DT_OK;
}

void dt_gather_free(struct dt_engine *e)
{
  free(e->gather.memory);
  e->gather.memory = NULL;
}
