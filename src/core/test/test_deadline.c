/*
 * test_deadline.c - deadlines at each stage of a transfer.
 */
#define _GNU_SOURCE
#include "../websocket.h"
#include "check.h"
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON 0.15

/* The transfer ends with the code, not before SOON and not much later. */
static void expect_late(struct dt_engine *e, const struct dt_request *r,
                        int code, const char *stage)
{
  struct dt_transfer *t = begin(e, r);
  struct dt_result result = *finish(e, t);

  CHECK(result.code == code);
  CHECK(contains(result.message, stage));
  CHECK(result.seconds >= SOON * 0.99 && result.seconds < SOON + 5);
  dt_transfer_free(t);
}

/* A listening socket whose queue is full: connecting to it takes for ever. */
struct black_hole {
  int fd, port;
  int fill[8];
};

static void black_hole_open(struct black_hole *b)
{
  struct sockaddr_in a;
  socklen_t size = sizeof(a);
  size_t i;

  memset(&a, 0, sizeof(a));
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  b->fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(!bind(b->fd, (void *)&a, sizeof(a)) && !listen(b->fd, 0) &&
        !getsockname(b->fd, (void *)&a, &size));
  b->port = ntohs(a.sin_port);
  for(i = 0; i < 8; i++) {
    b->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(!connect(b->fill[i], (void *)&a, sizeof(a)) || errno == EINPROGRESS);
  }
}

static void black_hole_close(struct black_hole *b)
{
  size_t i;

  for(i = 0; i < 8; i++)
    close(b->fill[i]);
  close(b->fd);
}

/* The same at a port of ::1. 0 where there is no such address. */
static int black_hole_open6(struct black_hole *b, int port)
{
  struct sockaddr_in6 a;
  size_t i;

  memset(&a, 0, sizeof(a));
  a.sin6_family = AF_INET6;
  a.sin6_addr = in6addr_loopback;
  a.sin6_port = htons((uint16_t)port);
  b->fd = socket(AF_INET6, SOCK_STREAM, 0);
  if(b->fd < 0 || bind(b->fd, (void *)&a, sizeof(a)) || listen(b->fd, 0)) {
    close(b->fd);
    return 0;
  }
  for(i = 0; i < 8; i++) {
    b->fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(!connect(b->fill[i], (void *)&a, sizeof(a)) || errno == EINPROGRESS);
  }
  return 1;
}

/* IPv6 that is announced and leads nowhere does not cost the time for connecting: of a
   request, and of the opening of a WebSocket. */
static void test_dead_ipv6(struct dt_engine *e)
{
  struct peer *p = peer_open(peer_echo, NULL);
  struct black_hole b;
  char url[64];
  struct dt_request r = REQUEST(url);
  struct dt_ws_options o = { .url = url, .connect_timeout = 8 };
  struct dt_result result;
  struct dt_ws_result opening;
  struct dt_ws *ws;

  if(!black_hole_open6(&b, peer_port(p))) {
    printf("deadline: no IPv6 here, skipped\n");
    peer_close(p);
    return;
  }
  snprintf(url, sizeof(url), "http://both.test:%d/", peer_port(p));
  r.connect_timeout = 8;
  CHECK(fetch(e, &r, &result) == DT_OK);
  CHECK(result.seconds > 0.1 && result.seconds < 4); /* it was tried first */
  CHECK(dt_ws_open(e, &o, &ws, NULL) == DT_OK);
  do {
    dt_engine_poll(e, 0.01, NULL);
    dt_ws_result(ws, &opening);
  } while(!opening.done);
  CHECK(opening.status == 200 && opening.seconds < 4);
  dt_ws_free(ws);
  black_hole_close(&b);
  peer_close(p);
}

static void test_connecting(struct dt_engine *e)
{
  struct black_hole b;
  char url[64];
  struct dt_request r = REQUEST(url);

  black_hole_open(&b);
  snprintf(url, sizeof(url), "http://127.0.0.1:%d/", b.port);
  r.timeout = SOON;
  expect_late(e, &r, DT_TIMEOUT, "connecting");
  r.timeout = 60;
  r.connect_timeout = SOON;
  expect_late(e, &r, DT_CONNECT_TIMEOUT, "");
  r.connect_timeout = 0;
  r.idle_timeout = SOON;
  expect_late(e, &r, DT_IDLE_TIMEOUT, "connecting");
  black_hole_close(&b);
}

static void test_resolving(struct dt_engine *e)
{
  struct dt_request r = REQUEST("http://slow.test/");

  slow_lookups_end(0);
  r.timeout = SOON;
  expect_late(e, &r, DT_TIMEOUT, "connecting");
  r.timeout = 60;
  r.connect_timeout = SOON;
  expect_late(e, &r, DT_CONNECT_TIMEOUT, "");
  CHECK(slow_lookups_running() == 2 || /* nobody waited for them */
        slow_lookups_running() == 4);  /* newer versions: A and AAAA apart */
  slow_lookups_end(1);
}

static void test_answering(struct dt_engine *e)
{
  struct peer *p = peer_open(peer_silent, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));

  r.timeout = SOON;
  expect_late(e, &r, DT_TIMEOUT, "waiting for the answer");
  r.timeout = 60;
  r.idle_timeout = SOON;
  expect_late(e, &r, DT_IDLE_TIMEOUT, "waiting for the answer");
  peer_close(p);
}

/* Sends the data, and then nothing. */
static void stall(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));

  (void)n;
  if(peer_read(fd, r)) {
    peer_send(fd, peer_data(p));
    peer_hold(fd);
  }
  free(r->body);
  free(r);
}

