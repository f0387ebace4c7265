/*
 * wire.c - small requests over connections of the engine's own: libcurl opens them and
 * has no further part in it.
 *
 * Most calls are a few hundred bytes there and back. Where nothing lies between (no TLS,
 * no proxy), carry.c makes and reads these bytes, and a transfer costs two thirds of what
 * it costs through libcurl. What streams, and all else, has libcurl's connections.
 */
#define _GNU_SOURCE
#include "carry.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* libcurl has set SO_NOSIGPIPE there */
#endif

#define IDLE_MOST    118.0 /* seconds, as libcurl has it */
#define READS        16    /* of a turn */
#define LEAST_BUFFER 1024L /* libcurl's, which reads nothing */

struct dt_wire {
  struct dt_link idle; /* origin.wires, used last at the end */
  int fd;
  double since;        /* when it became idle */
  char *unsent;        /* what the peer has not taken of the request */
  size_t at, size;
};

static void wire_close(struct dt_engine *e, struct dt_wire *w)
{
  dt_link_remove(&w->idle);
  if(e->pollset && dt_engine_is_ours(e))
    dt_pollset_closing(e->pollset, w->fd);
  dt_lines_set(e, w->fd, DT_LINE_NONE);
  close(w->fd);
  free(w->unsent);
  free(w);
}

int dt_wire_fd(const struct dt_wire *w)
{
  return w->fd;
}

void dt_wires_free(struct dt_engine *e, struct dt_origin *o)
{
  while(!dt_link_alone(&o->wires))
    wire_close(e, DT_OF(o->wires.next, struct dt_wire, idle));
}

/* --- taking and keeping ------------------------------------------------------------ */

