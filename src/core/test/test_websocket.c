/*
 * test_websocket.c - WebSockets on the engine, against peers that write their
 * frames byte by byte.
 */
#define _GNU_SOURCE
#include "../websocket.h"
#include "../ws_handshake.h"
#include "check.h"
#include "peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void test_websocket(void);

/* --- the peer's side ------------------------------------------------------ */

/* Reads the opening; *accept is the answer to its key. 0 when there is none. */
static int read_opening(int fd, char accept[DT_WS_ACCEPT_SIZE + 1])
{
  struct peer_request *r = malloc(sizeof(*r));
  const char *key;
  int ok = peer_read(fd, r);

  if(ok) {
    key = strstr(r->head, "Sec-WebSocket-Key: ");
    ok = key && !dt_ws_accept_for(key + 19, accept);
  }
  free(r->body);
  free(r);
  return ok;
}

/* Reads the opening and accepts it. */
static int upgrade(int fd)
{
  char accept[DT_WS_ACCEPT_SIZE + 1], text[256];

  if(!read_opening(fd, accept))
    return 0;
  sprintf(text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
          "Connection: Upgrade\r\nX-Test: yes\r\n"
          "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  peer_send(fd, text);
  return 1;
}

static void send_frame(int fd, int first, const char *data, size_t size)
{
  unsigned char head[10] = { 0 };
  size_t n = 2;

  head[0] = (unsigned char)first;
  head[1] = (unsigned char)(size < 126 ? size : size < 65536 ? 126 : 127);
  if(size >= 65536) {
    n = 10;
    head[6] = (unsigned char)(size >> 24);
    head[7] = (unsigned char)(size >> 16);
  } else if(size >= 126) {
    n = 4;
  }
  if(n > 2) {
    head[n - 2] = (unsigned char)(size >> 8);
    head[n - 1] = (unsigned char)size;
  }
  peer_send_bytes(fd, (const char *)head, n);
  peer_send_bytes(fd, data, size);
}

static void send_close(int fd, unsigned code, const char *reason)
{
  char data[128];
  size_t n = strlen(reason);

  data[0] = (char)(code >> 8);
  data[1] = (char)code;
  memcpy(data + 2, reason, n);
  send_frame(fd, 0x88, data, n + 2);
}

static int read_exactly(int fd, unsigned char *data, size_t size)
{
  while(size) {
    ssize_t n = recv(fd, data, size, 0);

    if(n <= 0)
      return 0;
    data += n;
    size -= (size_t)n;
  }
  return 1;
}

/* Reads a frame of the client's into `data`, unmasked: its first byte, or -1
   when the connection ended. */
static int read_frame(int fd, char *data, size_t room, size_t *size)
{
  unsigned char head[2], length[8], mask[4];
  size_t i, n;

  if(!read_exactly(fd, head, 2))
    return -1;
  CHECK(head[1] & 128);
  n = head[1] & 127;
  *size = n;
  if(n >= 126) {
    n = n == 126 ? 2 : 8;
    if(!read_exactly(fd, length, n))
      return -1;
    for(*size = 0, i = 0; i < n; i++)
      *size = *size << 8 | length[i];
  }
  if(*size > room || !read_exactly(fd, mask, 4) ||
     !read_exactly(fd, (unsigned char *)data, *size))
    return -1;
  for(i = 0; i < *size; i++)
    data[i] = (char)(data[i] ^ mask[i % 4]);
  return head[0];
}

/* Sends back what it gets, close frames too. */
static void echo(struct peer *p, int fd, int n)
{
  size_t size, room = 1 << 20;
  char *data = malloc(room);
  int first;

  (void)p;
  (void)n;
  if(upgrade(fd)) {
    do {
      first = read_frame(fd, data, room, &size);
      if(first == 0x89)
        first = 0x8A;
      if(first >= 0)
        send_frame(fd, first, data, size);
    } while(first >= 0 && first != 0x88);
  }
  free(data);
}

/* --- our side ------------------------------------------------------------- */

/* What most tests open, valid until the next call. */
static const struct dt_ws_options *options(struct peer *p)
{
  static struct dt_ws_options o;

  memset(&o, 0, sizeof(o));
  o.url = peer_url(p, "/socket?x=1");
  o.timeout = 60;
  o.close_timeout = 0.1;
  return &o;
}

static struct dt_ws *open_ws(struct dt_engine *e, const struct dt_ws_options *o)
{
  struct dt_ws *ws;
  const char *what;

  CHECK(dt_ws_open(e, o, &ws, &what) == DT_OK);
  if(!ws)
    abort();
  return ws;
}

/* Polls until it has reported one of `mask`; what it reported. */
static unsigned await(struct dt_engine *e, struct dt_ws *ws, unsigned mask)
{
  uint64_t whose;
  unsigned what, seen = 0;

  while(!(seen & (mask | DT_EVENT_DONE))) {
    if(dt_engine_next_event(e, &whose, &what)) {
      if(whose == dt_ws_id(ws))
        seen |= what;
    } else {
      dt_engine_poll(e, -1, NULL);
    }
  }
  return seen;
}

static const struct dt_ws_result *finish_ws(struct dt_engine *e,
                                            struct dt_ws *ws)
{
  static struct dt_ws_result r;

  dt_ws_result(ws, &r);
  if(!r.done)
    await(e, ws, DT_EVENT_DONE);
  dt_ws_result(ws, &r);
  CHECK(r.done);
  return &r;
}

/* Waits for the next message; dt_ws_receive's answer. */
static int next(struct dt_engine *e, struct dt_ws *ws, struct dt_ws_piece *m)
{
  int rc = dt_ws_receive(ws, m);

  while(rc == 0) {
    await(e, ws, DT_EVENT_READABLE);
    rc = dt_ws_receive(ws, m);
  }
  return rc;
}

static int is_text(const struct dt_ws_piece *m, const char *text)
{
  return m->size == strlen(text) && !memcmp(m->data, text, m->size);
}

/* Everything about an ended connection that most tests ask for. */
static void expect_end(struct dt_engine *e, struct dt_ws *ws, int code,
                       unsigned close_code)
{
  const struct dt_ws_result *r = finish_ws(e, ws);
  struct dt_ws_piece m;

  CHECK(r->code == code);
  CHECK(r->close_code == close_code);
  CHECK((*r->message == 0) == (code == DT_OK));
  CHECK(dt_ws_receive(ws, &m) == (code ? code : 2));
  dt_ws_free(ws);
}

/* --- tests ---------------------------------------------------------------- */

static void test_echo(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o);
  struct dt_ws_piece m;
  struct dt_ws_result r;
  int taken;

  CHECK(dt_ws_receive(ws, &m) == 0);
  CHECK(await(e, ws, DT_EVENT_HEADERS) == DT_EVENT_HEADERS);
  dt_ws_result(ws, &r);
  CHECK(r.opened && !r.done && r.status == 101 && r.request_sent);
  CHECK(!strncmp(strstr(r.header_block, "X-Test"), "X-Test: yes\r\n", 13));
  CHECK(dt_ws_send(ws, 1, "h\xc3\xa9", 3, &taken) == DT_OK && taken);
  CHECK(dt_ws_send(ws, 0, "\0\377", 2, &taken) == DT_OK && taken);
  CHECK(next(e, ws, &m) == 1 && m.text && m.final && is_text(&m, "h\xc3\xa9"));
  CHECK(next(e, ws, &m) == 1 && !m.text && m.size == 2);
  CHECK(dt_ws_receive(ws, &m) == 0);
  CHECK(dt_ws_close(ws, 4000, "bye", 3) == DT_OK);
  CHECK(dt_ws_close(ws, 1000, "", 0) == DT_OK);
  CHECK(dt_ws_send(ws, 1, "late", 4, &taken) == DT_BAD_ARGUMENT && !taken);
  finish_ws(e, ws);
  dt_ws_result(ws, &r);
  CHECK(r.close_size == 3 && !memcmp(r.close_reason, "bye", 3));
  CHECK(r.received == 16 && r.sent == 28);
  CHECK(dt_ws_send(ws, 1, "late", 4, &taken) == DT_BAD_ARGUMENT && !taken);
  expect_end(e, ws, DT_OK, 4000);
  dt_engine_free(e);
  peer_close(p);
}

