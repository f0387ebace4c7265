/*
 * test_cancel.c - ending transfers early: cancelled, freed, with their engine,
 * or left behind by a fork.
 */
#define _GNU_SOURCE
#include "../engine.h"
#include "check.h"
#include "peer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Cancelled: told once, at once, and for good. */
static void expect_cancel(struct dt_engine *e, struct dt_transfer *t)
{
  uint64_t whose;
  struct dt_result r;
  double before = dt_now();
  unsigned what;

  while(dt_engine_next_event(e, &whose, &what))
    ;
  dt_transfer_cancel(t);
  CHECK(dt_now() - before < 1);
  CHECK(dt_engine_next_event(e, &whose, &what) == 1);
  CHECK(whose == dt_transfer_id(t) && (what & DT_EVENT_DONE));
  dt_transfer_cancel(t);
  CHECK(dt_engine_next_event(e, &whose, &what) == 0);
  dt_transfer_result(t, &r);
  CHECK(r.done && r.code == DT_CANCELED);
  dt_engine_step(e, 0);
  dt_transfer_free(t);
}

static void test_before_the_first_step(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));

  expect_cancel(e, begin(e, &r));
  CHECK(peer_connections(p) == 0);
}

static void test_waiting_for_the_answer(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t = begin(e, &r);
  struct dt_result result;

  do {
    dt_engine_poll(e, 0.01, NULL);
    dt_transfer_result(t, &result);
  } while(!result.request_sent);
  expect_cancel(e, t);
}

/* Sends the beginning of an answer. */
static void begin_answer(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));

  (void)n;
  if(peer_read(fd, r)) {
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    peer_hold(fd);
  }
  (void)p;
  free(r->body);
  free(r);
}

static void test_in_the_body(struct dt_engine *e)
{
  struct peer *p = peer_open(begin_answer, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  const char *data;
  size_t size;

  r.sink = DT_SINK_QUEUE;
  t = begin(e, &r);
  wait_for(e, t, DT_EVENT_READABLE);
  expect_cancel(e, t);
  t = begin(e, &r);
  wait_for(e, t, DT_EVENT_READABLE);
  dt_transfer_cancel(t);
  CHECK(dt_transfer_read(t, &data, &size) == 1 && size == 3);
  CHECK(dt_transfer_read(t, &data, &size) == DT_CANCELED);
  dt_transfer_free(t);
  peer_close(p);
}

static void test_sending(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  size_t taken;

  r.method = "POST";
  r.body = DT_BODY_QUEUE;
  r.length = -1;
  t = begin(e, &r);
  CHECK(dt_transfer_write(t, "abc", 3, &taken) == DT_OK);
  dt_engine_poll(e, 0.01, NULL);
  dt_engine_poll(e, 0.01, NULL);
  CHECK(dt_transfer_write(t, "abc", 3, &taken) == DT_OK);
  dt_transfer_cancel(t); /* it was about to go on */
  CHECK(dt_transfer_write(t, "abc", 3, &taken) == DT_CANCELED);
  CHECK(dt_transfer_finish(t) == DT_CANCELED);
  dt_engine_step(e, 0);
  dt_transfer_free(t);
}

static void wait_for_lookup(struct dt_engine *e, int n)
{
  while(slow_lookups_running() < n)
    dt_engine_poll(e, 0.01, NULL);
}

static void test_resolving(struct dt_engine *e)
{
  struct dt_request r = REQUEST("http://slow.test/");
  struct dt_transfer *t;

  slow_lookups_end(0);
  t = begin(e, &r);
  wait_for_lookup(e, 1);
  expect_cancel(e, t);
  CHECK(slow_lookups_running() == 1 || slow_lookups_running() == 2);
  slow_lookups_end(1);
}

/* As with versions of libcurl that cannot leave a lookup without waiting. */
static void test_resolving_without_quick_exit(void)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST("http://slow.test/");
  struct dt_transfer *t;

  slow_lookups_end(0);
  t = begin(e, &r);
  wait_for_lookup(e, 1);
  t->flow.handle->quick_exit = 0;
  expect_cancel(e, t);
  CHECK(!dt_link_alone(&e->zombies));
  slow_lookups_end(1);
  while(!dt_link_alone(&e->zombies))
    dt_engine_poll(e, 1, NULL);
  dt_engine_free(e);
}

