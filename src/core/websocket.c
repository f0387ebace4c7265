/*
 * websocket.c - WebSockets on the engine, see websocket.h.
 *
 * libcurl only connects (CONNECT_ONLY). Its easy handle then stays in the
 * multi handle, as the connection lives and dies with it there; the socket is
 * watched by us, and bytes go through curl_easy_send and curl_easy_recv. What
 * they mean is the business of ws_handshake.c and ws_session.c.
 *
 * A TLS library may hold bytes back that the descriptor does not tell of, so a
 * connection is read until there is nothing, or is put on the engine's list of
 * work when its share of a step is used up.
 */
#define _GNU_SOURCE
#include "engine.h"
#include "text.h"
#include "websocket.h"
#include "ws_handshake.h"
#include "ws_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CLOSE_WAIT 5.0
#define READ_ROOM 16384
#define READS     16 /* at a time, before others get their turn */

enum state {
  NEW,
  CONNECTING,
  OPENING, /* sending the opening, or reading the answer */
  OPEN,
  DONE
};

struct dt_ws {
  struct dt_engine *engine; /* NULL once the engine is gone */
  uint64_t id;
  enum state state;
  struct dt_link all;   /* engine.sockets */
  struct dt_link work;  /* engine.socket_work */
  struct dt_link event; /* engine.socket_events */
  unsigned events;
  struct dt_deadline due;
  struct dt_profile *profile;
  struct dt_handle *handle; /* until done */
  int fd;                   /* -1 when it is not ours to watch */
  unsigned interest;
  int tls;

  /* the opening */
  char *url;       /* http or https */
  char *protocols; /* may be NULL */
  char key[DT_WS_KEY_SIZE + 1];
  char *request;
  size_t request_size, request_done;
  struct dt_ws_handshake answer;
  int opened;

  /* messages */
  struct dt_ws_session *session;
  struct dt_ws_message *held; /* the one that the user looks at */
  int holding;                /* and will look at again */
  int refused;                /* a message was: report when there is room */
  int paused;                 /* not reading */
  int blocked;                /* the connection takes no more bytes now */
  int mute;                   /* nor ever again; there may be some to read */
  uint64_t received, sent;

  /* deadlines, 0: none */
  double started, ended;
  double connect_by, open_by, end_by, close_by;
  double idle_timeout, ping_interval, close_timeout;
  double last_activity, last_received;
  double pinged; /* when the ping was sent that nothing came after */
  double heard;  /* when the first bytes after the opening came */
  int patient;

  /* the end */
  int code;
  int os_error;
  char message[CURL_ERROR_SIZE];
};

static void work(struct dt_ws *ws);

/* --- watching ------------------------------------------------------------- */

struct dt_ws *dt_ws_at(const struct dt_engine *e, int fd)
{
  return fd >= 0 && fd < e->sockets_room ? e->socket_at[fd] : NULL;
}

/* Makes room for the descriptor in the engine's table. 0 or -1. */
static int table_reserve(struct dt_engine *e, int fd)
{
  int room = e->sockets_room ? e->sockets_room : 64;
  struct dt_ws **table;

  if(fd < e->sockets_room)
    return 0;
  while(room <= fd)
    room *= 2;
  table = realloc(e->socket_at, (size_t)room * sizeof(struct dt_ws *));
  if(!table)
    return -1;
  memset(table + e->sockets_room, 0,
         (size_t)(room - e->sockets_room) * sizeof(struct dt_ws *));
  e->socket_at = table;
  e->sockets_room = room;
  return 0;
}

/* From now on the socket is ours to watch. 0, or -1 without memory. */
static int watch(struct dt_ws *ws, int fd)
{
  if(table_reserve(ws->engine, fd))
    return -1;
  ws->engine->socket_at[fd] = ws;
  ws->fd = fd;
  ws->interest = 0;
  return 0;
}

static void unwatch(struct dt_ws *ws)
{
  if(ws->fd < 0)
    return;
  ws->engine->socket_at[ws->fd] = NULL;
  dt_engine_unwatch(ws->engine, ws->fd);
  ws->fd = -1;
}