/* Messages given before the connection is there are the first to go. */
static void test_send_early(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o);
  struct dt_ws_piece m;
  int taken;

  CHECK(dt_ws_send(ws, 1, "first", 5, &taken) == DT_OK && taken);
  CHECK(next(e, ws, &m) == 1 && is_text(&m, "first"));
  dt_ws_close(ws, 0, NULL, 0);
  expect_end(e, ws, DT_OK, 1005);
  dt_engine_free(e);
  peer_close(p);
}

/* The answer and two frames, each byte in a packet of its own. */
static void dribble(struct peer *p, int fd, int n)
{
  char accept[DT_WS_ACCEPT_SIZE + 1], text[512];
  size_t i, size;

  (void)p;
  (void)n;
  if(!read_opening(fd, accept))
    return;
  size = (size_t)sprintf(text, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Accept: "
                         "%s\r\n\r\n\x81\x03one\x01\x02tw", accept);
  memcpy(text + size, "\x80\x01o\x88\x02\x03\xe8", 7);
  for(i = 0; i < size + 7; i++)
    peer_send_bytes(fd, text + i, 1);
  peer_hold(fd);
}

static void test_dribble(void)
{
  struct peer *p = peer_open(dribble, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o);
  struct dt_ws_piece m;

  CHECK(next(e, ws, &m) == 1 && is_text(&m, "one"));
  CHECK(next(e, ws, &m) == 1 && is_text(&m, "two"));
  CHECK(next(e, ws, &m) == 2);
  expect_end(e, ws, DT_OK, 1000);
  dt_engine_free(e);
  peer_close(p);
}

