/*
 * websocket.c - WebSockets on the engine, see websocket.h.
 *
 * libcurl only connects (CONNECT_ONLY). Over TLS its easy handle then stays in the
 * multi handle, as the connection lives and dies with it there; the socket is
 * watched by us, and bytes go through curl_easy_send and curl_easy_recv. Without TLS
 * the socket is all that is kept. What the bytes mean is the business of ws_handshake.c
 * and ws_session.c.
 *
 * A TLS library may hold bytes back that the descriptor does not tell of, so a
 * connection is read until there is nothing, or is put on the engine's list of
 * work when its share of a step is used up.
 */
#define _GNU_SOURCE
#include "ws.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* libcurl has set SO_NOSIGPIPE there */
#endif

#define READ_ROOM 16384
#define READS     16 /* at a time, before others get their turn */
#define OPENINGS  64 /* the same of those that begin to connect */

/* --- watching ------------------------------------------------------------- */

/* Brings the poll set up to date. 0, or -1 with errno. */
static int set_interest(struct dt_ws *ws)
{
  unsigned interest = (ws->paused ? 0 : DT_POLL_IN) |
                      (ws->blocked ? DT_POLL_OUT : 0);

  if(interest == ws->interest)
    return 0;
  ws->interest = interest;
  return dt_pollset_set(ws->flow.engine->pollset, ws->fd, interest);
}

static void unwatch(struct dt_ws *ws)
{
  struct dt_engine *e = ws->flow.engine;

  if(ws->fd >= 0)
    dt_flow_unwatch(&ws->flow, ws->fd);
  if(ws->fd >= 0 && ws->own) {
    if(dt_engine_is_ours(e))
      dt_pollset_closing(e->pollset, ws->fd);
    (void)close(ws->fd);
  }
  ws->fd = -1;
}

/* --- the end -------------------------------------------------------------- */

static void release_handle(struct dt_ws *ws)
{
  struct dt_handle *h = ws->flow.handle;

  ws->flow.handle = NULL;
  if(!h)
    return;
  h->flow = NULL;
  if(ws->state != DT_WS_NEW)
    dt_multi_lasting(ws->flow.engine, -1);
  if(ws->state == DT_WS_CONNECTING && dt_handle_must_linger(h)) {
    dt_handle_linger(h);
    return;
  }
  if(ws->state != DT_WS_NEW)
    curl_multi_remove_handle(ws->flow.engine->multi, h->easy);
  dt_handle_free(h);
}

void dt_ws_end(struct dt_ws *ws, int code, const char *message)
{
  struct dt_engine *e = ws->flow.engine;

  if(ws->state == DT_WS_DONE)
    return;
  /* first, as the text may be the handle's */
  snprintf(ws->message, sizeof(ws->message), "%s", message);
  unwatch(ws);
  release_handle(ws);
  dt_flow_set_deadline(&ws->flow, 0);
  dt_link_remove(&ws->flow.work);
  ws->state = DT_WS_DONE;
  ws->flow.ended = dt_now();
  ws->code = code;
  e->stats.finished++;
  e->activity++;
  dt_flow_post(&ws->flow, DT_EVENT_DONE | DT_EVENT_READABLE);
}

/* The connection cannot be used any more, without a word of the peer's. */
static void end_broken(struct dt_ws *ws)
{
  if(ws->state == DT_WS_OPEN)
    dt_ws_end(ws, DT_RESET, "the connection broke without a close frame");
  else
    dt_ws_end(ws, DT_RESET, "the connection broke before the peer answered");
}

/* --- deadlines ------------------------------------------------------------ */

/* Is there a reason to end? The peer's close frame is answered first, and its
   failures wait for the close frame that tells it about them, unless `now`. */