/* Brings the poll set up to date. 0, or -1 with errno. */
static int set_interest(struct dt_ws *ws)
{
  unsigned interest = (ws->paused ? 0 : DT_POLL_IN) |
                      (ws->blocked ? DT_POLL_OUT : 0);

  if(interest == ws->interest)
    return 0;
  ws->interest = interest;
  return dt_pollset_set(ws->engine->pollset, ws->fd, interest);
}

static void post(struct dt_ws *ws, unsigned what)
{
  ws->events |= what;
  dt_link_ensure(&ws->engine->socket_events, &ws->event);
}

/* --- the end -------------------------------------------------------------- */

static void release_handle(struct dt_ws *ws)
{
  struct dt_handle *h = ws->handle;

  ws->handle = NULL;
  if(!h)
    return;
  h->ws = NULL;
  if(ws->state == CONNECTING && dt_handle_must_linger(h)) {
    dt_handle_linger(h);
    return;
  }
  if(ws->state != NEW)
    curl_multi_remove_handle(ws->engine->multi, h->easy);
  dt_handle_free(h);
}

static void end(struct dt_ws *ws, int code, const char *message)
{
  struct dt_engine *e = ws->engine;

  if(ws->state == DONE)
    return;
  /* first, as the text may be the handle's */
  snprintf(ws->message, sizeof(ws->message), "%s", message);
  unwatch(ws);
  release_handle(ws);
  dt_deadlines_remove(&e->deadlines, &ws->due);
  dt_link_remove(&ws->work);
  ws->state = DONE;
  ws->ended = dt_now();
  ws->code = code;
  e->stats.finished++;
  e->activity++;
  post(ws, DT_EVENT_DONE | DT_EVENT_READABLE);
}

/* The connection cannot be used any more, without a word of the peer's. */
static void end_broken(struct dt_ws *ws)
{
  if(ws->state == OPEN)
    end(ws, DT_RESET, "the connection broke without a close frame");
  else
    end(ws, DT_RESET, "the connection broke before the peer answered");
}

/* --- deadlines ------------------------------------------------------------ */

static double earlier(double a, double b)
{
  if(a <= 0)
    return b;
  return b <= 0 || a < b ? a : b;
}

/* Is there a reason to end? The peer's close frame is answered first, and its
   failures wait for the close frame that tells it about them, unless `now`. */
static void check_end(struct dt_ws *ws, int now)
{
  unsigned code;
  const char *reason;
  size_t size;
  int failure = dt_ws_session_failure(ws->session);

  if(failure == DT_NOMEM)
    end(ws, failure, "out of memory");
  else if(!now && !ws->mute && !dt_ws_session_close_sent(ws->session))
    return;
  else if(failure == DT_TOO_LARGE)
    end(ws, failure, "a message exceeds the cap");
  else if(failure)
    end(ws, failure, "the peer broke the WebSocket protocol");
  else if(dt_ws_session_closed_by_peer(ws->session, &code, &reason, &size))
    end(ws, DT_OK, "");
}

/* When the peer is to be asked whether it is alive, or is taken for dead: the
   first multiple of the interval that is a quarter of it away, or more. */
static double ping_due(const struct dt_ws *ws)
{
  double since = ws->pinged > 0 ? ws->pinged : ws->last_received;

  if(ws->state != OPEN || ws->ping_interval <= 0)
    return 0;
  return (double)((uint64_t)(since / ws->ping_interval + 0.25) + 1) *
         ws->ping_interval;
}

static double idle_due(const struct dt_ws *ws)
{
  return ws->idle_timeout > 0 ? ws->last_activity + ws->idle_timeout : 0;
}

static void set_deadline(struct dt_ws *ws)
{
  double when = earlier(ws->end_by, ws->close_by);

  if(ws->state <= CONNECTING)
    when = earlier(when, ws->connect_by);
  if(ws->state <= OPENING)
    when = earlier(when, ws->open_by);
  when = earlier(when, earlier(ping_due(ws), idle_due(ws)));
  if(when > 0)
    dt_deadlines_set(&ws->engine->deadlines, &ws->due, when);
  else
    dt_deadlines_remove(&ws->engine->deadlines, &ws->due);
}

static int is_past(const struct dt_ws *ws, double when)
{
  return when > 0 && when <= ws->engine->now;
}