/* --- openings that fail --------------------------------------------------- */

/* Opens a WebSocket to a peer that answers every opening with this text; the
   status. */
static long answered_with(const char *text, const char *body, int code)
{
  union {
    const char *text;
    void *data;
  } u;
  struct peer *p;
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o;
  struct dt_ws_result r;
  struct dt_ws *ws;

  u.text = text;
  p = peer_open(peer_says, u.data);
  o = *options(p);
  ws = open_ws(e, &o);
  r = *finish_ws(e, ws);
  CHECK(!r.opened && r.code == code);
  CHECK(r.body_size == strlen(body) && !memcmp(r.body, body, r.body_size));
  dt_ws_free(ws);
  dt_engine_free(e);
  peer_close(p);
  return r.status;
}

static void test_refusals(void)
{
  long status;

  status = answered_with("HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n"
                         "{\"code\":\"X\"}", "{\"code\":\"X\"}", DT_OK);
  CHECK(status == 404);
  status = answered_with("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "2\r\nno\r\n0\r\n\r\n", "no", DT_OK);
  CHECK(status == 401);
  status = answered_with("HTTP/1.0 502 Bad Gateway\r\n\r\nbad", "bad", DT_OK);
  CHECK(status == 502);
  status = answered_with("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
                         "", DT_PROTOCOL);
  CHECK(status == 101);
  answered_with("", "", DT_RESET);
  answered_with("HTTP/1.1 404 N", "", DT_RESET);
  answered_with("HTTP/1.1 404 X\r\nContent-Length: 9\r\n\r\nabc", "abc",
                DT_TRUNCATED);
  answered_with("SSH-2.0-OpenSSH\r\n\r\n", "", DT_PROTOCOL);
}

static void test_no_connection(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws;
  char url[256];

  snprintf(url, sizeof(url), "%s", o.url);
  o.url = url;
  peer_close(p);
  ws = open_ws(e, &o);
  CHECK(finish_ws(e, ws)->os_error == ECONNREFUSED);
  expect_end(e, ws, DT_CONNECT, 1006);
  o.url = "ws://name.invalid/";
  expect_end(e, open_ws(e, &o), DT_RESOLVE, 1006);
  dt_engine_free(e);
}

static void refused(struct dt_engine *e, const char *url, const char *header,
                    const char *culprit)
{
  const char *headers[2];
  struct dt_ws_options o;
  struct dt_ws *ws;
  const char *what;

  headers[0] = header;
  headers[1] = NULL;
  memset(&o, 0, sizeof(o));
  o.url = url;
  o.headers = headers;
  CHECK(dt_ws_open(e, &o, &ws, &what) == DT_BAD_ARGUMENT);
  CHECK(!ws && what && !strcmp(what, culprit));
}

static void test_bad_arguments(void)
{
  struct dt_engine *e = engine_open(0);
  struct dt_engine_stats stats;

  refused(e, "ftp://h/", NULL, "url");
  refused(e, "ws:///", NULL, "url");
  refused(e, "ws://h/a b", NULL, "url");
  refused(e, "ws://h/\r\nX: y", NULL, "url");
  refused(e, "ws://user:secret@h/", NULL, "url");
  refused(e, "ws://h/", "X: a\nY: b", "a header");
  refused(e, "ws://h/", "Sec-WebSocket-Key: x", "a header");
  dt_engine_get_stats(e, &stats);
  CHECK(stats.started == 0 && stats.finished == 0);
  CHECK(dt_engine_timeout(e) < 0);
  dt_engine_free(e);
}

/* A proxy that is asked for a tunnel, and the server at its end. */
static void tunnel(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  int *asked = peer_data(p);

  if(peer_read(fd, r)) {
    *asked = !strncmp(r->head, "CONNECT sandbox.test:80 ", 24);
    peer_send(fd, n == 1 ? "HTTP/1.1 200 OK\r\n\r\n"
                         : "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    echo(p, fd, n);
  }
  free(r->body);
  free(r);
}

static void test_proxy(void)
{
  int asked = 0, taken;
  struct peer *p = peer_open(tunnel, &asked);
  struct dt_engine *e = engine_open(0);
  struct dt_profile_options profile;
  struct dt_ws_options o = *options(p);
  struct dt_ws_piece m;
  struct dt_ws *ws;

  memset(&profile, 0, sizeof(profile));
  profile.proxy = peer_url(p, "");
  CHECK(dt_profile_new(&o.profile, &profile) == DT_OK);
  o.url = "ws://sandbox.test/socket";
  ws = open_ws(e, &o);
  CHECK(dt_ws_send(ws, 1, "through", 7, &taken) == DT_OK);
  CHECK(next(e, ws, &m) == 1 && is_text(&m, "through"));
  dt_ws_free(ws);
  expect_end(e, open_ws(e, &o), DT_CONNECT, 1006);
  CHECK(asked);
  dt_profile_free(o.profile);
  dt_engine_free(e);
  peer_close(p);
}

/* --- ends ----------------------------------------------------------------- */

static void say_and_drop(struct peer *p, int fd, int n)
{
  (void)p;
  (void)n;
  if(upgrade(fd)) {
    send_frame(fd, 0x81, "last words", 10);
    peer_send_bytes(fd, "\x81\x05" "cut", 5);
  }
}

/* A connection that just ends is told apart from one that was closed. */
static void test_no_close_frame(void)
{
  struct peer *p = peer_open(say_and_drop, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o);
  struct dt_ws_piece m;

  finish_ws(e, ws);
  CHECK(dt_ws_receive(ws, &m) == 1 && is_text(&m, "last words"));
  expect_end(e, ws, DT_RESET, 1006);
  dt_engine_free(e);
  peer_close(p);
}

static void say_and_reset(struct peer *p, int fd, int n)
{
  (void)p;
  (void)n;
  if(upgrade(fd))
    peer_reset(fd);
}

static void test_reset(void)
{
  struct peer *p = peer_open(say_and_reset, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);

  expect_end(e, open_ws(e, &o), DT_RESET, 1006);
  dt_engine_free(e);
  peer_close(p);
}

static void close_1011(struct peer *p, int fd, int n)
{
  char data[256];
  size_t size;
  int *answered = peer_data(p);

  (void)n;
  if(upgrade(fd)) {
    send_close(fd, 1011, "{\"exitCode\":3}");
    *answered = read_frame(fd, data, sizeof(data), &size) == 0x88 && size == 16;
  }
}

static void test_closed_by_peer(void)
{
  int answered = 0;
  struct peer *p = peer_open(close_1011, &answered);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o);
  const struct dt_ws_result *r = finish_ws(e, ws);

  CHECK(r->close_size == 14);
  CHECK(!memcmp(r->close_reason, "{\"exitCode\":3}", 14));
  expect_end(e, ws, DT_OK, 1011);
  dt_engine_free(e);
  peer_close(p);
  CHECK(answered);
}

/* Says goodbye and resets the connection before our answer can reach it. */
static void close_and_reset(struct peer *p, int fd, int n)
{
  char byte;
  int *gate = peer_data(p), now = 1;

  (void)n;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof(now));
  if(upgrade(fd)) {
    send_frame(fd, 0x82, "last words", 10);
    send_close(fd, 1011, "{\"exitCode\":3}");
    CHECK(read(*gate, &byte, 1) == 1);
    peer_reset(fd);
  }
}

