/*
 * order.c - checks a request and copies it into a transfer, in one piece with it;
 * where the one before was alike, into that one's memory. Of libcurl it knows the
 * form of a header list only.
 */
#define _GNU_SOURCE
#include "engine.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* --- checking ------------------------------------------------------------------ */

/* Printable ASCII without space. */
static int is_url(const char *s)
{
  for(; *s; s++) {
    if(*s <= ' ' || *s >= 0x7f)
      return 0;
  }
  return 1;
}

static int is_time(double seconds)
{
  return seconds >= 0 && seconds <= 1e9; /* and not NaN */
}

static const char *check_source(enum dt_body_kind kind, const char *data,
                                size_t size, int fd)
{
  if(kind == DT_BODY_MEMORY && size && !data)
    return "body";
  if(kind == DT_BODY_FD && fd < 0)
    return "body descriptor";
  return NULL;
}

static const char *check_part(const struct dt_part *p)
{
  if(!p->name)
    return "part name";
  if(!dt_text_is_clean(p->name))
    return "part name";
  if(!dt_text_is_clean(p->filename))
    return "part file name";
  if(!dt_text_is_clean(p->type))
    return "part type";
  if(p->kind != DT_BODY_MEMORY && p->kind != DT_BODY_FD &&
     p->kind != DT_BODY_QUEUE)
    return "part kind";
  return check_source(p->kind, p->data, p->size, p->fd);
}

static const char *check_body(const struct dt_request *r)
{
  const char *bad;
  size_t i, queues = 0;

  if(r->body != DT_BODY_MULTIPART)
    return check_source(r->body, r->data, r->size, r->fd);
  if(!r->nparts || !r->parts)
    return "parts";
  for(i = 0; i < r->nparts; i++) {
    bad = check_part(&r->parts[i]);
    if(bad)
      return bad;
    queues += r->parts[i].kind == DT_BODY_QUEUE;
  }
  return queues > 1 ? "parts" : NULL;
}

static const char *check_signature(const struct dt_request *r)
{
  if(!r->sigv4)
    return NULL;
  if(!r->user || !r->password || !dt_text_is_clean(r->user) ||
     strchr(r->user, ':') || !dt_text_is_clean(r->password))
    return "credentials";
  return dt_text_is_clean(r->sigv4) ? NULL : "signature";
}

/* What is wrong with the request's texts; NULL: nothing. */
static const char *check_texts(const struct dt_request *r,
                               struct dt_span *origin)
{
  const char *const *line;

  if(r->method && !dt_text_is_token(r->method, strlen(r->method)))
    return "method";
  if(!r->url || !is_url(r->url) || !dt_origin_parse(r->url, origin) ||
     origin->host[-1] == '@') /* would become credentials in a header */
    return "URL";
  for(line = r->headers; line && *line; line++) {
    if(!dt_text_is_header(*line))
      return "header";
  }
  return check_signature(r);
}

/* What is wrong with the rest of it. */
static const char *check_rest(const struct dt_request *r)
{
  if(!is_time(r->connect_timeout) || !is_time(r->timeout) ||
     !is_time(r->idle_timeout))
    return "timeout";
  if(r->sink == DT_SINK_FD && r->sink_fd < 0)
    return "sink descriptor";
  return check_body(r);
}

/* --- copying ------------------------------------------------------------------- */

/* Lays things out one after the other; without a base it only counts. */
struct packer {
  char *base;
  size_t used;
};

static void *pack(struct packer *p, const void *data, size_t size, size_t align)
{
  void *at;

  p->used = (p->used + align - 1) / align * align;
  at = p->base ? p->base + p->used : NULL;
  if(at && data && size)
    memcpy(at, data, size);
  p->used += size;
  return at;
}

static char *pack_text(struct packer *p, const char *s)
{
  return s ? pack(p, s, strlen(s) + 1, 1) : NULL;
}

/* libcurl takes "Name:" as "do not send it" and "Name;" as "send it empty". */
static char *pack_header(struct packer *p, const char *line)
{
  char *text;

  if(!dt_text_is_empty_header(line))
    return pack_text(p, line);
  text = pack(p, line, dt_text_name_length(line) + 2, 1);
  if(text)
    strcpy(text + dt_text_name_length(line), ";");
  return text;
}

