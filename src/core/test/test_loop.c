/*
 * test_loop.c - the loop contract: descriptor, timeout, step, poll, alarm,
 * events, and silence when there is nothing to do.
 */
#define _GNU_SOURCE
#include "../engine.h"
#include "check.h"
#include "peer.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 50

/* Whether the descriptor is readable within `ms`. */
static int is_readable(int fd, int ms)
{
  struct pollfd p = { fd, POLLIN, 0 };

  return poll(&p, 1, ms) == 1;
}

/* Whether there is something to do within ms. On Linux the descriptor tells of
   timers, too; elsewhere the host has to look at the timeout. */
static int is_due(struct dt_engine *e, int fd, int ms)
{
#if defined(__linux__)
  (void)e;
  return is_readable(fd, ms);
#else
  double limit = dt_now() + ms / 1e3;
  double left;

  do {
    double due = dt_engine_timeout(e);

    if(due == 0)
      return 1;
    left = limit - dt_now();
    if(due < 0 || due > left)
      due = left;
    if(is_readable(fd, due > 0 ? (int)(due * 1e3) + 1 : 0))
      return 1;
  } while(left > 0);
  return 0;
#endif
}

/* A host that knows nothing but the descriptor; the number of times it woke
   up until the transfer was done. */
static int drive(struct dt_engine *e, struct dt_transfer *t)
{
  int fd = dt_engine_fd(e), wakes = 0, done = 0;
  uint64_t whose;
  unsigned what;

  while(!done && is_due(e, fd, 10000)) {
    wakes++;
    CHECK(dt_engine_step(e, 0) == DT_OK);
    while(dt_engine_next_event(e, &whose, &what))
      done |= whose == dt_transfer_id(t) && (what & DT_EVENT_DONE);
  }
  CHECK(done);
  return wakes;
}

static void test_descriptor(struct peer *p)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  int fd = dt_engine_fd(e), i;

  CHECK(fd >= 0 && dt_engine_fd(e) == fd);
  CHECK(!is_readable(fd, 0));
  CHECK(dt_engine_timeout(e) < 0);
  for(i = 0; i < 5; i++) {
    r.timeout = i & 1 ? 0.2 : 60;
    t = begin(e, &r);
    CHECK(is_readable(fd, 0)); /* there is something to start */
    CHECK(dt_engine_timeout(e) == 0);
    CHECK(drive(e, t) <= 5);
    CHECK(!is_readable(fd, 0));
    CHECK(dt_engine_timeout(e) < 0);
    dt_transfer_free(t);
  }
  CHECK(!is_readable(fd, 400)); /* deadlines of the past wake nobody */
  dt_engine_free(e);
}

/* Undelivered events keep the descriptor readable. */
static void test_events_pending(struct peer *p)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t[2];
  uint64_t whose;
  struct dt_engine_stats stats;
  int fd = dt_engine_fd(e), i;
  unsigned what;

  for(i = 0; i < 2; i++)
    t[i] = begin(e, &r);
  do {
    CHECK(is_readable(fd, 10000));
    dt_engine_step(e, 0);
    dt_engine_get_stats(e, &stats);
  } while(stats.finished < 2);
  for(i = 0; i < 2; i++) {
    CHECK(is_readable(fd, 0));
    CHECK(dt_engine_timeout(e) == 0);
    CHECK(dt_engine_poll(e, -1, NULL) == DT_OK); /* does not wait */
    CHECK(dt_engine_next_event(e, &whose, &what));
    CHECK(what == DT_EVENT_DONE);
  }
  CHECK(!dt_engine_next_event(e, &whose, &what));
  CHECK(!is_readable(fd, 0));
  dt_transfer_free(t[0]);
  dt_transfer_free(t[1]);
  dt_engine_free(e);
}

