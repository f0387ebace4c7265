/*
 * carry.c - see carry.h: a request as bytes, and bytes as its answer. What the answer
 * means is sink.c's.
 */
#define _GNU_SOURCE
#include "carry.h"
#include "chunked.h"
#include "engine.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state {
  HEAD,
  COUNTED, /* a body as long as was announced */
  CHUNKED,
  TO_END   /* a body that ends with the connection */
};

struct dt_carriage {
  enum state state;
  int keep;        /* the peer keeps the connection */
  int old;         /* HTTP/1.0 */
  uint64_t left;   /* COUNTED */
  struct dt_chunked chunked;
  char *text;      /* the request; then what came of a line of the head */
  size_t size, room;
};

size_t dt_carriage_room(const struct dt_carriage *c)
{
  return c ? c->room : 0;
}

void dt_carriage_free(struct dt_carriage *c)
{
  if(c)
    free(c->text);
  free(c);
}

/* --- which can be carried ------------------------------------------------------- */

int dt_carry_can(const struct dt_transfer *t)
{
  const struct dt_order *o = &t->order;
  const struct dt_profile *p = t->profile;

  if(o->body != DT_BODY_NONE && o->body != DT_BODY_MEMORY)
    return 0;
  if(o->sink != DT_SINK_MEMORY || o->progress || o->timing || o->sigv4 ||
     p->proxied)
    return 0;
  return !o->origin.tls || !(p->insecure || p->ca_file || p->ca_path ||
                             p->client_cert || p->client_key);
}

/* Gives it a carriage, empty. */
int dt_carry_ready(struct dt_transfer *t)
{
  struct dt_carriage *c = t->carriage;

  if(!c)
    c = t->carriage = calloc(1, sizeof(*c));
  if(!c)
    return -1;
  c->state = HEAD;
  c->keep = c->old = 0;
  c->size = 0;
  memset(&c->chunked, 0, sizeof(c->chunked));
  t->carried = 1;
  return 0;
}

int dt_carry_start(struct dt_engine *e, const struct dt_request *r,
                   struct dt_transfer **out, const char **what)
{
  int code = dt_transfer_new(e, r, out, what);

  if(code)
    return code;
  if(!dt_carry_can(*out) || dt_carry_ready(*out)) {
    dt_transfer_enqueue(e, *out, r);
    return DT_OK;
  }
  dt_origin_run(e, *out);
  dt_transfer_set_deadline(*out);
  return DT_OK;
}

int dt_carry_wants(const struct dt_transfer *t)
{
  return t->carried && t->state == DT_RUNNING && t->flow.engine &&
         dt_engine_is_ours(t->flow.engine);
}

const char *dt_carry_origin(const struct dt_transfer *t)
{
  return t->origin ? t->origin->name : "";
}

double dt_carry_patience(const struct dt_transfer *t)
{
  return t->order.connect_timeout;
}

/* --- the request ------------------------------------------------------------------ */

/* Adds bytes to the carriage's text. 0 or -1. */
static int put(struct dt_carriage *c, const char *s, size_t size)
{
  size_t room = c->room ? c->room : 1024;
  char *text;

  while(room < c->size + size)
    room *= 2;
  if(room > c->room) {
    text = realloc(c->text, room);
    if(!text)
      return -1;
    c->text = text;
    c->room = room;
  }
  memcpy(c->text + c->size, s, size);
  c->size += size;
  return 0;
}

static int put_text(struct dt_carriage *c, const char *s)
{
  return put(c, s, strlen(s));
}

/* Path and query, as they stand in the URL. */
static int put_target(struct dt_carriage *c, const struct dt_order *o)
{
  const char *path = o->origin.host + o->origin.size;

  if(*path != '/' && put(c, "/", 1))
    return -1;
  return put(c, path, strcspn(path, "#"));
}

/* Without the port that goes without saying. */
static int put_host(struct dt_carriage *c, const struct dt_span *s)
{
  const char *port = s->tls ? ":443" : ":80";
  size_t size = s->size, n = strlen(port);

  if(size > n && !memcmp(s->host + size - n, port, n))
    size -= n;
  return put_text(c, "Host: ") || put(c, s->host, size) ||
         put(c, "\r\n", 2) ? -1 : 0;
}

