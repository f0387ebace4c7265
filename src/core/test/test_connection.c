/*
 * test_connection.c - connections: kept, reused, found dead, limited.
 */
#define _GNU_SOURCE
#include "../engine.h"
#include "check.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 200

static void test_reuse(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(peer_echo, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_engine_stats stats;
  struct dt_result result;
  int i;

  for(i = 0; i < 50; i++) {
    CHECK(fetch(e, &r, &result) == DT_OK);
    CHECK(result.reused == (i > 0));
  }
  CHECK(peer_connections(p) == 1);
  dt_engine_get_stats(e, &stats);
  CHECK(stats.started == 50 && stats.finished == 50 && stats.connects == 1);
  CHECK(stats.running == 0 && stats.queued == 0);
  dt_engine_free(e);
  peer_close(p);
}

/* Answers one request a connection; the first connection dies when a second
   was read from it. Counts the requests. */
static void stale(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  int *requests = peer_data(p);

  if(peer_read(fd, r)) {
    __sync_add_and_fetch(requests, 1);
    peer_answer(fd, 200, r->body);
  }
  free(r->body);
  r->body = NULL;
  if(n == 1) {
    if(peer_read(fd, r))
      __sync_add_and_fetch(requests, 1);
    peer_reset(fd);
  } else
    peer_hold(fd);
  free(r->body);
  free(r);
}

/* What may be repeated is sent again on a new connection. What may not is
   reported: the peer could have acted upon it. */
static void test_stale(const char *method, enum dt_body_kind body, int code)
{
  struct dt_engine *e = engine_open(0);
  int requests = 0;
  struct peer *p = peer_open(stale, &requests);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_result result;
  FILE *f = tmpfile();
  static char big[200000];

  e->through_libcurl = 1; /* all of them over one connection */
  fwrite("--hello", 1, 7, f);
  fflush(f);
  CHECK(fetch(e, &r, NULL) == DT_OK);
  memset(big, 'x', sizeof(big));
  r.method = method;
  r.body = body;
  r.data = big;
  r.size = sizeof(big);
  r.fd = fileno(f);
  r.length = 5;
  lseek(r.fd, 2, SEEK_SET);
  CHECK(fetch(e, &r, &result) == code);
  CHECK(result.request_sent);
  if(code)
    CHECK(!result.answer_started);
  else if(body != DT_BODY_NONE)
    CHECK(result.body_size == (body == DT_BODY_FD ? 5 : sizeof(big)));
  fclose(f);
  dt_engine_free(e);
  peer_close(p);
  CHECK(requests == (code ? 2 : 3));
}

static void test_stale_queue(void)
{
  struct dt_engine *e = engine_open(0);
  int requests = 0;
  struct peer *p = peer_open(stale, &requests);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  size_t taken;

  e->through_libcurl = 1;
  CHECK(fetch(e, &r, NULL) == DT_OK);
  r.method = "PUT";
  r.body = DT_BODY_QUEUE;
  r.length = -1;
  t = begin(e, &r);
  CHECK(dt_transfer_write(t, "abc", 3, &taken) == DT_OK);
  CHECK(dt_transfer_finish(t) == DT_OK);
  CHECK(finish(e, t)->code == DT_RESET); /* its bytes are gone */
  dt_transfer_free(t);
  dt_engine_free(e);
  peer_close(p);
}

/* Answers once and closes. */
static void once(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));

  (void)p;
  (void)n;
  if(peer_read(fd, r))
    peer_answer(fd, 200, "");
  free(r->body);
  free(r);
}

