/*
 * origin.c - the queue of each origin, scheme://host:port.
 *
 * libcurl walks all transfers that wait for a connection whenever one becomes
 * free, so it never gets more of them than there are connections.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ORIGINS_MAX 256 /* idle ones are forgotten beyond this */

int dt_origin_parse(const char *url, struct dt_span *out)
{
  const char *end;
  size_t i;

  if(!strncasecmp(url, "http://", 7))
    out->tls = 0;
  else if(!strncasecmp(url, "https://", 8))
    out->tls = 1;
  else
    return 0;
  out->host = url + 7 + out->tls;
  end = out->host + strcspn(out->host, "/?#");
  for(i = (size_t)(end - out->host); i > 0; i--) {
    if(out->host[i - 1] == '@') {
      out->host += i;
      break;
    }
  }
  out->size = (size_t)(end - out->host);
  return out->size > 0 && out->host[0] != ':';
}

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* A port stands after the last colon, unless that is part of an IPv6 address
   in brackets. */
static int has_port(const struct dt_span *s)
{
  size_t i;

  for(i = s->size; i > 0 && s->host[i - 1] != ']'; i--) {
    if(s->host[i - 1] == ':')
      return 1;
  }
  return 0;
}

static const char *default_port(const struct dt_span *s)
{
  if(has_port(s))
    return "";
  return s->tls ? ":443" : ":80";
}

static size_t hash(const struct dt_span *s)
{
  size_t h = 5381u + (unsigned)s->tls;
  size_t i;

  for(i = 0; i < s->size; i++)
    h = h * 33 + (unsigned char)lower(s->host[i]);
  return h % DT_ORIGINS;
}

/* "example.com" and "example.com:80" may stand in two buckets; that is only a
   matter of a second queue, and nobody writes both. */
static int is_it(const struct dt_origin *o, const struct dt_span *s)
{
  size_t scheme = s->tls ? 8 : 7;

  return o->size >= scheme + s->size &&
         !strncmp(o->name, s->tls ? "https://" : "http://", scheme) &&
         !strncasecmp(o->name + scheme, s->host, s->size) &&
         !strcmp(o->name + scheme + s->size, default_port(s));
}

static struct dt_origin *origin_new(const struct dt_span *s)
{
  const char *scheme = s->tls ? "https://" : "http://";
  const char *port = default_port(s);
  size_t size = strlen(scheme) + s->size + strlen(port);
  struct dt_origin *o = calloc(1, sizeof(*o) + size + 1);
  char *at;
  size_t i;

  if(!o)
    return NULL;
  o->size = size;
  o->tls = s->tls;
  strcpy(o->name, scheme);
  at = o->name + strlen(scheme);
  for(i = 0; i < s->size; i++)
    *at++ = lower(s->host[i]);
  strcpy(at, port);
  dt_link_init(&o->ready);
  dt_link_init(&o->queue);
  dt_link_init(&o->wires);
  return o;
}

/* Drops the origins of a bucket, the idle ones or all. */
static void sweep(struct dt_engine *e, struct dt_origin **at, int all)
{
  while(*at) {
    struct dt_origin *o = *at;

    if(all || (!o->queued && !o->running)) {
      *at = o->next;
      dt_wires_free(e, o);
      free(o);
      e->norigins--;
    } else
      at = &o->next;
  }
}

static void sweep_table(struct dt_engine *e, int all)
{
  size_t i;

  for(i = 0; i < DT_ORIGINS; i++)
    sweep(e, &e->origins[i], all);
}

void dt_origins_free(struct dt_engine *e)
{
  sweep_table(e, 1);
}

struct dt_origin *dt_origin_get(struct dt_engine *e, const struct dt_span *s)
{
  struct dt_origin **bucket = &e->origins[hash(s)];
  struct dt_origin *o;

  for(o = *bucket; o; o = o->next) {
    if(is_it(o, s))
      return o;
  }
  if(e->norigins >= ORIGINS_MAX)
    sweep_table(e, 0);
  o = origin_new(s);
  if(o) {
    o->next = *bucket;
    *bucket = o;
    e->norigins++;
  }
  return o;
}

/* Where one connection carries many, libcurl would open a further one for each that
   finds no room: those that the next connection has room for wait until it is there. */
static int must_wait(const struct dt_engine *e, const struct dt_origin *o)
{
  return o->running >= e->max_connections ||
         (o->tls && !o->http1 && o->unsent && o->running >= DT_STREAMS);
}

static void update_ready(struct dt_engine *e, struct dt_origin *o)
{
  if(o->queued && !must_wait(e, o))
    dt_link_ensure(&e->ready, &o->ready);
  else
    dt_link_remove(&o->ready);
}

void dt_origin_enqueue(struct dt_engine *e, struct dt_transfer *t)
{
  dt_link_append(&t->origin->queue, &t->place);
  t->origin->queued++;
  e->stats.queued++;
  update_ready(e, t->origin);
}

static void dequeue(struct dt_engine *e, struct dt_transfer *t)
{
  dt_link_remove(&t->place);
  t->origin->queued--;
  e->stats.queued--;
}

struct dt_flow *dt_origin_next(struct dt_engine *e)
{
  struct dt_origin *o;
  struct dt_transfer *t;

  if(dt_link_alone(&e->ready))
    return NULL;
  o = DT_OF(e->ready.next, struct dt_origin, ready);
  t = DT_OF(o->queue.next, struct dt_transfer, place);
  dequeue(e, t);
  t->state = DT_RUNNING;
  o->running++;
  o->unsent++;
  e->stats.running++;
  dt_link_remove(&o->ready); /* the others first */
  update_ready(e, o);
  return &t->flow;
}

void dt_origin_run(struct dt_engine *e, struct dt_transfer *t)
{
  t->state = DT_RUNNING;
  t->placed = 1;
  t->origin->running++;
  e->stats.running++;
  update_ready(e, t->origin);
}

void dt_origin_requeue(struct dt_engine *e, struct dt_transfer *t)
{
  t->state = DT_QUEUED;
  t->placed = 0;
  t->origin->running--;
  e->stats.running--;
  dt_origin_enqueue(e, t);
}

void dt_origin_placed(struct dt_transfer *t)
{
  if(t->placed || !t->origin)
    return;
  t->placed = 1;
  t->origin->unsent--;
  update_ready(t->flow.engine, t->origin);
}

void dt_origin_leave(struct dt_engine *e, struct dt_transfer *t)
{
  struct dt_origin *o = t->origin;

  if(t->state == DT_QUEUED)
    dequeue(e, t);
  else {
    o->running--;
    o->unsent -= !t->placed;
    e->stats.running--;
  }
  t->origin = NULL;
  update_ready(e, o);
}