/* What the peer said before it went is heard, also when it is our sending that
   finds out. */
static void test_last_words(void)
{
  int gate[2] = { -1, -1 };
  struct peer *p;
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o;
  struct dt_ws_piece m;
  struct dt_ws *ws;
  int i, taken;

  CHECK(pipe(gate) == 0);
  p = peer_open(close_and_reset, &gate[0]);
  o = *options(p);
  ws = open_ws(e, &o);
  await(e, ws, DT_EVENT_HEADERS);
  CHECK(write(gate[1], "x", 1) == 1);
  for(i = 0; i < 20; i++) {
    dt_ws_send(ws, 0, "typed", 5, &taken);
    usleep(1000);
  }
  CHECK(next(e, ws, &m) == 1 && is_text(&m, "last words"));
  expect_end(e, ws, DT_OK, 1011);
  dt_engine_free(e);
  peer_close(p);
  close(gate[0]);
  close(gate[1]);
}

/* Upgrades and reads, but never says anything. */
static void mute(struct peer *p, int fd, int n)
{
  (void)p;
  (void)n;
  if(upgrade(fd))
    peer_hold(fd);
}

static void test_close_unanswered(void)
{
  struct peer *p = peer_open(mute, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o);

  await(e, ws, DT_EVENT_HEADERS);
  CHECK(dt_ws_close(ws, 1005, "", 0) == DT_BAD_ARGUMENT);
  CHECK(dt_ws_close(ws, 1000, "", 0) == DT_OK);
  expect_end(e, ws, DT_TIMEOUT, 1006);
  dt_engine_free(e);
  peer_close(p);
}