/* A connection that was closed in between is not used for anything. */
static void test_closed_in_between(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(once, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  int i;

  r.method = "POST";
  for(i = 1; i <= 3; i++) {
    CHECK(fetch(e, &r, NULL) == DT_OK);
    CHECK(peer_connections(p) == i);
    usleep(20000);
  }
  dt_engine_free(e);
  peer_close(p);
}

static void test_limit(void)
{
  struct dt_engine *e = engine_open(2);
  struct peer *a = peer_open(peer_echo, NULL), *b = peer_open(peer_echo, NULL);
  struct dt_request r = REQUEST(NULL);
  struct dt_transfer *t[MANY];
  uint64_t whose;
  struct dt_engine_stats stats;
  int order[MANY], i, done = 0;
  unsigned what;

  r.method = "POST";
  r.body = DT_BODY_MEMORY;
  for(i = 0; i < MANY; i++) {
    r.url = peer_url(i < MANY / 2 ? a : b, "/");
    r.data = (const char *)&i;
    r.size = sizeof(i);
    t[i] = begin(e, &r);
  }
  while(done < MANY) {
    dt_engine_poll(e, -1, NULL);
    dt_engine_get_stats(e, &stats);
    CHECK(stats.running <= 4);
    while(dt_engine_next_event(e, &whose, &what)) {
      struct dt_result result;

      for(i = 0; dt_transfer_id(t[i]) != whose; i++)
        ;
      dt_transfer_result(t[i], &result);
      CHECK(result.code == DT_OK && result.body_size == sizeof(i));
      memcpy(&order[done++], result.body, sizeof(i));
    }
  }
  CHECK(peer_connections(a) == 2 && peer_connections(b) == 2);
  for(i = 0; i < MANY; i++) {
    /* first come first served in each queue, within the two that run, and
       the second origin did not wait for the first */
    if(i < MANY / 4)
      CHECK(order[i] % (MANY / 2) <= MANY / 4 + 20);
    dt_transfer_free(t[i]);
  }
  dt_engine_free(e);
  peer_close(a);
  peer_close(b);
}

/* The same origin, however it is written. */
static void test_names_of_origins(void)
{
  struct dt_engine *e = engine_open(1);
  struct peer *p = peer_open(peer_silent, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *first = begin(e, &r), *second;
  struct dt_engine_stats stats;
  char url[100];

  snprintf(url, sizeof(url), "HTTP://127.0.0.1:%d?x", peer_port(p));
  r.url = url;
  second = begin(e, &r);
  dt_engine_poll(e, 0.01, NULL);
  dt_engine_get_stats(e, &stats);
  CHECK(stats.running == 1 && stats.queued == 1);
  dt_transfer_free(first);
  dt_transfer_free(second);
  dt_engine_free(e);
  peer_close(p);
}

static size_t read_all(struct dt_engine *e, struct dt_transfer *t)
{
  size_t total = 0, size;
  const char *data;
  int rc;

  for(rc = dt_transfer_read(t, &data, &size); rc == 0 || rc == 1;
      rc = dt_transfer_read(t, &data, &size)) {
    if(rc == 1)
      total += size;
    else
      dt_engine_poll(e, 0.01, NULL);
  }
  return total;
}

/* After the system has slept, by its clocks, no kept connection is used again; what is
   on its way, were it held up by its user, goes on. */
static void test_slept(void)
{
  static const char body[3000000];
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(peer_echo, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *held;
  struct dt_result result;

  r.method = "POST";
  r.body = DT_BODY_MEMORY;
  r.data = body;
  r.size = sizeof(body);
  r.sink = DT_SINK_QUEUE;
  held = begin(e, &r);
  wait_for(e, held, DT_EVENT_READABLE);
  while(!held->recv_paused)
    dt_engine_poll(e, 0.01, NULL);
  r.body = DT_BODY_NONE;
  r.sink = DT_SINK_MEMORY;
  CHECK(fetch(e, &r, &result) == DT_OK && !result.reused);
  CHECK(fetch(e, &r, &result) == DT_OK && result.reused);
  e->slept -= 10;
  CHECK(fetch(e, &r, &result) == DT_OK && result.reused);
  e->slept -= 60;
  CHECK(fetch(e, &r, &result) == DT_OK && !result.reused);
  CHECK(fetch(e, &r, &result) == DT_OK && result.reused);
  CHECK(peer_connections(p) == 3);
  CHECK(read_all(e, held) == sizeof(body));
  dt_transfer_free(held);
  dt_engine_free(e);
  peer_close(p);
}

void test_connection(void);

void test_connection(void)
{
  test_reuse();
  test_stale("GET", DT_BODY_NONE, DT_OK);
  test_stale("PUT", DT_BODY_MEMORY, DT_OK);
  test_stale("PUT", DT_BODY_FD, DT_OK);
  test_stale("POST", DT_BODY_NONE, DT_RESET);
  test_stale("POST", DT_BODY_MEMORY, DT_RESET);
  test_stale("PATCH", DT_BODY_FD, DT_RESET);
  test_stale_queue();
  test_closed_in_between();
  test_limit();
  test_names_of_origins();
  test_slept();
}