/* The moment for a ping has come, or for giving up. */
static void ping_or_end(struct dt_ws *ws)
{
  if(ws->pinged > 0 && (ws->heard > 0 || !ws->patient)) {
    end(ws, DT_IDLE_TIMEOUT, "the peer does not answer pings");
    return;
  }
  ws->pinged = ws->engine->now;
  if(!dt_ws_session_closing(ws->session))
    (void)dt_ws_session_ping(ws->session);
  work(ws);
}

static void expire(struct dt_deadline *due)
{
  struct dt_ws *ws = DT_OF(due, struct dt_ws, due);

  if(ws->paused) { /* not the peer's idleness */
    ws->last_activity = ws->last_received = ws->engine->now;
    ws->pinged = 0;
  }
  if(ws->state == OPEN && is_past(ws, ws->close_by))
    check_end(ws, 1);
  if(ws->state == DONE)
    return;
  if(is_past(ws, ws->end_by))
    end(ws, DT_TIMEOUT, "the time for this connection is over");
  else if(is_past(ws, ws->close_by))
    end(ws, DT_TIMEOUT, "the peer did not answer the close frame");
  else if(ws->state <= CONNECTING && is_past(ws, ws->connect_by))
    end(ws, DT_CONNECT_TIMEOUT, "no connection in time");
  else if(ws->state <= OPENING && is_past(ws, ws->open_by))
    end(ws, DT_TIMEOUT, "no answer to the opening in time");
  else if(is_past(ws, idle_due(ws)))
    end(ws, DT_IDLE_TIMEOUT, "no byte for too long");
  else if(is_past(ws, ping_due(ws)))
    ping_or_end(ws);
  if(ws->state != DONE)
    set_deadline(ws);
}

/* --- receiving ------------------------------------------------------------ */

/* Messages, or the peer's close frame. */
static void feed_session(struct dt_ws *ws, const char *data, size_t size)
{
  int had = dt_ws_session_has_message(ws->session);

  ws->received += size;
  if(ws->heard <= 0)
    ws->heard = ws->engine->now;
  (void)dt_ws_session_feed(ws->session, data, size);
  if(!had && dt_ws_session_has_message(ws->session))
    post(ws, DT_EVENT_READABLE);
  if(!ws->close_by && dt_ws_session_closing(ws->session))
    ws->close_by = ws->engine->now + ws->close_timeout;
}

static void feed_answer(struct dt_ws *ws, const char *data, size_t size)
{
  size_t used;
  int what = dt_ws_handshake_feed(&ws->answer, data, size, &used);

  if(what < 0)
    end(ws, what, ws->answer.message);
  else if(what == DT_WS_ANSWER_REFUSED)
    end(ws, DT_OK, "");
  else if(what == DT_WS_ANSWER_UPGRADED) {
    ws->state = OPEN;
    ws->opened = 1;
    post(ws, DT_EVENT_HEADERS);
    if(used < size)
      feed_session(ws, data + used, size - used);
    set_deadline(ws);
  }
}

static void peer_left(struct dt_ws *ws)
{
  int what;

  if(ws->state == OPEN) {
    end(ws, DT_RESET, "the peer closed the connection without a close frame");
    return;
  }
  what = dt_ws_handshake_end(&ws->answer);
  end(ws, what < 0 ? what : DT_OK, ws->answer.message);
}

/* Too much waits already, or the peer has nothing more to say. */
static int should_pause(const struct dt_ws *ws)
{
  return dt_ws_session_waiting(ws->session) >= DT_WS_QUEUE_HIGH ||
         dt_ws_session_flooded(ws->session) ||
         dt_ws_session_over(ws->session);
}

/* Takes one block from the connection: 1 if there may be more at once. */
static int read_some(struct dt_ws *ws)
{
  char buffer[READ_ROOM];
  size_t size = 0;
  CURLcode rc = curl_easy_recv(ws->handle->easy, buffer, sizeof(buffer), &size);

  if(rc && (rc != CURLE_AGAIN || ws->mute))
    end_broken(ws);
  if(rc)
    return 0;
  if(!size) {
    peer_left(ws);
    return 0;
  }
  ws->last_activity = ws->last_received = ws->engine->now;
  ws->pinged = 0;
  if(ws->state == OPENING)
    feed_answer(ws, buffer, size);
  else
    feed_session(ws, buffer, size);
  return ws->state != DONE && (ws->tls || size == sizeof(buffer));
}