/* libcurl's forms: "Name:" is a header not to be sent, "Name;" an empty one. */
static int put_line(struct dt_carriage *c, const char *line)
{
  size_t size = strlen(line);

  if(line[dt_text_name_length(line)] == ';')
    return put(c, line, size - 1) || put(c, ":\r\n", 3) ? -1 : 0;
  if(dt_text_is_empty_header(line))
    return 0;
  return put(c, line, size) || put(c, "\r\n", 2) ? -1 : 0;
}

static int has_line(const struct dt_order *o, const char *name)
{
  const struct curl_slist *l;

  for(l = o->headers; l; l = l->next) {
    if(dt_text_same_name(l->data, name))
      return 1;
  }
  return 0;
}

static int put_lines(struct dt_carriage *c, const struct dt_transfer *t)
{
  const struct curl_slist *l;

  for(l = t->order.headers; l; l = l->next) {
    if(put_line(c, l->data))
      return -1;
  }
  if(!has_line(&t->order, "Accept:") && put_text(c, "Accept: */*\r\n"))
    return -1;
  if(!t->profile->user_agent || has_line(&t->order, "User-Agent:"))
    return 0;
  return put_text(c, "User-Agent: ") || put_text(c, t->profile->user_agent) ||
         put(c, "\r\n", 2) ? -1 : 0;
}

/* Also where there is no body. */
static int wants_length(const char *method)
{
  return !strcmp(method, "POST") || !strcmp(method, "PUT") ||
         !strcmp(method, "PATCH");
}

static int put_end(struct dt_carriage *c, const struct dt_order *o)
{
  char line[48];

  if(o->body == DT_BODY_NONE)
    return put_text(c, wants_length(o->method) ? "Content-Length: 0\r\n\r\n"
                                               : "\r\n");
  snprintf(line, sizeof(line), "Content-Length: %lld\r\n\r\n",
           (long long)o->sources->length);
  return put_text(c, line);
}

int dt_carry_compose(struct dt_transfer *t, int reused, const char **data,
                     size_t *size)
{
  struct dt_carriage *c = t->carriage;
  const struct dt_order *o = &t->order;

  if(!dt_carry_wants(t))
    return DT_CANCELED;
  c->size = 0;
  if(put_text(c, o->method) || put(c, " ", 1) || put_target(c, o) ||
     put_text(c, " HTTP/1.1\r\n") || (!has_line(o, "Host:") && put_host(c, &o->origin)) ||
     put_lines(c, t) || put_end(c, o))
    return DT_NOMEM;
  *data = c->text;
  *size = c->size;
  t->request_sent = 1;
  t->reused = reused;
  t->sent_total = o->body == DT_BODY_MEMORY ? o->sources->length : 0;
  t->sent = (uint64_t)t->sent_total;
  c->size = 0;
  t->flow.engine->now = dt_now();
  dt_flow_touch(&t->flow);
  return DT_OK;
}

int dt_carry_request(struct dt_transfer *t, int reused, const char **data,
                     size_t *size)
{
  struct dt_carriage *c = t->carriage;
  int code = dt_carry_compose(t, reused, data, size);

  c->size = *size;
  if(!code && t->order.sources &&
     put(c, t->order.sources->data, (size_t)t->order.sources->length))
    code = DT_NOMEM;
  *data = c->text;
  *size = c->size;
  c->size = 0;
  return code;
}

/* --- the end ------------------------------------------------------------------------ */

/* Ends the transfer; the caller tells of it. */
static enum dt_carry end(struct dt_transfer *t, int code, const char *message)
{
  enum dt_carry verdict =
    !code && t->carriage->keep ? DT_CARRY_KEEP : DT_CARRY_CLOSE;

  dt_transfer_end(t, code, message);
  t->flow.events = 0;
  dt_link_remove(&t->flow.event);
  return verdict;
}

/* Ends it with what sink.c or the parser refused. */
static enum dt_carry refuse(struct dt_transfer *t, int code)
{
  char text[128];