/* The list of header nodes under construction. */
struct node_list {
  struct curl_slist *first, *last;
};

static void add_node(struct packer *p, struct node_list *list, char *line)
{
  struct curl_slist *node =
    pack(p, NULL, sizeof(*node), sizeof(void *));

  if(!node)
    return;
  node->data = line;
  node->next = NULL;
  if(list->last)
    list->last->next = node;
  else
    list->first = node;
  list->last = node;
}

static size_t count_lines(const char *const *lines)
{
  size_t n = 0;

  while(lines && lines[n])
    n++;
  return n;
}

static int names(const char *const *lines, const char *line)
{
  for(; lines && *lines; lines++) {
    if(dt_text_same_name(*lines, line))
      return 1;
  }
  return 0;
}

static int overrides(const struct dt_request *r, const struct dt_profile *p)
{
  const struct curl_slist *l;

  for(l = r->headers && r->headers[0] ? p->headers : NULL; l; l = l->next) {
    if(names(r->headers, l->data))
      return 1;
  }
  return 0;
}

/* libcurl makes posted bodies "application/x-www-form-urlencoded" unless told
   otherwise; here a body has the type that it was given, or none. */
static int wants_no_type(const struct dt_request *r, const struct dt_profile *p)
{
  return r->body != DT_BODY_MULTIPART && !p->has_type &&
         !names(r->headers, "Content-Type:");
}

/* Lines that only keep a header of libcurl's out. Where it signs, it would sign
   them. */
static int may_exclude(const struct dt_request *r)
{
  return !r->sigv4;
}

/* Where libcurl would ask for leave with "Expect: 100-continue" (from 1 MiB on)
   and wait for it. */
static int is_large(const struct dt_request *r)
{
  if(r->body == DT_BODY_MEMORY)
    return r->size > DT_FIELDS_MAX;
  return r->body != DT_BODY_NONE;
}

/* What is signed is sent as it was signed, and a part of a packed body is none of the
   body. */
static int may_be_packed(const struct dt_request *r, const struct dt_profile *p)
{
  return p->packed && r->sink == DT_SINK_MEMORY && !r->sigv4 &&
         !names(r->headers, "Accept-Encoding:") && !names(r->headers, "Range:");
}

/* The request's headers, then the profile's: the profile's own list where none
   is overridden, else nodes for those that are left. */
static struct curl_slist *pack_headers(struct packer *p,
                                       const struct dt_request *r,
                                       struct dt_profile *profile)
{
  struct node_list list = { NULL, NULL };
  const char *const *line;
  struct curl_slist *all, *l;

  for(line = r->headers; line && *line; line++)
    add_node(p, &list, pack_header(p, *line));
  if(may_exclude(r) && wants_no_type(r, profile))
    add_node(p, &list, pack_text(p, "Content-Type:"));
  if(may_exclude(r) && is_large(r) && !names(r->headers, "Expect:"))
    add_node(p, &list, pack_text(p, "Expect:"));
  all = may_be_packed(r, profile) ? &profile->packed_headers
                                  : profile->headers;
  if(overrides(r, profile)) {
    for(l = all; l; l = l->next) {
      if(!names(r->headers, l->data))
        add_node(p, &list, l->data);
    }
  } else if(list.last)
    list.last->next = all;
  else
    list.first = all;
  return list.first;
}

static void source_init(struct packer *p, struct dt_source *s,
                        enum dt_body_kind kind, const char *data, size_t size,
                        int fd, int64_t length)
{
  const char *copy =
    kind == DT_BODY_MEMORY ? pack(p, data, size, 1) : NULL;

  if(!s)
    return;
  memset(s, 0, sizeof(*s));
  s->kind = kind;
  s->data = copy;
  s->fd = fd;
  s->length = kind == DT_BODY_MEMORY ? (int64_t)size : length;
  s->start = kind == DT_BODY_FD ? lseek(fd, 0, SEEK_CUR) : -1;
}