static void receive(struct dt_ws *ws)
{
  int i;

  for(i = 0; i < READS && !(i && dt_engine_is_spent(ws->engine)); i++) {
    ws->paused = should_pause(ws);
    if(ws->paused || !read_some(ws))
      return;
  }
  dt_link_ensure(&ws->engine->socket_work, &ws->work);
}

/* --- sending -------------------------------------------------------------- */

/* Sends what it can of these bytes; returns how many, and notes in `blocked`
   whether the connection took less than all. When it is broken, the peer's last
   words (a refusal, a close frame) may still be there to be read: the next turn
   does that, and ends. */
static size_t send_some(struct dt_ws *ws, const char *data, size_t size)
{
  size_t done = 0;
  CURLcode rc = curl_easy_send(ws->handle->easy, data, size, &done);

  ws->blocked = rc ? rc == CURLE_AGAIN : done < size;
  if(rc && rc != CURLE_AGAIN) {
    ws->mute = 1;
    dt_link_ensure(&ws->engine->socket_work, &ws->work);
  }
  if(rc || !done)
    return 0;
  ws->last_activity = ws->engine->now;
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
      end(ws, DT_NOMEM, "out of memory");
      return;
    }
    done = send_some(ws, data, size);
    ws->sent += done;
    dt_ws_session_sent(ws->session, done);
  }
  if(ws->refused && dt_ws_session_unsent(ws->session) <= DT_WS_QUEUE_LOW) {
    ws->refused = 0;
    post(ws, DT_EVENT_WRITABLE);
  }
}

/* --- moving --------------------------------------------------------------- */

/* Does what the connection allows now. */
static void work(struct dt_ws *ws)
{
  double close_by = ws->close_by;

  ws->engine->activity++;
  ws->blocked = 0;
  if(ws->state == OPENING)
    send_opening(ws);
  if(ws->state == OPENING || ws->state == OPEN)
    receive(ws);
  if(ws->state == OPEN)
    send_frames(ws);
  if(ws->state == OPEN)
    check_end(ws, 0);
  if(ws->state == DONE || ws->state < OPENING)
    return;
  if(ws->paused && !should_pause(ws)) /* a flood was answered */
    dt_link_ensure(&ws->engine->socket_work, &ws->work);
  if(ws->close_by != close_by)
    set_deadline(ws);
  if(set_interest(ws))
    end(ws, DT_INTERNAL, "the socket cannot be watched");
}

void dt_ws_ready(struct dt_ws *ws)
{
  work(ws);
}

void dt_ws_connected(struct dt_ws *ws, CURLcode rc)
{
  curl_socket_t fd = CURL_SOCKET_BAD;
  long number = 0;

  if(rc) {
    const char *text = ws->handle->error;
    int code = dt_connect_failure(ws->handle->easy, rc);

    if(code == DT_CONNECT) {
      curl_easy_getinfo(ws->handle->easy, CURLINFO_OS_ERRNO, &number);
      ws->os_error = (int)number;
    }
    if(!*text || strchr(text, '@')) /* it may quote a password */
      text = curl_easy_strerror(rc);
    ws->state = OPENING; /* no lookup is going on */
    end(ws, code, text);
    return;
  }
  ws->engine->stats.connects++;
  ws->state = OPENING;
  curl_easy_getinfo(ws->handle->easy, CURLINFO_ACTIVESOCKET, &fd);
  if(fd == CURL_SOCKET_BAD) {
    end(ws, DT_RESET, "the connection broke before the peer answered");
  } else if(watch(ws, fd)) {
    end(ws, DT_NOMEM, "out of memory");
  } else {
    set_deadline(ws);
    work(ws);
  }
}