static void big_frame(struct peer *p, int fd, int n)
{
  char data[256];
  size_t size;
  int *told = peer_data(p);

  (void)n;
  if(upgrade(fd)) {
    send_frame(fd, 0x82, "0123456789", 10);
    *told = read_frame(fd, data, sizeof(data), &size) == 0x88 && size == 2 &&
            !memcmp(data, "\x03\xf1", 2);
  }
}

static void test_too_large(void)
{
  int told = 0;
  struct peer *p = peer_open(big_frame, &told);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);

  o.max_message = 9;
  expect_end(e, open_ws(e, &o), DT_TOO_LARGE, 1006);
  dt_engine_free(e);
  peer_close(p);
  CHECK(told);
}

static void masked_frame(struct peer *p, int fd, int n)
{
  (void)p;
  (void)n;
  if(upgrade(fd)) {
    peer_send_bytes(fd, "\x81\x81keyyx", 7);
    peer_hold(fd);
  }
}

static void test_breach(void)
{
  struct peer *p = peer_open(masked_frame, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);

  expect_end(e, open_ws(e, &o), DT_PROTOCOL, 1006);
  dt_engine_free(e);
  peer_close(p);
}

/* --- deadlines ------------------------------------------------------------ */

static void test_deadlines(void)
{
  struct peer *silent = peer_open(peer_silent, NULL);
  struct peer *quiet = peer_open(mute, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(silent);

  o.open_timeout = 0.05;
  expect_end(e, open_ws(e, &o), DT_TIMEOUT, 1006);
  o = *options(quiet);
  o.timeout = 0.1;
  expect_end(e, open_ws(e, &o), DT_TIMEOUT, 1006);
  o = *options(quiet);
  o.idle_timeout = 0.05;
  expect_end(e, open_ws(e, &o), DT_IDLE_TIMEOUT, 1006);
  o = *options(quiet);
  o.ping_interval = 0.05;
  expect_end(e, open_ws(e, &o), DT_IDLE_TIMEOUT, 1006);
  dt_engine_free(e);
  peer_close(silent);
  peer_close(quiet);
}

/* A peer that answers pings is alive, though it says nothing else. */
static void test_alive(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws;
  double begin = dt_now();
  struct dt_ws_result r;

  o.ping_interval = 0.05;
  ws = open_ws(e, &o);
  await(e, ws, DT_EVENT_HEADERS);
  while(dt_now() < begin + 0.3)
    dt_engine_poll(e, 0.3, NULL);
  dt_ws_result(ws, &r);
  CHECK(!r.done && r.received >= 2);
  dt_ws_free(ws);
  dt_engine_free(e);
  peer_close(p);
}

static void test_slow_lookup(void)
{
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o;
  struct dt_ws *ws;

  memset(&o, 0, sizeof(o));
  o.url = "ws://slow.test/";
  o.connect_timeout = 0.1;
  expect_end(e, open_ws(e, &o), DT_CONNECT_TIMEOUT, 1006);
  o.connect_timeout = 0;
  ws = open_ws(e, &o);
  while(!slow_lookups_running())
    dt_engine_poll(e, 0.01, NULL);
  dt_ws_cancel(ws);
  expect_end(e, ws, DT_CANCELED, 1006);
  slow_lookups_end(1);
  dt_engine_poll(e, 0.05, NULL);
  slow_lookups_end(0);
  dt_engine_free(e);
}

/* --- cancel --------------------------------------------------------------- */

static void test_cancel_at_each_stage(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws;
  int steps;

  for(steps = 0; steps < 8; steps++) {
    int i;

    ws = open_ws(e, &o);
    for(i = 0; i < steps; i++)
      dt_engine_poll(e, 0.01, NULL);
    dt_ws_cancel(ws);
    dt_ws_cancel(ws);
    expect_end(e, ws, DT_CANCELED, 1006);
  }
  ws = open_ws(e, &o);
  dt_ws_close(ws, 1000, "", 0); /* not open yet */
  expect_end(e, ws, DT_CANCELED, 1006);
  ws = open_ws(e, &o);
  dt_ws_free(ws);
  dt_ws_free(NULL);
  dt_engine_free(e);
  peer_close(p);
}

/* A WebSocket outlives its engine. */
static void test_engine_goes_first(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o), *new = open_ws(e, &o);
  struct dt_ws_result r;
  struct dt_ws_piece m;
  int taken;

  await(e, ws, DT_EVENT_HEADERS);
  dt_engine_free(e);
  dt_ws_result(ws, &r);
  CHECK(r.done && r.code == DT_CANCELED);
  CHECK(dt_ws_receive(ws, &m) == DT_CANCELED);
  CHECK(dt_ws_send(ws, 1, "x", 1, &taken) == DT_CANCELED);
  CHECK(dt_ws_close(ws, 1000, "", 0) == DT_OK);
  dt_ws_cancel(ws);
  dt_ws_free(ws);
  dt_ws_free(new);
  peer_close(p);
}