void dt_ws_check_end(struct dt_ws *ws, int now)
{
  unsigned code;
  const char *reason;
  size_t size;
  int failure = dt_ws_session_failure(ws->session);

  if(failure == DT_NOMEM)
    dt_ws_end(ws, failure, "out of memory");
  else if(!now && !ws->mute && !dt_ws_session_close_sent(ws->session))
    return;
  else if(failure == DT_TOO_LARGE)
    dt_ws_end(ws, failure, "a message exceeds the cap");
  else if(failure)
    dt_ws_end(ws, failure, "the peer broke the WebSocket protocol");
  else if(dt_ws_session_closed_by_peer(ws->session, &code, &reason, &size))
    dt_ws_end(ws, DT_OK, "");
}

/* --- receiving ------------------------------------------------------------ */

/* Messages, or the peer's close frame. */
static void feed_session(struct dt_ws *ws, const char *data, size_t size)
{
  int had = dt_ws_session_has_message(ws->session);

  ws->received += size;
  if(ws->heard <= 0)
    ws->heard = ws->flow.engine->now;
  (void)dt_ws_session_feed(ws->session, data, size);
  if(!had && dt_ws_session_has_message(ws->session))
    dt_flow_post(&ws->flow, DT_EVENT_READABLE);
  if(!ws->close_by && dt_ws_session_closing(ws->session))
    ws->close_by = ws->flow.engine->now + ws->close_timeout;
}

static void feed_answer(struct dt_ws *ws, const char *data, size_t size)
{
  size_t used;
  int what = dt_ws_handshake_feed(&ws->answer, data, size, &used);

  if(what < 0)
    dt_ws_end(ws, what, ws->answer.message);
  else if(what == DT_WS_ANSWER_REFUSED)
    dt_ws_end(ws, DT_OK, "");
  else if(what == DT_WS_ANSWER_UPGRADED) {
    ws->state = DT_WS_OPEN;
    ws->opened = 1;
    dt_flow_post(&ws->flow, DT_EVENT_HEADERS);
    if(used < size)
      feed_session(ws, data + used, size - used);
    dt_ws_set_deadline(ws);
  }
}

static void peer_left(struct dt_ws *ws)
{
  int what;

  if(ws->state == DT_WS_OPEN) {
    dt_ws_end(ws, DT_RESET, "the peer closed the connection without a close frame");
    return;
  }
  what = dt_ws_handshake_end(&ws->answer);
  dt_ws_end(ws, what < 0 ? what : DT_OK, ws->answer.message);
}

/* Too much waits already, or the peer has nothing more to say. */
static int should_pause(const struct dt_ws *ws)
{
  return dt_ws_session_waiting(ws->session) >= DT_WS_QUEUE_HIGH ||
         dt_ws_session_flooded(ws->session) ||
         dt_ws_session_over(ws->session);
}

/* What a system call on the socket means in libcurl's words. */
static CURLcode outcome(ssize_t n, size_t *size)
{
  *size = n > 0 ? (size_t)n : 0;
  if(n >= 0)
    return CURLE_OK;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR
           ? CURLE_AGAIN
           : CURLE_RECV_ERROR;
}

static CURLcode take(struct dt_ws *ws, char *buffer, size_t room, size_t *size)
{
  if(!ws->own)
    return curl_easy_recv(ws->flow.handle->easy, buffer, room, size);
  return outcome(recv(ws->fd, buffer, room, 0), size);
}

static CURLcode give(struct dt_ws *ws, const char *data, size_t size,
                     size_t *done)
{
  if(!ws->own)
    return curl_easy_send(ws->flow.handle->easy, data, size, done);
  return outcome(send(ws->fd, data, size, MSG_NOSIGNAL), done);
}

/* Takes one block from the connection: 1 if there may be more at once. */
static int read_some(struct dt_ws *ws)
{
  char buffer[READ_ROOM];
  size_t size = 0;
  CURLcode rc = take(ws, buffer, sizeof(buffer), &size);

  if(rc && (rc != CURLE_AGAIN || ws->mute))
    end_broken(ws);
  if(rc)
    return 0;
  if(!size) {
    peer_left(ws);
    return 0;
  }
  ws->flow.last_activity = ws->last_received = ws->flow.engine->now;
  ws->pinged = 0;
  if(ws->state == DT_WS_OPENING)
    feed_answer(ws, buffer, size);
  else
    feed_session(ws, buffer, size);
  return ws->state != DT_WS_DONE && (ws->tls || size == sizeof(buffer));
}