static void pack_parts(struct packer *p, struct dt_order *o,
                       const struct dt_request *r)
{
  size_t i;

  o->nparts = r->nparts;
  o->parts = pack(p, NULL, r->nparts * sizeof(*o->parts), sizeof(void *));
  o->sources =
    pack(p, NULL, r->nparts * sizeof(*o->sources), sizeof(int64_t));
  for(i = 0; i < r->nparts; i++) {
    const struct dt_part *part = &r->parts[i];
    struct dt_part_head head;

    head.name = pack_text(p, part->name);
    head.filename = pack_text(p, part->filename);
    head.type = pack_text(p, part->type);
    if(o->parts)
      o->parts[i] = head;
    source_init(p, o->sources ? &o->sources[i] : NULL, part->kind, part->data,
                part->size, part->fd, part->length);
  }
}

static void pack_body(struct packer *p, struct dt_order *o,
                      const struct dt_request *r)
{
  if(r->body == DT_BODY_MULTIPART)
    pack_parts(p, o, r);
  else if(r->body != DT_BODY_NONE) {
    o->sources = pack(p, NULL, sizeof(*o->sources), sizeof(int64_t));
    source_init(p, o->sources, r->body, r->data, r->size, r->fd, r->length);
  }
}

static int is_repeatable(const char *method)
{
  static const char *const known[] = { "GET",    "HEAD",    "PUT",
                                       "DELETE", "OPTIONS", "TRACE" };
  size_t i;

  for(i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if(!strcmp(method, known[i]))
      return 1;
  }
  return 0;
}

static void take_limits(struct dt_order *o, const struct dt_request *r)
{
  o->sink = r->sink;
  o->sink_fd = r->sink_fd;
  o->progress = r->progress;
  o->timing = r->timing;
  o->max_bytes = r->max_bytes;
  o->connect_timeout = r->connect_timeout;
  o->timeout = r->timeout;
  o->idle_timeout = r->idle_timeout;
}

static void pack_order(struct packer *p, struct dt_order *o,
                       const struct dt_request *r, struct dt_profile *profile)
{
  const char *method = r->method ? r->method : "GET";

  memset(o, 0, sizeof(*o));
  o->method = pack_text(p, method);
  o->url = pack_text(p, r->url);
  o->headers = pack_headers(p, r, profile);
  o->nlines = count_lines(r->headers);
  o->body = r->body;
  pack_body(p, o, r);
  o->sigv4 = pack_text(p, r->sigv4);
  o->user = pack_text(p, r->sigv4 ? r->user : NULL);
  o->password = pack_text(p, r->sigv4 ? r->password : NULL);
  o->head = !strcmp(method, "HEAD");
  o->packed = may_be_packed(r, profile);
  o->as_it_comes = names(r->headers, "Accept-Encoding:");
  o->repeatable = is_repeatable(method);
  take_limits(o, r);
}

size_t dt_order_sources(const struct dt_order *o)
{
  return o->body == DT_BODY_MULTIPART ? o->nparts : o->sources != NULL;
}

static void own_sources(struct dt_transfer *t)
{
  size_t i, n = dt_order_sources(&t->order);

  for(i = 0; i < n; i++)
    t->order.sources[i].transfer = t;
}

/* --- transfers to fill again ---------------------------------------------------- */

/* Zeroes a spare transfer but for its order, the profile, its carriage, and the
   memory of its answer. */
static void renew(struct dt_transfer *t)
{
  size_t size = t->size, header_room = t->header_room;
  size_t memory_room = t->memory_room;
  struct dt_profile *profile = t->profile;
  struct dt_order order = t->order;
  char *header_block = t->header_block, *memory = t->memory;
  struct dt_carriage *carriage = t->carriage;

  memset(t, 0, offsetof(struct dt_transfer, message) + 1);
  t->size = size;
  t->profile = profile;
  t->order = order;
  t->carriage = carriage;
  t->header_block = header_block;
  t->header_room = header_room;
  t->memory = memory;
  t->memory_room = memory_room;
}

/* The spare transfer used last, NULL when there is none. */
static struct dt_transfer *take_spare(struct dt_engine *e)
{
  struct dt_transfer *t = e->spare;

  if(!t)
    return NULL;
  e->spare = t->next_spare;
  e->nspare--;
  renew(t);
  return t;
}

/* A transfer with `size` bytes in all and nothing but that in it. NULL without
   memory. */
static struct dt_transfer *transfer_new(struct dt_engine *e, size_t size)
{
  struct dt_transfer *t = size <= DT_SPARE_SIZE ? take_spare(e) : NULL;