static int child_of_fork(struct dt_engine *e, struct dt_ws *ws,
                         struct dt_ws *other, const struct dt_ws_options *o)
{
  struct dt_ws_piece m;
  struct dt_ws *none;
  int taken;
  int ok = dt_ws_send(ws, 1, "x", 1, &taken) == DT_FORKED &&
           dt_ws_close(ws, 1000, "", 0) == DT_FORKED &&
           dt_ws_open(e, o, &none, NULL) == DT_FORKED;

  dt_ws_cancel(ws);
  dt_ws_free(ws);
  dt_engine_abandon(e);
  ok = ok && dt_ws_receive(other, &m) == DT_FORKED;
  dt_ws_free(other);
  dt_engine_free(e);
  return ok;
}

/* A child does not disturb its parent's connections. */
static void test_fork(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o), *other = open_ws(e, &o);
  struct dt_ws_piece m;
  int status = -1, taken;
  pid_t child;

  await(e, ws, DT_EVENT_HEADERS);
  child = fork();
  if(child == 0) {
    if(child_of_fork(e, ws, other, &o)) /* it leaks on purpose: nothing to */
      execlp("true", "true", (char *)NULL); /* look at for memory checkers */
    _exit(1);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(dt_ws_send(ws, 1, "mine", 4, &taken) == DT_OK);
  CHECK(next(e, ws, &m) == 1 && is_text(&m, "mine"));
  dt_ws_free(ws);
  dt_ws_free(other);
  dt_engine_free(e);
  peer_close(p);
}