static void receive(struct dt_ws *ws)
{
  int i;

  for(i = 0; i < READS && !(i && dt_engine_is_spent(ws->flow.engine)); i++) {
    ws->paused = should_pause(ws);
    if(ws->paused || !read_some(ws))
      return;
  }
  dt_flow_work(&ws->flow);
}

/* --- sending -------------------------------------------------------------- */

/* Sends what it can of these bytes; returns how many, and notes in `blocked`
   whether the connection took less than all. When it is broken, the peer's last
   words (a refusal, a close frame) may still be there to be read: the next turn
   does that, and ends. */
static size_t send_some(struct dt_ws *ws, const char *data, size_t size)
{
  size_t done = 0;
  CURLcode rc = give(ws, data, size, &done);

  ws->blocked = rc ? rc == CURLE_AGAIN : done < size;
  if(rc && rc != CURLE_AGAIN) {
    ws->mute = 1;
    dt_flow_work(&ws->flow);
  }
  if(rc || !done)
    return 0;
  ws->flow.last_activity = ws->flow.engine->now;
  return done;
}

static void send_opening(struct dt_ws *ws)
{
  while(ws->request_done < ws->request_size && !ws->blocked && !ws->mute)
    ws->request_done += send_some(ws, ws->request + ws->request_done,
                                  ws->request_size - ws->request_done);
}

static void send_frames(struct dt_ws *ws)
{
  const char *data;
  size_t size, done;

  while(!ws->blocked && !ws->mute) {
    size = dt_ws_session_output(ws->session, &data);
    if(!size)
      break;
    if(size == (size_t)-1) {
      dt_ws_end(ws, DT_NOMEM, "out of memory");
      return;
    }
    done = send_some(ws, data, size);
    ws->sent += done;
    dt_ws_session_sent(ws->session, done);
  }
  if(ws->refused && dt_ws_session_unsent(ws->session) <= DT_WS_QUEUE_LOW) {
    ws->refused = 0;
    dt_flow_post(&ws->flow, DT_EVENT_WRITABLE);
  }
}

/* --- moving --------------------------------------------------------------- */

/* Does what the connection allows now. */
void dt_ws_work(struct dt_ws *ws)
{
  double close_by = ws->close_by;

  ws->flow.engine->activity++;
  ws->blocked = 0;
  if(ws->state == DT_WS_OPENING)
    send_opening(ws);
  if(ws->state == DT_WS_OPENING || ws->state == DT_WS_OPEN)
    receive(ws);
  if(ws->state == DT_WS_OPEN)
    send_frames(ws);
  if(ws->state == DT_WS_OPEN)
    dt_ws_check_end(ws, 0);
  if(ws->state == DT_WS_DONE || ws->state < DT_WS_OPENING)
    return;
  if(ws->paused && !should_pause(ws)) /* a flood was answered */
    dt_flow_work(&ws->flow);
  if(ws->close_by != close_by)
    dt_ws_set_deadline(ws);
  if(set_interest(ws))
    dt_ws_end(ws, DT_INTERNAL, "the socket cannot be watched");
}

static void ready(struct dt_flow *f)
{
  struct dt_ws *ws = dt_ws_of(f);

  if(ws->state != DT_WS_NEW)
    dt_ws_work(ws);
  else if(f->engine->openings++ < OPENINGS)
    dt_ws_begin(ws);
  else
    dt_flow_work(f);
}

/* The socket is ours to watch from now on. 0, or -1 without memory. */
static int watch(struct dt_ws *ws, int fd)
{
  if(dt_flow_watch(&ws->flow, fd)) {
    if(ws->own)
      (void)close(fd);
    return -1;
  }
  ws->fd = fd;
  ws->interest = 0;
  return 0;
}


/* Where nothing lies between, the socket is all that there is to a connection: a handle
   of libcurl's that only keeps it open would cost more memory than all the rest. Without
   a descriptor for it that stays. */