/* Nothing has come that nobody asked for, not even its end. */
static int is_alive(const struct dt_wire *w)
{
  char c;

  return recv(w->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* The first ones were used least. */
static void close_old(struct dt_engine *e, struct dt_origin *o)
{
  while(!dt_link_alone(&o->wires)) {
    struct dt_wire *w = DT_OF(o->wires.next, struct dt_wire, idle);

    if(e->now - w->since < IDLE_MOST)
      return;
    wire_close(e, w);
  }
}

static struct dt_wire *take_idle(struct dt_engine *e, struct dt_origin *o)
{
  while(!dt_link_alone(&o->wires)) {
    struct dt_wire *w = DT_OF(o->wires.prev, struct dt_wire, idle);

    if(is_alive(w)) {
      dt_link_remove(&w->idle);
      return w;
    }
    wire_close(e, w);
  }
  return NULL;
}

/* The transfer has no further use for its wire. */
static struct dt_wire *let_go(struct dt_transfer *t)
{
  struct dt_wire *w = t->wire;

  t->wire = NULL;
  dt_flow_unwatch(&t->flow, w->fd);
  return w;
}

void dt_wire_drop(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;

  if(t->wire)
    wire_close(e, let_go(t));
}

/* In a forked child the connection is the parent's. */
void dt_wire_forget(struct dt_transfer *t)
{
  struct dt_wire *w = t->wire;

  t->wire = NULL;
  if(!w)
    return;
  close(w->fd);
  free(w->unsent);
  free(w);
}

/* --- there and back ------------------------------------------------------------------- */

static void over(struct dt_transfer *t, struct dt_wire *w, struct dt_origin *o,
                 enum dt_carry verdict)
{
  struct dt_engine *e = t->flow.engine;

  if(verdict == DT_CARRY_KEEP && !w->unsent) {
    dt_lines_set(e, w->fd, DT_LINE_KEPT);
    w->since = e->now;
    dt_link_append(&o->wires, &w->idle);
  } else
    wire_close(e, w);
  if(verdict != DT_CARRY_BACK)
    dt_flow_post(&t->flow, DT_EVENT_DONE);
}

static void cut(struct dt_transfer *t)
{
  struct dt_origin *o = t->origin;
  struct dt_wire *w = let_go(t);

  over(t, w, o, dt_carry_cut(t));
}

/* Keeps what the peer does not take at once. 0, or -1 without memory. */
static int keep_rest(struct dt_wire *w, const char *data, size_t size)
{
  w->unsent = malloc(size);
  if(!w->unsent)
    return -1;
  memcpy(w->unsent, data, size);
  w->at = 0;
  w->size = size;
  return 0;
}

static ssize_t push(const struct dt_wire *w, const char *data, size_t size)
{
  ssize_t n = send(w->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
           ? 0
           : n;
}

/* Sends what is left. Where the connection is broken reading says so, behind the
   answer that may have come before. */
static void push_rest(struct dt_transfer *t)
{
  struct dt_wire *w = t->wire;
  ssize_t n = push(w, w->unsent + w->at, w->size - w->at);

  if(n <= 0)
    return;
  dt_flow_touch(&t->flow);
  w->at += (size_t)n;
  if(w->at < w->size)
    return;
  free(w->unsent);
  w->unsent = NULL;
  (void)dt_pollset_set(t->flow.engine->pollset, w->fd, DT_POLL_IN);
}

#define BROKEN 1

/* Sends what the peer takes of the request. DT_OK, DT_NOMEM, or BROKEN: not a byte of
   it has left. */
static int push_request(struct dt_transfer *t, const char *data, size_t size)
{
  struct dt_wire *w = t->wire;
  ssize_t n = push(w, data, size);

  if(n < 0)
    return BROKEN;
  if((size_t)n < size && keep_rest(w, data + n, size - (size_t)n))
    return DT_NOMEM;
  return dt_pollset_set(t->flow.engine->pollset, w->fd,
                        w->unsent ? DT_POLL_IN | DT_POLL_OUT : DT_POLL_IN)
           ? DT_NOMEM
           : DT_OK;
}

/* Begins the exchange. One that was kept, and breaks before it has taken a byte, was
   dead; of a new one that is the peer's answer. */
static void send_request(struct dt_transfer *t, int reused)
{
  const char *data;
  size_t size;
  int code = dt_flow_watch(&t->flow, t->wire->fd) ? DT_NOMEM : DT_OK;

  if(!code)
    code = dt_carry_request(t, reused, &data, &size);
  if(!code) {
    dt_lines_set(t->flow.engine, t->wire->fd, DT_LINE_USED);
    dt_origin_placed(t);
    code = push_request(t, data, size);
  }
  if(code == BROKEN) {
    t->request_sent = !reused;
    cut(t);
  } else if(code)
    dt_transfer_end(t, code, "out of memory");
}

void dt_wire_ready(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;
  enum dt_carry verdict = DT_CARRY_MORE;
  struct dt_origin *o = t->origin;
  struct dt_wire *w = t->wire;
  char data[16 * 1024];
  ssize_t n = 1;
  int i;

  e->activity++;
  e->now = dt_now();
  if(w->unsent)
    push_rest(t);
  for(i = 0; i < READS && n > 0 && verdict == DT_CARRY_MORE; i++) {
    n = recv(w->fd, data, sizeof(data), MSG_DONTWAIT);
    if(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return;
    if(n > 0) {
      t->wire = NULL;
      verdict = dt_carry_feed(t, data, (size_t)n);
      t->wire = w;
      if(verdict == DT_CARRY_MORE &&
         ((size_t)n < sizeof(data) || dt_engine_is_spent(e)))
        return;
    }
  }
  if(n <= 0)
    cut(t);
  else if(verdict != DT_CARRY_MORE) {
    let_go(t);
    over(t, w, o, verdict);
  }
}

/* --- the beginning ------------------------------------------------------------------ */

int dt_wire_takes(const struct dt_transfer *t)
{
  const struct dt_order *o = &t->order;

  return !o->origin.tls && !t->flow.engine->through_libcurl &&
         dt_carry_can(t) &&
         (!o->sources || o->sources->length <= DT_FIELDS_MAX);
}

/* A wire for the transfer of libcurl's connection, which that will close. DT_OK,
   DT_NOMEM; DT_RESET where it is no more; where no descriptor is left, DT_CONNECT. */
static int wire_new(struct dt_engine *e, int fd, struct dt_transfer *t)
{
  struct dt_wire *w = fd == CURL_SOCKET_BAD ? NULL : calloc(1, sizeof(*w));

  if(!w)
    return fd == CURL_SOCKET_BAD ? DT_RESET : DT_NOMEM;
  dt_link_init(&w->idle);
  w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if(w->fd < 0) {
    t->os_error = errno;
    free(w);
    return DT_CONNECT;
  }
  dt_pollset_opened(e->pollset, w->fd);
  dt_lines_opened(e, w->fd);
  t->wire = w;
  return DT_OK;
}

void dt_wire_connected(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;
  struct dt_handle *h = t->flow.handle;
  curl_socket_t fd = CURL_SOCKET_BAD;
  int code;

  t->connecting = 0;
  e->stats.connects++;
  curl_easy_getinfo(h->easy, CURLINFO_ACTIVESOCKET, &fd);
  code = dt_carry_ready(t) ? DT_NOMEM : wire_new(e, fd, t);
  t->flow.handle = NULL;
  dt_handle_release(h, 1);
  if(code == DT_CONNECT)
    dt_transfer_end(t, code, strerror(t->os_error));
  else if(code)
    dt_transfer_end(t, code, code == DT_RESET ? "the connection broke at once"
                                              : "out of memory");
  else
    send_request(t, 0);
}

int dt_wire_begin(struct dt_transfer *t)
{
  struct dt_wire *w;

  close_old(t->flow.engine, t->origin);
  w = take_idle(t->flow.engine, t->origin);
  if(!w)
    return 0;
  t->wire = w;
  if(dt_carry_ready(t)) {
    dt_transfer_end(t, DT_NOMEM, "out of memory");
    return 1;
  }
  dt_transfer_set_deadline(t);
  send_request(t, 1);
  return 1;
}

CURLcode dt_wire_connect(struct dt_transfer *t)
{
  CURL *easy = t->flow.handle->easy;
  CURLcode rc = curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);

  t->connecting = 1;
  t->flow.handle->dirty = 1;
  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, NULL);
  (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, LEAST_BUFFER);
  return rc;
}