static void test_queued(struct peer *p)
{
  struct dt_engine *e = engine_open(1);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *first = begin(e, &r), *second = begin(e, &r);

  dt_engine_poll(e, 0.01, NULL);
  expect_cancel(e, second);
  dt_transfer_free(first);
  dt_engine_free(e);
}

/* An engine that goes away takes nothing with it. */
static void test_engine_first(struct peer *p)
{
  struct dt_engine *e = engine_open(2);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t[4];
  struct dt_result result;
  const char *data;
  size_t size;
  int i;

  r.sink = DT_SINK_QUEUE;
  for(i = 0; i < 4; i++)
    t[i] = begin(e, &r);
  dt_engine_poll(e, 0.01, NULL);
  dt_engine_free(e);
  for(i = 0; i < 4; i++) {
    dt_transfer_result(t[i], &result);
    CHECK(result.done && result.code == DT_CANCELED);
    CHECK(dt_transfer_read(t[i], &data, &size) == DT_CANCELED);
    dt_transfer_cancel(t[i]);
    dt_transfer_free(t[i]);
  }
  dt_engine_free(NULL);
  dt_transfer_free(NULL);
}

/* What a child may do with its parent's engine; the number of what is wrong. */
static int in_the_child(struct dt_engine *e, struct dt_transfer *t)
{
  struct dt_request r = REQUEST("http://127.0.0.1:1/");
  struct dt_transfer *other;
  struct dt_engine *own;
  struct dt_result result;
  size_t taken;

  if(dt_engine_is_ours(e) || dt_engine_fd(e) != -1)
    return 1;
  if(dt_engine_step(e, 0) != DT_FORKED ||
     dt_engine_poll(e, 0, NULL) != DT_FORKED)
    return 2;
  if(dt_transfer_start(e, &r, &other, NULL) != DT_FORKED || other)
    return 3;
  if(dt_transfer_write(t, "x", 1, &taken) != DT_FORKED)
    return 4;
  dt_transfer_cancel(t);
  dt_transfer_result(t, &result);
  if(result.done)
    return 5;
  dt_engine_abandon(e);
  dt_engine_abandon(e);
  dt_transfer_result(t, &result);
  if(!result.done || result.code != DT_FORKED)
    return 6;
  dt_engine_alarm(e, 1);
  if(dt_engine_timeout(e) >= 0)
    return 7;
  dt_transfer_free(t);
  dt_engine_free(e);
  if(dt_engine_new(&own, NULL)) /* one of its own works */
    return 8;
  if(fetch(own, &r, NULL) != DT_CONNECT)
    return 9;
  dt_engine_free(own);
  return 0;
}

static void test_fork(struct peer *p)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  size_t taken;
  int status;
  pid_t pid;

  CHECK(dt_engine_fd(e) >= 0);
  r.method = "POST";
  r.body = DT_BODY_QUEUE;
  r.length = -1;
  CHECK(fetch(e, &(struct dt_request)REQUEST(peer_url(p, "/")), NULL) ==
        DT_OK);
  t = begin(e, &r);
  dt_engine_poll(e, 0.01, NULL);
  dt_engine_poll(e, 0.01, NULL);
  pid = fork();
  if(!pid) {
    int code = in_the_child(e, t);

    if(!code) /* it leaks on purpose: nothing to look at for memory checkers */
      execlp("true", "true", (char *)NULL);
    _exit(code ? code : 99);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(dt_transfer_write(t, "alive", 5, &taken) == DT_OK);
  CHECK(dt_transfer_finish(t) == DT_OK);
  CHECK(finish(e, t)->code == DT_OK); /* the parent did not notice */
  CHECK(finish(e, t)->body_size == 5);
  dt_transfer_free(t);
  dt_engine_free(e);
}

void test_cancel(void);

void test_cancel(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *silent = peer_open(peer_silent, NULL);
  struct peer *echo = peer_open(peer_echo, NULL);

  test_fork(echo);
  test_before_the_first_step(e, silent);
  test_waiting_for_the_answer(e, silent);
  test_in_the_body(e);
  test_sending(e, silent);
  test_resolving(e);
  test_resolving_without_quick_exit();
  test_queued(silent);
  test_engine_first(silent);
  dt_engine_free(e);
  peer_close(silent);
  peer_close(echo);
}