static int take_over(struct dt_ws *ws, int fd)
{
  int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

  if(own < 0)
    return fd;
  ws->own = 1;
  release_handle(ws);
  dt_pollset_opened(ws->flow.engine->pollset, own);
  return own;
}

/* libcurl could not connect. */
static void not_connected(struct dt_ws *ws, CURLcode rc)
{
  const char *text = ws->flow.handle->error;
  int code = dt_connect_failure(ws->flow.handle->easy, rc);
  long number = 0;

  if(code == DT_CONNECT) {
    curl_easy_getinfo(ws->flow.handle->easy, CURLINFO_OS_ERRNO, &number);
    ws->os_error = (int)number;
  }
  if(!*text || strchr(text, '@')) /* it may quote a password */
    text = curl_easy_strerror(rc);
  ws->state = DT_WS_OPENING; /* no lookup is going on */
  dt_ws_end(ws, code, text);
}

static void complete(struct dt_flow *f, CURLcode rc)
{
  struct dt_ws *ws = dt_ws_of(f);
  curl_socket_t fd = CURL_SOCKET_BAD;

  if(rc) {
    not_connected(ws, rc);
    return;
  }
  f->engine->stats.connects++;
  ws->state = DT_WS_OPENING;
  curl_easy_getinfo(f->handle->easy, CURLINFO_ACTIVESOCKET, &fd);
  if(fd != CURL_SOCKET_BAD && ws->bare)
    fd = take_over(ws, fd);
  if(fd == CURL_SOCKET_BAD) {
    dt_ws_end(ws, DT_RESET, "the connection broke before the peer answered");
  } else if(watch(ws, fd)) {
    dt_ws_end(ws, DT_NOMEM, "out of memory");
  } else {
    dt_ws_set_deadline(ws);
    dt_ws_work(ws);
  }
}

static void end_flow(struct dt_flow *f, int code, const char *message)
{
  dt_ws_end(dt_ws_of(f), code, message ? message : "");
}

/* Nothing of libcurl's is touched. */
static void forget(struct dt_flow *f)
{
  struct dt_ws *ws = dt_ws_of(f);

  if(ws->state == DT_WS_DONE)
    return;
  unwatch(ws);
  f->handle = NULL;
  ws->state = DT_WS_DONE;
  f->ended = dt_now();
  ws->code = DT_FORKED;
}

const struct dt_flow_type dt_ws_type = { ready, complete, dt_ws_expire, end_flow,
                                         forget };

/* --- ending from outside -------------------------------------------------- */

void dt_ws_cancel(struct dt_ws *ws)
{
  struct dt_engine *e = ws->flow.engine;
  struct dt_sigpipe pipe;

  if(!e || ws->state == DT_WS_DONE || !dt_engine_is_ours(e))
    return;
  dt_sigpipe_block(&pipe, e->pipes);
  dt_ws_end(ws, DT_CANCELED, "canceled");
  dt_sigpipe_restore(&pipe);
  dt_engine_sync(e);
}

void dt_ws_free(struct dt_ws *ws)
{
  if(!ws)
    return;
  dt_ws_cancel(ws);
  if(ws->flow.engine)
    forget(&ws->flow);
  dt_flow_leave(&ws->flow);
  dt_ws_session_free(ws->session);
  dt_ws_handshake_free(&ws->answer);
  dt_profile_free(ws->profile);
  free(ws->held);
  free(ws->url);
  free(ws->protocols);
  free(ws->request);
  free(ws);
}

uint64_t dt_ws_id(const struct dt_ws *ws)
{
  return ws->flow.id;
}

double dt_ws_heard(const struct dt_ws *ws)
{
  return ws->heard;
}

/* --- what the user does --------------------------------------------------- */

/* Room was made: reading goes on in the next step. */
static void resume(struct dt_ws *ws)
{
  if(!ws->paused || ws->state == DT_WS_DONE ||
     dt_ws_session_waiting(ws->session) > DT_WS_QUEUE_LOW)
    return;
  dt_flow_work(&ws->flow);
  dt_engine_sync(ws->flow.engine);
}