  if(size < DT_SPARE_SIZE)
    size = DT_SPARE_SIZE;
  if(t) {
    dt_profile_free(t->profile);
    t->profile = NULL;
    return t;
  }
  t = malloc(size);
  if(!t)
    return NULL;
  memset(t, 0, sizeof(*t));
  t->size = size;
  return t;
}

void dt_orders_free(struct dt_engine *e)
{
  while(e->spare) {
    struct dt_transfer *t = e->spare;

    e->spare = t->next_spare;
    dt_transfer_delete(t);
  }
}

/* Memory checkers want to see each transfer freed. */
static int may_keep(const struct dt_engine *e, const struct dt_transfer *t)
{
#if defined(__SANITIZE_ADDRESS__)
  (void)e;
  (void)t;
  return 0;
#else
  return e && e->nspare < DT_POOLED && t->size == DT_SPARE_SIZE &&
         t->memory_room <= DT_SPARE_ROOM && t->header_room <= DT_SPARE_ROOM &&
         dt_carriage_room(t->carriage) <= DT_SPARE_ROOM;
#endif
}

void dt_order_recycle(struct dt_engine *e, struct dt_transfer *t)
{
  if(may_keep(e, t)) {
    t->next_spare = e->spare;
    e->spare = t;
    e->nspare++;
  } else
    dt_transfer_delete(t);
}

/* --- a transfer for a request -------------------------------------------------- */

/* Whether these are the lines that the order's own nodes were made of. */
static int same_lines(const struct dt_order *o, const char *const *lines)
{
  const struct curl_slist *l = o->headers;
  size_t i;

  if(o->nlines != count_lines(lines))
    return 0;
  for(i = 0; i < o->nlines; i++, l = l->next) {
    if(strcmp(l->data, lines[i]))
      return 0;
  }
  return 1;
}

/* Whether the order is for this request, but for its body and limits, and has
   room for the body. A program's requests are mostly like the one before. */
static int is_like(const struct dt_transfer *t, const struct dt_request *r,
                   const struct dt_profile *profile)
{
  const struct dt_order *o = &t->order;

  return r->body == DT_BODY_MEMORY && o->body == DT_BODY_MEMORY &&
         profile == t->profile && r->method && r->url && !r->sigv4 && !o->sigv4 &&
         r->sink == o->sink &&
         (size_t)(o->sources->data - (const char *)t) + r->size <= t->size &&
         !strcmp(o->url, r->url) && !strcmp(o->method, r->method) &&
         same_lines(o, r->headers);
}

/* A spare transfer with the request's body in the place of its old one. */
static struct dt_transfer *reuse(struct dt_engine *e,
                                 const struct dt_request *r)
{
  struct dt_transfer *t = take_spare(e);
  struct dt_source *s = t->order.sources;
  char *data = (char *)t + (s->data - (const char *)t);

  if(r->size)
    memcpy(data, r->data, r->size);
  s->length = (int64_t)r->size;
  s->done = 0;
  take_limits(&t->order, r);
  return t;
}

/* A transfer for a request whose texts were not seen before. */
static int copy(struct dt_engine *e, const struct dt_request *r,
                struct dt_profile *profile, struct dt_transfer **out,
                const char **what)
{
  struct packer p = { NULL, 0 };
  struct dt_order order;
  struct dt_span origin;
  struct dt_transfer *t;

  *what = check_texts(r, &origin);
  if(*what)
    return DT_BAD_ARGUMENT;
  p.used = sizeof(*t);
  pack_order(&p, &order, r, profile);
  t = transfer_new(e, p.used);
  if(!t)
    return DT_NOMEM;
  p.base = (char *)t;
  p.used = sizeof(*t);
  pack_order(&p, &t->order, r, profile);
  t->order.origin = origin;
  t->order.origin.host = t->order.url + (origin.host - r->url);
  own_sources(t);
  t->profile = dt_profile_ref(profile);
  *out = t;
  return DT_OK;
}

int dt_order_new(struct dt_engine *e, const struct dt_request *r,
                    struct dt_profile *profile, struct dt_transfer **out,
                    const char **what)
{
  *what = check_rest(r);
  if(*what)
    return DT_BAD_ARGUMENT;
  if(!e->spare || !is_like(e->spare, r, profile))
    return copy(e, r, profile, out, what);
  *out = reuse(e, r);
  return DT_OK;
}