/* Each deadline reaches the descriptor, the nearer ones too. */
static void test_timers(struct peer *silent)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(silent, "/"));
  struct dt_transfer *slow, *fast;
  double before = dt_now();
  int wakes;

  slow = begin(e, &r);
  dt_engine_fd(e);
  dt_engine_step(e, 0);
  r.timeout = 0.1;
  fast = begin(e, &r);
  wakes = drive(e, fast);
  CHECK(dt_now() - before >= 0.099 && dt_now() - before < 5);
  CHECK(wakes <= 12);
  CHECK(finish(e, fast)->code == DT_TIMEOUT);
  dt_transfer_free(fast);
  dt_transfer_free(slow);
  dt_engine_free(e);
}

static void test_alarm(void)
{
  struct dt_engine *e = engine_open(0);
  double before = dt_now();
  struct dt_engine_stats stats;
  int fd;

  dt_engine_alarm(e, before + 0.1);
  CHECK(dt_engine_timeout(e) > 0 && dt_engine_timeout(e) <= 0.1);
  CHECK(dt_engine_poll(e, -1, NULL) == DT_OK);
  CHECK(dt_now() - before >= 0.1 && dt_now() - before < 5);
  CHECK(dt_engine_timeout(e) < 0); /* it is gone */
  dt_engine_get_stats(e, &stats);
  CHECK(stats.polls == 1);
  fd = dt_engine_fd(e);
  dt_engine_alarm(e, dt_now() + 30);
  CHECK(!is_readable(fd, 0));
  dt_engine_alarm(e, dt_now() + 0.05);
  CHECK(is_due(e, fd, 10000));
  dt_engine_step(e, 0);
  CHECK(!is_readable(fd, 0) && dt_engine_timeout(e) < 0);
  dt_engine_alarm(e, dt_now() + 0.05);
  dt_engine_alarm(e, 0);
  CHECK(!is_readable(fd, 100));
  dt_engine_alarm(e, dt_now() + 0.1); /* after one that ran out unheard */
  CHECK(!is_readable(fd, 0));
  CHECK(is_due(e, fd, 10000));
  dt_engine_free(e);
}

/* Answers the first request of a connection, and no other. */
static void answer_once(struct peer *p, int fd, int n)
{
  struct peer_request r;

  (void)p;
  (void)n;
  if(peer_read(fd, &r))
    peer_answer(fd, 200, "");
  free(r.body);
  peer_hold(fd);
}

/* An alarm that comes while a poll does what was due (here: sends a request on
   a kept connection) ends that poll, and is not forgotten over it. */
static void test_alarm_at_work(void)
{
  struct peer *p = peer_open(answer_once, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  double before;

  CHECK(fetch(e, &r, NULL) == DT_OK);
  t = begin(e, &r);
  before = dt_now();
  dt_engine_alarm(e, before);
  CHECK(dt_engine_poll(e, 5, NULL) == DT_OK);
  CHECK(dt_now() - before < 4);
  CHECK(dt_engine_timeout(e) > 4); /* and it is gone */
  dt_transfer_free(t);
  dt_engine_free(e);
  peer_close(p);
}

/* Nothing wakes up a process whose transfers rest. */
static void test_idle(struct peer *p, struct peer *silent)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_engine_stats before, after;
  struct dt_transfer *t;
  int fd;

  CHECK(fetch(e, &r, NULL) == DT_OK);
  r.url = peer_url(silent, "/");
  t = begin(e, &r);
  while(dt_engine_poll(e, 0.3, NULL) == DT_OK && dt_engine_timeout(e) < 1)
    ;
  dt_engine_get_stats(e, &before);
  CHECK(dt_engine_poll(e, 0.3, NULL) == DT_OK);
  dt_engine_get_stats(e, &after);
  CHECK(after.polls == before.polls + 1);
  fd = dt_engine_fd(e);
  dt_engine_step(e, 0);
  CHECK(!is_readable(fd, 300));
  dt_transfer_free(t);
  dt_engine_step(e, 0);
  CHECK(!is_readable(fd, 300));
  CHECK(dt_engine_timeout(e) < 0);
  dt_engine_free(e);
}