int dt_ws_receive(struct dt_ws *ws, struct dt_ws_piece *out)
{
  struct dt_ws_message *m;

  memset(out, 0, sizeof(*out));
  if(!ws->holding) {
    free(ws->held);
    ws->held = dt_ws_session_take(ws->session);
  }
  m = ws->held;
  if(m) {
    resume(ws);
    out->data = m->data;
    out->size = m->size;
    out->text = m->text;
    out->final = m->final;
    return 1;
  }
  if(ws->state != DT_WS_DONE)
    return 0;
  return ws->code ? ws->code : 2;
}

void dt_ws_hold(struct dt_ws *ws, int on)
{
  ws->holding = on;
}

/* Sends at once what the connection takes. */
static void flush(struct dt_ws *ws)
{
  struct dt_engine *e = ws->flow.engine;
  struct dt_sigpipe pipe;

  if(ws->state != DT_WS_OPEN || ws->blocked)
    return;
  dt_sigpipe_block(&pipe, e->pipes);
  e->now = dt_now();
  send_frames(ws);
  if(ws->state == DT_WS_OPEN && set_interest(ws))
    dt_ws_end(ws, DT_INTERNAL, "the socket cannot be watched");
  dt_sigpipe_restore(&pipe);
  dt_engine_sync(e);
}

int dt_ws_send(struct dt_ws *ws, int text, const char *data, size_t size,
               int *taken)
{
  int code;

  *taken = 0;
  if(ws->state == DT_WS_DONE)
    return ws->code ? ws->code : DT_BAD_ARGUMENT;
  if(!dt_engine_is_ours(ws->flow.engine))
    return DT_FORKED;
  if(dt_ws_session_closing(ws->session))
    return DT_BAD_ARGUMENT;
  if(dt_ws_session_unsent(ws->session) >= DT_WS_QUEUE_HIGH) {
    ws->refused = 1;
    return DT_OK;
  }
  code = dt_ws_session_send(ws->session, text, data, size);
  if(code)
    return code;
  *taken = 1;
  flush(ws);
  return DT_OK;
}

int dt_ws_close(struct dt_ws *ws, unsigned code, const char *reason,
                size_t size)
{
  int rc;

  if(ws->state == DT_WS_DONE)
    return DT_OK;
  if(!dt_engine_is_ours(ws->flow.engine))
    return DT_FORKED;
  if(ws->state != DT_WS_OPEN) {
    dt_ws_cancel(ws);
    return DT_OK;
  }
  if(dt_ws_session_closing(ws->session))
    return DT_OK;
  rc = dt_ws_session_close(ws->session, code, reason, size);
  if(rc)
    return rc;
  dt_ws_session_deafen(ws->session);
  ws->close_by = dt_now() + ws->close_timeout;
  dt_ws_set_deadline(ws);
  dt_flow_work(&ws->flow); /* if it was paused */
  flush(ws);
  dt_engine_sync(ws->flow.engine);
  return DT_OK;
}

void dt_ws_result(const struct dt_ws *ws, struct dt_ws_result *r)
{
  const struct dt_ws_handshake *a = &ws->answer;

  memset(r, 0, sizeof(*r));
  r->done = ws->state == DT_WS_DONE;
  r->opened = ws->opened;
  r->code = ws->code;
  r->os_error = ws->os_error;
  r->message = ws->message;
  dt_ws_session_closed_by_peer(ws->session, &r->close_code, &r->close_reason,
                               &r->close_size);
  r->status = a->status;
  r->header_block = a->headers_at ? a->head + a->headers_at : "";
  r->header_size = a->headers_at ? a->head_size - a->headers_at : 0;
  r->body = a->body ? a->body : "";
  r->body_size = a->body_size;
  r->received = ws->received;
  r->sent = ws->sent;
  r->request_sent = ws->request_done > 0;
  r->unsent = dt_ws_session_unsent(ws->session);
  r->seconds = (r->done ? ws->flow.ended : dt_now()) - ws->flow.started;
}