/* --- back-pressure -------------------------------------------------------- */

#define FLOOD 400
#define BLOCK 65536

static void flood(struct peer *p, int fd, int n)
{
  char *data = malloc(BLOCK);
  int i;

  (void)p;
  (void)n;
  memset(data, 'f', BLOCK);
  if(upgrade(fd)) {
    for(i = 0; i < FLOOD; i++)
      send_frame(fd, 0x82, data, BLOCK);
    send_close(fd, 1000, "");
    peer_hold(fd);
  }
  free(data);
}

/* What nobody receives is not read from the connection. */
static void test_slow_receiver(void)
{
  struct peer *p = peer_open(flood, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws;
  struct dt_ws_piece m;
  struct dt_ws_result r;
  int count = 0, i;

  o.idle_timeout = 1; /* does not count while we are the slow ones */
  ws = open_ws(e, &o);
  await(e, ws, DT_EVENT_READABLE);
  for(i = 0; i < 10; i++)
    dt_engine_poll(e, 0.12, NULL);
  dt_ws_result(ws, &r);
  CHECK(!r.done && r.received < DT_WS_QUEUE_HIGH + 4 * BLOCK);
  while(next(e, ws, &m) == 1) {
    CHECK(m.size == BLOCK);
    count++;
  }
  CHECK(count == FLOOD);
  expect_end(e, ws, DT_OK, 1000);
  dt_engine_free(e);
  peer_close(p);
}

static void late_reader(struct peer *p, int fd, int n)
{
  int *gate = peer_data(p);
  char byte, *data = malloc(BLOCK);
  size_t size;
  int count = 0;

  (void)n;
  if(upgrade(fd) && read(*gate, &byte, 1) == 1) {
    while(read_frame(fd, data, BLOCK, &size) == 0x82)
      count++;
    send_close(fd, 1000, count == FLOOD ? "all" : "some are missing");
  }
  free(data);
}

/* A peer that does not read makes sending stop, and go on when it does. */
static void test_slow_peer(void)
{
  int gate[2] = { -1, -1 };
  struct peer *p;
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o;
  struct dt_ws_result r;
  char *data = calloc(1, BLOCK);
  struct dt_ws *ws;
  int count = 0, taken = 1;

  CHECK(pipe(gate) == 0);
  p = peer_open(late_reader, &gate[0]);
  o = *options(p);
  o.close_timeout = 30;
  ws = open_ws(e, &o);
  await(e, ws, DT_EVENT_HEADERS);
  while(taken && count < FLOOD) {
    CHECK(dt_ws_send(ws, 0, data, BLOCK, &taken) == DT_OK);
    count += taken;
  }
  CHECK(count < FLOOD);
  dt_ws_result(ws, &r);
  CHECK(r.unsent >= DT_WS_QUEUE_HIGH);
  CHECK(r.unsent < DT_WS_QUEUE_HIGH + 2 * BLOCK);
  CHECK(write(gate[1], "x", 1) == 1);
  while(count < FLOOD) {
    CHECK(await(e, ws, DT_EVENT_WRITABLE) == DT_EVENT_WRITABLE);
    taken = 1;
    while(taken && count < FLOOD) {
      CHECK(dt_ws_send(ws, 0, data, BLOCK, &taken) == DT_OK);
      count += taken;
    }
  }
  dt_ws_close(ws, 1000, "", 0);
  r = *finish_ws(e, ws);
  CHECK(r.close_size == 3);
  expect_end(e, ws, DT_OK, 1000);
  dt_engine_free(e);
  peer_close(p);
  close(gate[0]);
  close(gate[1]);
  free(data);
}

#define PINGS 20000

static void ping_flood(struct peer *p, int fd, int n)
{
  char data[64];
  size_t size;
  int i, *answered = peer_data(p);

  (void)n;
  if(!upgrade(fd))
    return;
  for(i = 0; i < PINGS; i++)
    peer_send_bytes(fd, "\x89\x01p", 3);
  for(i = 0; i < PINGS; i++)
    *answered += read_frame(fd, data, sizeof(data), &size) == 0x8A && size == 1;
  send_close(fd, 1000, "");
  peer_hold(fd);
}

static void test_ping_flood(void)
{
  int answered = 0;
  struct peer *p = peer_open(ping_flood, &answered);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);

  expect_end(e, open_ws(e, &o), DT_OK, 1000);
  dt_engine_free(e);
  peer_close(p);
  CHECK(answered == PINGS);
}