  if(code == DT_TOO_LARGE)
    dt_sink_excess(t, text, sizeof(text));
  else if(code == DT_NOMEM)
    snprintf(text, sizeof(text), "out of memory");
  else
    snprintf(text, sizeof(text), "%s", t->odd ? t->odd : "not HTTP");
  return end(t, code, text);
}

static enum dt_carry odd(struct dt_transfer *t, const char *why)
{
  t->odd = why;
  return refuse(t, DT_PROTOCOL);
}

/* --- the answer --------------------------------------------------------------------- */

/* Whether `word` is one of the comma-separated words, in any case. */
static int has_word(const char *list, size_t size, const char *word)
{
  size_t n = strlen(word), at = 0;

  while(at < size) {
    size_t from = at, to;

    while(at < size && list[at] != ',')
      at++;
    for(to = at; from < to && (list[from] == ' ' || list[from] == '\t'); from++)
      ;
    while(to > from && (unsigned char)list[to - 1] <= ' ')
      to--;
    if(to - from == n && !strncasecmp(list + from, word, n))
      return 1;
    at++;
  }
  return 0;
}

/* What the lines of the head say about the message's end: 0, or why it is not known. */
static const char *read_framing(struct dt_transfer *t)
{
  struct dt_carriage *c = t->carriage;
  const char *at = t->header_block ? t->header_block : "";
  const char *stop = at + t->header_size;
  int close = 0, stay = 0;

  while(at < stop) {
    const char *eol = memchr(at, '\n', (size_t)(stop - at));
    const char *end = eol ? eol : stop;
    size_t size = (size_t)(end - at);

    if((*at | 32) == 't' && dt_text_header_is(at, size, "Transfer-Encoding") &&
       !has_word(at + 18, size - 18, "chunked"))
      return "the answer's transfer coding is not understood";
    if((*at | 32) == 'c' && dt_text_header_is(at, size, "Connection")) {
      close |= has_word(at + 11, size - 11, "close");
      stay |= has_word(at + 11, size - 11, "keep-alive");
    }
    at = end + 1;
  }
  c->keep = !close && (stay || !c->old);
  return NULL;
}

/* The blank line behind an answer's head was read. */
static enum dt_carry begin_body(struct dt_transfer *t)
{
  struct dt_carriage *c = t->carriage;
  const char *why = read_framing(t);

  if(why)
    return odd(t, why);
  if(t->order.head || t->status == 204 || t->status == 304)
    return end(t, DT_OK, NULL);
  if(t->chunked)
    c->state = CHUNKED;
  else if(t->announced >= 0) {
    c->state = COUNTED;
    c->left = (uint64_t)t->announced;
    if(!c->left)
      return end(t, DT_OK, NULL);
  } else {
    c->state = TO_END;
    c->keep = 0;
  }
  return DT_CARRY_MORE;
}

#define STRANGE "the answer's status line is not understood"

/* Takes a whole line of the head. */
static enum dt_carry take_line(struct dt_transfer *t, const char *line,
                               size_t size)
{
  int code;

  if(!t->in_headers) {
    if(size < 14 || memcmp(line, "HTTP/1.", 7) || line[8] != ' ')
      return odd(t, STRANGE);
    t->carriage->old = line[7] == '0';
  }
  code = dt_sink_take_line(t, line, size);
  if(code)
    return refuse(t, code);
  if(!t->in_headers && t->status == 101)
    return odd(t, "the peer changes the protocol unasked");
  return t->answered ? begin_body(t) : DT_CARRY_MORE;
}

/* What has come of a status line begins as none does. */
static int is_strange(const struct dt_transfer *t)
{
  const struct dt_carriage *c = t->carriage;

  return !t->in_headers && memcmp(c->text, "HTTP/1.", c->size < 7 ? c->size : 7);
}