static int apply(struct dt_ws *ws, CURL *easy)
{
  CURLcode rc = dt_handle_set_url(ws->handle, ws->url);

  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
  if(!rc) /* or ALPN might choose HTTP/2 */
    rc = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                          (long)CURL_HTTP_VERSION_1_1);
  if(!rc) /* a proxy must not see an upgrade as a request of its own */
    rc = curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, NULL);
  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
  return rc ? -1 : 0;
}

/* Gives a new WebSocket to libcurl. */
static void begin(struct dt_ws *ws)
{
  struct dt_engine *e = ws->engine;

  ws->last_activity = e->now;
  ws->handle = dt_handle_acquire(e, ws->profile);
  if(ws->handle) {
    ws->handle->ws = ws;
    ws->handle->dirty = 1;
  }
  if(!ws->handle || apply(ws, ws->handle->easy) ||
     curl_multi_add_handle(e->multi, ws->handle->easy)) {
    end(ws, DT_NOMEM, "out of memory");
    return;
  }
  ws->state = CONNECTING;
  set_deadline(ws);
}

void dt_ws_run(struct dt_engine *e)
{
  struct dt_link turn;
  int moved = 0; /* one gets its turn, however small the budget is */

  /* those that come back have to wait for the next turn */
  dt_link_init(&turn);
  while(!dt_link_alone(&e->socket_work)) {
    struct dt_link *l = e->socket_work.next;

    dt_link_remove(l);
    dt_link_append(&turn, l);
  }
  while(!dt_link_alone(&turn)) {
    struct dt_ws *ws = DT_OF(turn.next, struct dt_ws, work);

    dt_link_remove(&ws->work);
    if(e->broken || (moved++ && dt_engine_is_spent(e))) {
      dt_link_append(&e->socket_work, &ws->work);
      continue;
    }
    if(ws->state == NEW)
      begin(ws);
    else
      work(ws);
    e->now = dt_now();
  }
}

/* --- opening -------------------------------------------------------------- */

/* The http or https URL for a ws or wss one. NULL without memory. */
static char *http_url(const char *url)
{
  size_t size = strlen(url) + 1;
  char *copy = malloc(size + 2);

  if(!copy)
    return NULL;
  if(!strncasecmp(url, "ws:", 3) || !strncasecmp(url, "wss:", 4)) {
    memcpy(copy, "http", 4);
    memcpy(copy + 4, url + 2, size - 2);
  } else {
    memcpy(copy, url, size);
  }
  return copy;
}

static int is_default_port(const struct dt_span *s, size_t size)
{
  const char *port = s->tls ? ":443" : ":80";
  size_t n = strlen(port);

  return size > n && !memcmp(s->host + size - n, port, n);
}

/* Splits the URL into the Host header and the target, both newly allocated.
   DT_OK, DT_NOMEM or DT_BAD_ARGUMENT. */
static int split_url(struct dt_ws *ws, char **host, char **target)
{
  struct dt_span span;
  const char *rest;
  size_t size;

  if(!dt_text_is_clean(ws->url) || strchr(ws->url, ' ') ||
     !dt_origin_parse(ws->url, &span) || span.host[-1] == '@')
    return DT_BAD_ARGUMENT;
  ws->tls = span.tls;
  size = span.size;
  if(is_default_port(&span, size))
    size -= span.tls ? 4 : 3;
  *host = strndup(span.host, size);
  rest = span.host + span.size;
  size = strcspn(rest, "#");
  *target = malloc(size + 2);
  if(!*host || !*target)
    return DT_NOMEM;
  (*target)[0] = '/';
  memcpy(*target + (*rest != '/'), rest, size);
  (*target)[size + (*rest != '/')] = 0;
  return DT_OK;
}

/* The profile's header lines as an array; those that only tell libcurl to
   leave a header out are passed over. NULL without memory. */
static const char **profile_lines(const struct dt_profile *p)
{
  const struct curl_slist *l;
  const char **lines;
  size_t n = 0;

  for(l = p->headers; l; l = l->next)
    n++;
  lines = malloc((n + 1) * sizeof(*lines));
  if(!lines)
    return NULL;
  n = 0;
  for(l = p->headers; l; l = l->next) {
    if(dt_text_is_header(l->data) && !dt_text_is_empty_header(l->data))
      lines[n++] = l->data;
  }
  lines[n] = NULL;
  return lines;
}