/* --- behind the engine's descriptor --------------------------------------- */

static int is_readable(struct dt_engine *e, int ms)
{
  struct pollfd p;

  p.fd = dt_engine_fd(e);
  p.events = POLLIN;
  return poll(&p, 1, ms) == 1;
}

/* A host that only watches the descriptor sees everything, and then quiet. */
static void test_watched(void)
{
  struct peer *p = peer_open(flood, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_ws_options o = *options(p);
  struct dt_ws *ws = open_ws(e, &o);
  uint64_t whose;
  struct dt_ws_piece m;
  unsigned what;
  int count = 0, done = 0;

  while(!done && is_readable(e, 5000)) {
    dt_engine_step(e, 0);
    while(dt_engine_next_event(e, &whose, &what))
      done = (what & DT_EVENT_DONE) != 0;
    while(dt_ws_receive(ws, &m) == 1)
      count++;
  }
  CHECK(done && count == FLOOD);
  CHECK(!is_readable(e, 20));
  expect_end(e, ws, DT_OK, 1000);
  dt_engine_free(e);
  peer_close(p);
}

/* --- many ----------------------------------------------------------------- */

static void drop_events(struct dt_engine *e)
{
  uint64_t whose;
  unsigned what;

  while(dt_engine_next_event(e, &whose, &what))
    ;
}

#define MANY 300 /* more than max_connections, and than libcurl keeps */

static void test_many_quiet(void)
{
  struct peer *p = peer_open(echo, NULL);
  struct dt_engine *e = engine_open(50);
  struct dt_ws_options o = *options(p);
  struct dt_engine_stats before, after;
  static struct dt_ws *ws[MANY];
  struct dt_ws_piece m;
  int i, taken;

  for(i = 0; i < MANY; i++)
    ws[i] = open_ws(e, &o);
  for(i = 0; i < MANY; i++) {
    struct dt_ws_result r;

    dt_ws_result(ws[i], &r);
    while(!r.opened && !r.done) {
      dt_engine_poll(e, -1, NULL);
      drop_events(e);
      dt_ws_result(ws[i], &r);
    }
    CHECK(r.opened && !r.done);
  }
  dt_engine_get_stats(e, &before);
  dt_engine_poll(e, 0.2, NULL);
  dt_engine_get_stats(e, &after);
  CHECK(after.polls == before.polls + 1 && after.steps == before.steps + 1);
  for(i = 0; i < MANY; i++)
    CHECK(dt_ws_send(ws[i], 1, "alive", 5, &taken) == DT_OK);
  for(i = 0; i < MANY; i++) {
    while(!dt_ws_receive(ws[i], &m)) {
      dt_engine_poll(e, -1, NULL);
      drop_events(e);
    }
    CHECK(is_text(&m, "alive"));
  }
  for(i = 0; i < MANY; i++)
    dt_ws_free(ws[i]);
  CHECK(dt_engine_timeout(e) != 0);
  dt_engine_free(e);
  peer_close(p);
}

void test_websocket(void)
{
  test_echo();
  test_send_early();
  test_dribble();
  test_refusals();
  test_no_connection();
  test_bad_arguments();
  test_proxy();
  test_no_close_frame();
  test_reset();
  test_closed_by_peer();
  test_last_words();
  test_close_unanswered();
  test_too_large();
  test_breach();
  test_deadlines();
  test_alive();
  test_slow_lookup();
  test_cancel_at_each_stage();
  test_engine_goes_first();
  test_fork();
  test_slow_receiver();
  test_slow_peer();
  test_ping_flood();
  test_watched();
  test_many_quiet();
}