/* Nor one whose transfer waits for the answer when a name was looked up before it,
   or is still being looked up. */
static void test_idle_lookup(struct peer *silent)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST("http://slow.test/");
  struct dt_engine_stats before, after;
  struct dt_transfer *t, *rest;
  int i;

  slow_lookups_end(0);
  t = begin(e, &r);
  r.url = peer_url(silent, "/");
  rest = begin(e, &r);
  while(!slow_lookups_running())
    dt_engine_poll(e, 0.01, NULL);
  for(i = 0; i < 2; i++) {
    double until = dt_now() + 0.5;

    dt_engine_get_stats(e, &before);
    while(dt_now() < until)
      dt_engine_poll(e, until - dt_now(), NULL);
    dt_engine_get_stats(e, &after);
    CHECK(after.polls < before.polls + 40); /* older versions look by a timer */
    slow_lookups_end(1);
    CHECK(finish(e, t)->code == DT_RESOLVE);
  }
  dt_transfer_free(t);
  dt_transfer_free(rest);
  dt_engine_free(e);
}

static void test_poll_time(void)
{
  struct dt_engine *e = engine_open(0);
  double before = dt_now();
  int interrupted = 1;

  CHECK(dt_engine_poll(e, 0, &interrupted) == DT_OK && !interrupted);
  CHECK(dt_engine_poll(e, 0.05, NULL) == DT_OK);
  CHECK(dt_now() - before >= 0.05 && dt_now() - before < 5);
  dt_engine_free(e);
}

static void on_signal(int sig)
{
  (void)sig;
}

static void test_signal(void)
{
  struct dt_engine *e = engine_open(0);
  struct sigaction action, old;
  int interrupted = 0;
  pid_t child;

  memset(&action, 0, sizeof(action));
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, &old);
  child = fork();
  if(!child) {
    while(getppid() != 1 && !kill(getppid(), SIGUSR1))
      usleep(20000);
    _exit(0);
  }
  CHECK(dt_engine_poll(e, 30, &interrupted) == DT_OK);
  CHECK(interrupted);
  kill(child, SIGKILL);
  while(waitpid(child, NULL, 0) != child)
    ;
  signal(SIGUSR1, SIG_IGN); /* drops one that is still pending */
  sigaction(SIGUSR1, &old, NULL);
  dt_engine_free(e);
}

/* Sends more than one reading takes. */
static void plenty(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  char *data = calloc(1, 1 << 20);
  int i;

  (void)p;
  (void)n;
  while(peer_read(fd, r)) {
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n");
    for(i = 0; i < 4; i++)
      peer_send_bytes(fd, data, 1 << 20);
    free(r->body);
  }
  free(data);
  free(r->body);
  free(r);
}