/* Writes the opening. */
static int prepare(struct dt_ws *ws, const struct dt_ws_options *o,
                   const char **what)
{
  struct dt_ws_request_line r;
  const char **lines = profile_lines(ws->profile);
  char *host = NULL, *target = NULL;
  int code;

  memset(&r, 0, sizeof(r));
  *what = "url";
  code = split_url(ws, &host, &target);
  if(!code && !lines)
    code = DT_NOMEM;
  if(!code)
    code = dt_ws_make_key(ws->key);
  if(!code) {
    r.host = host;
    r.target = target;
    r.key = ws->key;
    r.protocols = ws->protocols;
    r.user_agent = ws->profile->user_agent;
    r.headers = o->headers;
    r.profile_headers = lines;
    code = dt_ws_build_request(&r, &ws->request, &ws->request_size, what);
  }
  free(lines);
  free(host);
  free(target);
  return code;
}

static double in(const struct dt_ws *ws, double seconds)
{
  return seconds > 0 ? ws->started + seconds : 0;
}

static void set_times(struct dt_ws *ws, const struct dt_ws_options *o)
{
  ws->started = ws->last_activity = ws->last_received = dt_now();
  ws->connect_by = in(ws, o->connect_timeout);
  ws->open_by = in(ws, o->open_timeout);
  ws->end_by = in(ws, o->timeout);
  ws->idle_timeout = o->idle_timeout;
  ws->ping_interval = o->ping_interval;
  ws->patient = o->patient;
  ws->close_timeout = o->close_timeout > 0 ? o->close_timeout : CLOSE_WAIT;
}

static struct dt_ws *ws_new(struct dt_engine *e, const struct dt_ws_options *o)
{
  struct dt_ws *ws = calloc(1, sizeof(*ws));

  if(!ws)
    return NULL;
  dt_link_init(&ws->all);
  dt_link_init(&ws->work);
  dt_link_init(&ws->event);
  ws->due.expire = expire;
  ws->fd = -1;
  ws->id = dt_engine_new_id();
  ws->profile = dt_profile_ref(o->profile ? o->profile : e->profile);
  ws->url = http_url(o->url);
  ws->protocols = o->protocols ? strdup(o->protocols) : NULL;
  dt_ws_handshake_init(&ws->answer, ws->key, ws->protocols);
  if(!ws->url || (o->protocols && !ws->protocols) ||
     dt_ws_session_new(&ws->session, o->max_message, o->stream) ||
     dt_deadlines_reserve(&e->deadlines)) {
    dt_ws_free(ws);
    return NULL;
  }
  ws->engine = e;
  return ws;
}

int dt_ws_open(struct dt_engine *e, const struct dt_ws_options *o,
               struct dt_ws **out, const char **what)
{
  const char *culprit = NULL;
  struct dt_ws *ws;
  int code;

  *out = NULL;
  if(what)
    *what = NULL;
  if(!dt_engine_is_ours(e))
    return DT_FORKED;
  ws = ws_new(e, o);
  if(!ws)
    return DT_NOMEM;
  code = prepare(ws, o, &culprit);
  if(code) {
    ws->state = DONE;
    dt_ws_free(ws);
    if(what && code == DT_BAD_ARGUMENT)
      *what = culprit;
    return code;
  }
  set_times(ws, o);
  e->pipes |= ws->tls || ws->profile->tls_proxy;
  e->stats.started++;
  dt_link_append(&e->sockets, &ws->all);
  dt_link_append(&e->socket_work, &ws->work);
  set_deadline(ws);
  dt_engine_sync(e);
  *out = ws;
  return DT_OK;
}

/* --- ending from outside -------------------------------------------------- */

/* Leaves the engine. In a forked child one that is not done ends here, and
   nothing of libcurl's is touched. */
static void leave(struct dt_ws *ws)
{
  struct dt_engine *e = ws->engine;

  if(ws->state != DONE) {
    dt_deadlines_remove(&e->deadlines, &ws->due);
    if(ws->fd >= 0)
      e->socket_at[ws->fd] = NULL;
    ws->fd = -1;
    ws->handle = NULL;
    ws->state = DONE;
    ws->ended = dt_now();
    ws->code = DT_FORKED;
  }
  dt_deadlines_release(&e->deadlines);
  dt_link_remove(&ws->all);
  dt_link_remove(&ws->work);
  dt_link_remove(&ws->event);
  ws->engine = NULL;
}