static void test_stalling(struct dt_engine *e)
{
  static char headers[] = "HTTP/1.1 200 OK\r\nX-Slow: y";
  static char body[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
  struct peer *p = peer_open(stall, headers);
  struct dt_request r = REQUEST(peer_url(p, "/"));

  r.timeout = SOON;
  expect_late(e, &r, DT_TIMEOUT, "waiting for the answer");
  peer_close(p);
  p = peer_open(stall, body);
  r.url = peer_url(p, "/");
  expect_late(e, &r, DT_TIMEOUT, "receiving the answer");
  r.timeout = 60;
  r.idle_timeout = SOON;
  expect_late(e, &r, DT_IDLE_TIMEOUT, "receiving the answer");
  peer_close(p);
}

/* A byte every now and then, for longer than the idle timeout. */
static void trickle(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  int i;

  (void)p;
  (void)n;
  if(peer_read(fd, r)) {
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
    for(i = 0; i < 20; i++) {
      usleep(50000);
      peer_send(fd, "x");
    }
  }
  free(r->body);
  free(r);
}

static void test_slow_is_not_idle(struct dt_engine *e)
{
  struct peer *p = peer_open(trickle, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_result result;

  r.idle_timeout = 0.7; /* in all it takes 1 s */
  CHECK(fetch(e, &r, &result) == DT_OK);
  CHECK(result.seconds > 0.9);
  peer_close(p);
}

/* A user who takes his time to read or to write is not an idle peer. */
static void test_waiting_for_the_user(struct dt_engine *e)
{
  struct peer *p = peer_open(peer_echo, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  double until;

  r.method = "POST";
  r.body = DT_BODY_QUEUE;
  r.length = -1;
  r.idle_timeout = 0.5;
  t = begin(e, &r);
  until = dt_now() + 0.8;
  while(dt_now() < until)
    dt_engine_poll(e, until - dt_now(), NULL);
  CHECK(dt_transfer_finish(t) == DT_OK);
  CHECK(finish(e, t)->code == DT_OK);
  dt_transfer_free(t);
  peer_close(p);
}

/* A peer in a process of its own, which stops this one when a request has come, and
   lets it go on after its answer, a while later. */
static pid_t stopping_peer(int listener)
{
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  pid_t me = getpid(), child = fork();
  char request[4096];
  int fd;

  if(child)
    return child;
  fd = accept(listener, NULL, NULL);
  if(fd >= 0 && read(fd, request, sizeof(request)) > 0) {
    usleep(250000); /* then libcurl has no timers of its own */
    kill(me, SIGSTOP);
    usleep(200000);
    (void)!write(fd, answer, sizeof(answer) - 1);
    usleep(200000);
    kill(me, SIGCONT);
  }
  _exit(0);
}

/* Whoever is stopped past a deadline finds what came meanwhile. */
static void test_stopped(struct dt_engine *e)
{
  struct sockaddr_in a;
  socklen_t size = sizeof(a);
  char url[64];
  struct dt_request r = REQUEST(url);
  struct dt_result result;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  pid_t child;

  memset(&a, 0, sizeof(a));
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(!bind(fd, (void *)&a, sizeof(a)) && !listen(fd, 1) &&
        !getsockname(fd, (void *)&a, &size));
  snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(a.sin_port));
  r.timeout = 0.5;
  r.idle_timeout = 0.4;
  child = stopping_peer(fd);
  CHECK(fetch(e, &r, &result) == DT_OK);
  CHECK(result.seconds > 0.5);
  CHECK(waitpid(child, NULL, 0) == child);
  close(fd);
}

static void answer_late(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));

  (void)p;
  (void)n;
  if(peer_read(fd, r)) {
    usleep(450000);
    peer_answer(fd, 200, "late");
  }
  free(r->body);
  free(r);
}

/* So does who is busy with something else. */
static void test_busy(struct dt_engine *e)
{
  struct peer *p = peer_open(answer_late, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t, *another;
  double until;

  r.timeout = 0.6;
  t = begin(e, &r);
  until = dt_now() + 0.3; /* then libcurl has no timers of its own */
  while(dt_now() < until)
    dt_engine_poll(e, until - dt_now(), NULL);
  usleep(500000);
  another = begin(e, &r); /* is begun before anybody looks */
  CHECK(finish(e, t)->code == DT_OK);
  CHECK(finish(e, another)->code == DT_OK);
  dt_transfer_free(t);
  dt_transfer_free(another);
  peer_close(p);
}

static void test_queued(void)
{
  struct dt_engine *e = engine_open(1);
  struct peer *p = peer_open(peer_silent, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *first = begin(e, &r);
  struct dt_engine_stats stats;

  r.timeout = SOON;
  r.idle_timeout = 0.01; /* does not run while queued */
  expect_late(e, &r, DT_TIMEOUT, "waiting for a free connection");
  dt_engine_get_stats(e, &stats);
  CHECK(stats.running == 1 && stats.queued == 0);
  CHECK(peer_connections(p) == 1);
  dt_transfer_free(first);
  dt_engine_free(e);
  peer_close(p);
}

void test_deadline(void);

void test_deadline(void)
{
  struct dt_engine *e = engine_open(0);

  test_connecting(e);
  test_dead_ipv6(e);
  test_resolving(e);
  test_answering(e);
  test_stalling(e);
  test_slow_is_not_idle(e);
  test_waiting_for_the_user(e);
  test_stopped(e);
  test_busy(e);
  test_queued();
  dt_engine_free(e);
}