/* A small budget is kept, nothing is lost and nobody starves. */
static void test_budget(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(plenty, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t[MANY];
  uint64_t whose;
  double longest = 0;
  int done = 0, i;
  unsigned what;

  for(i = 0; i < MANY; i++)
    t[i] = begin(e, &r);
  while(done < MANY) {
    double before = dt_now();

    CHECK(dt_engine_step(e, 0.0005) == DT_OK);
    if(dt_now() - before > longest)
      longest = dt_now() - before;
    while(dt_engine_next_event(e, &whose, &what))
      done += (what & DT_EVENT_DONE) != 0;
    if(done < MANY && dt_engine_timeout(e) != 0)
      CHECK(is_readable(dt_engine_fd(e), 10000));
  }
  CHECK(longest < 1); /* a machine under load says nothing more precise */
  for(i = 0; i < MANY; i++) {
    CHECK(finish(e, t[i])->code == DT_OK);
    dt_transfer_free(t[i]);
  }
  dt_engine_free(e);
  peer_close(p);
}

/* When the multi handle fails, what it had fails and the rest goes on. */
static void test_rebuild(struct peer *p, struct peer *silent)
{
  struct dt_engine *e = engine_open(1);
  struct dt_request r = REQUEST(peer_url(silent, "/"));
  struct dt_transfer *t, *queued;

  e->through_libcurl = 1;
  t = begin(e, &r);
  queued = begin(e, &r);
  dt_engine_poll(e, 0.01, NULL);
  e->broken = 1;
  CHECK(dt_engine_step(e, 0) == DT_INTERNAL);
  CHECK(finish(e, t)->code == DT_INTERNAL);
  r.url = peer_url(p, "/");
  CHECK(fetch(e, &r, NULL) == DT_OK);
  dt_transfer_free(t);
  dt_transfer_free(queued);
  dt_engine_free(e);
}

/* Answers one request, and closes the connection a moment later. */
static void answers_and_goes(struct peer *p, int fd, int n)
{
  struct peer_request r;

  (void)p;
  (void)n;
  if(peer_read(fd, &r)) {
    free(r.body);
    peer_answer(fd, 200, "one");
    usleep(20000);
  }
}

/* A kept connection that the peer closes is noticed once at the most, and not in
   the way of the next one, which gets its descriptor's number. */
static void test_kept_connection(struct peer *silent)
{
  struct peer *p = peer_open(answers_and_goes, NULL);
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(p, "/")), rest;
  struct dt_engine_stats before, after;
  struct dt_transfer *t;
  int i;

  rest = r;
  rest.url = peer_url(silent, "/");
  rest.timeout = 0.2;
  for(i = 0; i < 3; i++) {
    CHECK(fetch(e, &r, NULL) == DT_OK);
    dt_engine_get_stats(e, &before);
    t = begin(e, &rest);
    CHECK(finish(e, t)->code == DT_TIMEOUT);
    dt_engine_get_stats(e, &after);
    CHECK(after.polls <= before.polls + 6);
    dt_transfer_free(t);
  }
  CHECK(peer_connections(p) == 3);
  dt_engine_free(e);
  peer_close(p);
}

static void test_await(struct peer *p, struct peer *silent)
{
  struct dt_engine *e = engine_open(0);
  struct dt_request r = REQUEST(peer_url(p, "/")), rest;
  struct dt_transfer *t, *other;
  uint64_t whose;
  struct dt_result result;
  double before;
  unsigned what;

  rest = r;
  rest.url = peer_url(silent, "/");
  t = begin(e, &r);
  CHECK(dt_transfer_await(t, 10) == 1);
  CHECK(dt_transfer_await(t, 10) == 1);
  CHECK(!dt_engine_next_event(e, &whose, &what)); /* it was taken */
  dt_transfer_result(t, &result);
  CHECK(result.done && result.status == 200);
  dt_transfer_free(t);
  before = dt_now(); /* await counts from when the engine was last used */
  t = begin(e, &rest);
  CHECK(dt_transfer_await(t, 0.05) == 0);
  CHECK(dt_now() - before >= 0.05);
  other = begin(e, &r);
  CHECK(dt_transfer_await(t, 10) == 0);
  CHECK(dt_engine_next_event(e, &whose, &what) && whose == dt_transfer_id(other));
  dt_transfer_cancel(t);
  CHECK(dt_transfer_await(t, 10) == 1);
  dt_transfer_free(t);
  dt_transfer_free(other);
  dt_engine_free(e);
}

void test_loop(void);

void test_loop(void)
{
  struct peer *p = peer_open(peer_echo, NULL);
  struct peer *silent = peer_open(peer_silent, NULL);

  test_descriptor(p);
  test_events_pending(p);
  test_timers(silent);
  test_alarm();
  test_alarm_at_work();
  test_idle(p, silent);
  test_idle_lookup(silent);
  test_poll_time();
  test_signal();
  test_budget();
  test_rebuild(p, silent);
  test_kept_connection(silent);
  test_await(p, silent);
  peer_close(p);
  peer_close(silent);
}