void dt_ws_leave(struct dt_engine *e, int forget)
{
  while(!dt_link_alone(&e->sockets)) {
    struct dt_ws *ws = DT_OF(e->sockets.next, struct dt_ws, all);

    if(!forget)
      end(ws, DT_CANCELED, "the engine was closed");
    leave(ws);
  }
}

/* libcurl's multi handle goes away, and with it all connections. */
void dt_ws_end_all(struct dt_engine *e, int code, const char *message)
{
  struct dt_link *l = e->sockets.next, *next;

  for(; l != &e->sockets; l = next) {
    struct dt_ws *ws = DT_OF(l, struct dt_ws, all);

    next = l->next;
    if(ws->state != NEW)
      end(ws, code, message ? message : "");
  }
}

void dt_ws_cancel(struct dt_ws *ws)
{
  struct dt_engine *e = ws->engine;
  struct dt_sigpipe pipe;

  if(!e || ws->state == DONE || !dt_engine_is_ours(e))
    return;
  dt_sigpipe_block(&pipe, e->pipes);
  end(ws, DT_CANCELED, "canceled");
  dt_sigpipe_restore(&pipe);
  dt_engine_sync(e);
}

void dt_ws_free(struct dt_ws *ws)
{
  if(!ws)
    return;
  dt_ws_cancel(ws);
  if(ws->engine)
    leave(ws);
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
  return ws->id;
}

double dt_ws_heard(const struct dt_ws *ws)
{
  return ws->heard;
}

/* --- what the user does --------------------------------------------------- */

int dt_engine_next_ws_event(struct dt_engine *e, struct dt_ws **ws,
                            unsigned *what)
{
  *ws = NULL;
  *what = 0;
  if(dt_link_alone(&e->socket_events) || !dt_engine_is_ours(e))
    return 0;
  *ws = DT_OF(e->socket_events.next, struct dt_ws, event);
  *what = (*ws)->events;
  (*ws)->events = 0;
  dt_link_remove(&(*ws)->event);
  dt_engine_sync(e);
  return 1;
}

/* Room was made: reading goes on in the next step. */
static void resume(struct dt_ws *ws)
{
  if(!ws->paused || ws->state == DONE ||
     dt_ws_session_waiting(ws->session) > DT_WS_QUEUE_LOW)
    return;
  dt_link_ensure(&ws->engine->socket_work, &ws->work);
  dt_engine_sync(ws->engine);
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
  if(ws->state != DONE)
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
  struct dt_engine *e = ws->engine;
  struct dt_sigpipe pipe;

  if(ws->state != OPEN || ws->blocked)
    return;
  dt_sigpipe_block(&pipe, e->pipes);
  e->now = dt_now();
  send_frames(ws);
  if(ws->state == OPEN && set_interest(ws))
    end(ws, DT_INTERNAL, "the socket cannot be watched");
  dt_sigpipe_restore(&pipe);
  dt_engine_sync(e);
}

int dt_ws_send(struct dt_ws *ws, int text, const char *data, size_t size,
               int *taken)
{
  int code;

  *taken = 0;
  if(ws->state == DONE)
    return ws->code ? ws->code : DT_BAD_ARGUMENT;
  if(!dt_engine_is_ours(ws->engine))
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

  if(ws->state == DONE)
    return DT_OK;
  if(!dt_engine_is_ours(ws->engine))
    return DT_FORKED;
  if(ws->state != OPEN) {
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
  set_deadline(ws);
  dt_link_ensure(&ws->engine->socket_work, &ws->work); /* if it was paused */
  flush(ws);
  dt_engine_sync(ws->engine);
  return DT_OK;
}

void dt_ws_result(const struct dt_ws *ws, struct dt_ws_result *r)
{
  const struct dt_ws_handshake *a = &ws->answer;

  memset(r, 0, sizeof(*r));
  r->done = ws->state == DONE;
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
  r->seconds = (r->done ? ws->ended : dt_now()) - ws->started;
}