/* Takes one line of the head, or the part of it that is there. */
static enum dt_carry feed_head(struct dt_transfer *t, const char *data,
                               size_t size, size_t *used)
{
  struct dt_carriage *c = t->carriage;
  const char *eol = memchr(data, '\n', size);
  enum dt_carry verdict;

  *used = eol ? (size_t)(eol + 1 - data) : size;
  if(eol && !c->size)
    return take_line(t, data, *used);
  if(c->size + *used > DT_HEADERS_MAX)
    return odd(t, DT_HEADERS_TOO_LONG);
  if(put(c, data, *used))
    return refuse(t, DT_NOMEM);
  if(!eol)
    return is_strange(t) ? odd(t, STRANGE) : DT_CARRY_MORE;
  verdict = take_line(t, c->text, c->size);
  c->size = 0;
  return verdict;
}

static enum dt_carry feed_counted(struct dt_transfer *t, const char *data,
                                  size_t size, size_t *used)
{
  struct dt_carriage *c = t->carriage;
  int code;

  *used = size < c->left ? size : (size_t)c->left;
  code = dt_sink_take_body(t, data, *used);
  if(code)
    return refuse(t, code);
  c->left -= *used;
  return c->left ? DT_CARRY_MORE : end(t, DT_OK, NULL);
}

static enum dt_carry feed_chunked(struct dt_transfer *t, const char *bytes,
                                  size_t size, size_t *used)
{
  struct dt_carriage *c = t->carriage;
  const char *data;
  size_t n;
  int code = DT_OK;

  *used = dt_chunked_feed(&c->chunked, bytes, size, &data, &n);
  if(n)
    code = dt_sink_take_body(t, data, n);
  if(code)
    return refuse(t, code);
  if(c->chunked.state == DT_CHUNKED_MALFORMED)
    return odd(t, c->chunked.trailer_size > DT_CHUNKED_TRAILERS
                    ? "the answer's trailers are too long"
                    : "the answer's chunked body is malformed");
  return c->chunked.state == DT_CHUNKED_FINISHED ? end(t, DT_OK, NULL)
                                                 : DT_CARRY_MORE;
}

static enum dt_carry feed(struct dt_transfer *t, const char *data, size_t size,
                          size_t *used)
{
  int code;

  switch(t->carriage->state) {
  case HEAD:
    return feed_head(t, data, size, used);
  case COUNTED:
    return feed_counted(t, data, size, used);
  case CHUNKED:
    return feed_chunked(t, data, size, used);
  default:
    *used = size;
    code = dt_sink_take_body(t, data, size);
    return code ? refuse(t, code) : DT_CARRY_MORE;
  }
}

enum dt_carry dt_carry_feed(struct dt_transfer *t, const char *data,
                            size_t size)
{
  enum dt_carry verdict = DT_CARRY_MORE;
  size_t at = 0, used;

  if(!dt_carry_wants(t))
    return DT_CARRY_CLOSE;
  t->flow.engine->now = dt_now();
  while(at < size && verdict == DT_CARRY_MORE) {
    verdict = feed(t, data + at, size - at, &used);
    at += used;
  }
  /* what comes unasked is not an answer to the next request */
  return verdict == DT_CARRY_KEEP && at < size ? DT_CARRY_CLOSE : verdict;
}

static enum dt_carry give_back(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;

  t->carried = 0;
  t->reused = 0;
  dt_origin_requeue(e, t);
  e->pipes |= t->order.origin.tls;
  dt_transfer_set_deadline(t);
  dt_engine_sync(e);
  return DT_CARRY_BACK;
}

enum dt_carry dt_carry_cut(struct dt_transfer *t)
{
  if(!dt_carry_wants(t))
    return DT_CARRY_CLOSE;
  t->flow.engine->now = dt_now();
  if(!t->request_sent ||
     (t->reused && !t->answer_started && !t->carriage->size &&
      t->order.repeatable))
    return give_back(t);
  if(t->carriage->state == TO_END)
    return end(t, DT_OK, NULL);
  if(t->answered)
    return end(t, DT_TRUNCATED, "the connection was closed before the end of the answer");
  return end(t, DT_RESET, "the connection was closed before the answer");
}

void dt_carry_late(struct dt_transfer *t)
{
  char text[64];

  if(!dt_carry_wants(t))
    return;
  t->flow.engine->now = dt_now();
  snprintf(text, sizeof(text), "no connection within %g s",
           t->order.connect_timeout);
  (void)end(t, DT_CONNECT_TIMEOUT, text);
}
