/*
 * test_wire.c - small requests over the engine's own connections: kept, found dead,
 * not used again, and never sent twice.
 */
#define _GNU_SOURCE
#include "../engine.h"
#include "check.h"
#include "peer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct dt_engine *wired(unsigned max_connections)
{
  struct dt_engine *e = engine_open(max_connections);

  e->through_libcurl = 0;
  return e;
}

#define POST(p, d, n) { .method = "POST", .url = peer_url(p, "/"), \
  .body = DT_BODY_MEMORY, .data = (d), .size = (n), .timeout = 60 }

/* Reads a request and drops it; 0 when there is none. */
static int read_one(int fd)
{
  struct peer_request *r = malloc(sizeof(*r));
  int there = peer_read(fd, r);

  free(r->body);
  free(r);
  return there;
}

/* One connection for one after the other, and as many as run at once. */
static void test_kept(void)
{
  struct dt_engine *e = wired(0);
  struct peer *p = peer_open(peer_echo, NULL);
  struct dt_request r = POST(p, "{}", 2);
  struct dt_transfer *t[3];
  struct dt_result result;
  int i, round;

  for(i = 0; i < 3; i++) {
    CHECK(fetch(e, &r, &result) == DT_OK);
    CHECK(result.reused == (i > 0) && result.sent == 2 && result.received == 2);
  }
  CHECK(peer_connections(p) == 1);
  for(round = 0; round < 2; round++) {
    for(i = 0; i < 3; i++)
      t[i] = begin(e, &r);
    for(i = 0; i < 3; i++) {
      CHECK(finish(e, t[i])->code == DT_OK);
      dt_transfer_free(t[i]);
    }
  }
  CHECK(peer_connections(p) == 3);
  dt_engine_free(e);
  peer_close(p);
}

/* What is for wires, and what has libcurl's connections. */
static void test_which(void)
{
  static char big[DT_FIELDS_MAX + 1];
  struct dt_engine *e = wired(0);
  struct peer *p = peer_open(peer_echo, NULL);
  struct dt_request r = POST(p, big, DT_FIELDS_MAX);

  CHECK(fetch(e, &r, NULL) == DT_OK && fetch(e, &r, NULL) == DT_OK);
  CHECK(peer_connections(p) == 1);
  r.size++;
  CHECK(fetch(e, &r, NULL) == DT_OK && fetch(e, &r, NULL) == DT_OK);
  CHECK(peer_connections(p) == 2);
  r.size = 2;
  r.timing = 1;
  CHECK(fetch(e, &r, NULL) == DT_OK && peer_connections(p) == 2);
  r.timing = 0;
  r.sink = DT_SINK_QUEUE;
  CHECK(fetch(e, &r, NULL) == DT_OK && peer_connections(p) == 2);
  e->through_libcurl = 1;
  r.sink = DT_SINK_MEMORY;
  CHECK(fetch(e, &r, NULL) == DT_OK && peer_connections(p) == 2);
  dt_engine_free(e);
  peer_close(p);
}

/* Answers once and closes; says by the peer's data when it has. */
static void once(struct peer *p, int fd, int n)
{
  (void)n;
  if(read_one(fd))
    peer_answer(fd, 200, "");
  shutdown(fd, SHUT_RDWR);
  __sync_add_and_fetch((int *)peer_data(p), 1);
}

/* Until the peer has closed so many. */
static void wait_closed(int *closed, int n)
{
  while(__sync_add_and_fetch(closed, 0) < n)
    poll(NULL, 0, 1);
}

/* What was closed meanwhile is not used, not even for what may not be sent twice. */
static void test_closed(void)
{
  struct dt_engine *e = wired(0);
  int closed = 0, i;
  struct peer *p = peer_open(once, &closed);
  struct dt_request r = POST(p, "{}", 2);
  struct dt_result result;

  for(i = 1; i <= 3; i++) {
    CHECK(fetch(e, &r, &result) == DT_OK && !result.reused);
    wait_closed(&closed, i);
  }
  CHECK(peer_connections(p) == 3);
  dt_engine_free(e);
  peer_close(p);
}

/* Answers the first request; reads a second one and is gone without a word. */
static void second_lost(struct peer *p, int fd, int n)
{
  int *requests = peer_data(p);

  if(read_one(fd)) {
    __sync_add_and_fetch(requests, 1);
    peer_answer(fd, 200, "");
  }
  if(n == 1) {
    if(read_one(fd))
      __sync_add_and_fetch(requests, 1);
    peer_reset(fd);
  } else
    peer_hold(fd);
}

/* What may be repeated is sent again, what may not is not. */
static void test_lost(const char *method, int code)
{
  struct dt_engine *e = wired(0);
  int requests = 0;
  struct peer *p = peer_open(second_lost, &requests);
  struct dt_request r = POST(p, "{}", 2);
  struct dt_result result;

  r.method = method;
  CHECK(fetch(e, &r, NULL) == DT_OK);
  CHECK(fetch(e, &r, &result) == code);
  CHECK(result.request_sent && result.answer_started == !code);
  CHECK(peer_connections(p) == (code ? 1 : 2));
  dt_engine_free(e);
  peer_close(p);
  CHECK(requests == (code ? 2 : 3));
}

/* More than was announced: an answer to nothing. */
static void chatty(struct peer *p, int fd, int n)
{
  (void)p;
  (void)n;
  while(read_one(fd))
    peer_send(fd, "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 X\r\n"
                  "Content-Length: 4\r\n\r\nevil");
}

/* What came unasked is no answer to the next request. */
static void test_unasked(void)
{
  struct dt_engine *e = wired(0);
  struct peer *p = peer_open(chatty, NULL);
  struct dt_request r = POST(p, "{}", 2);
  struct dt_transfer *t;
  int i;

  for(i = 0; i < 3; i++) {
    t = begin(e, &r);
    CHECK(finish(e, t)->code == DT_OK);
    CHECK(finish(e, t)->body_size == 2 && !memcmp(finish(e, t)->body, "ok", 2));
    dt_transfer_free(t);
  }
  CHECK(peer_connections(p) == 3);
  dt_engine_free(e);
  peer_close(p);
}

/* What is not taken at once goes in pieces. */
static void test_pieces(void)
{
  static char big[DT_FIELDS_MAX];
  struct dt_engine *e = wired(0);
  struct peer *p = peer_open(peer_echo, NULL);
  struct dt_request r = POST(p, big, 2);
  struct dt_transfer *t = begin(e, &r);
  int small = 4096;
  size_t i;

  for(i = 0; i < sizeof(big); i++)
    big[i] = (char)(i / 7 + i / 1000);
  while(!t->wire)
    dt_engine_poll(e, 0.1, NULL);
  CHECK(!setsockopt(dt_wire_fd(t->wire), SOL_SOCKET, SO_SNDBUF, &small,
                    sizeof(small)));
  CHECK(finish(e, t)->code == DT_OK);
  dt_transfer_free(t);
  r.size = sizeof(big);
  for(i = 0; i < 3; i++) {
    t = begin(e, &r);
    CHECK(finish(e, t)->code == DT_OK && finish(e, t)->reused);
    CHECK(finish(e, t)->body_size == sizeof(big) &&
          !memcmp(finish(e, t)->body, big, sizeof(big)));
    dt_transfer_free(t);
  }
  CHECK(peer_connections(p) == 1);
  dt_engine_free(e);
  peer_close(p);
}

/* Says no before it has read all. */
static void early(struct peer *p, int fd, int n)
{
  char head[100];

  (void)p;
  (void)n;
  if(recv(fd, head, sizeof(head), 0) > 0)
    peer_send(fd, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
  peer_hold(fd);
}

/* An answer that comes before all was sent counts, and ends the connection. */
static void test_early(void)
{
  static char big[DT_FIELDS_MAX];
  struct dt_engine *e = wired(0);
  struct peer *p = peer_open(early, NULL);
  struct dt_request r = POST(p, big, sizeof(big));
  struct dt_result result;

  CHECK(fetch(e, &r, &result) == DT_OK && result.status == 413);
  dt_engine_free(e);
  peer_close(p);
}

/* Ends what the peer still works on: the connection has no other use. */
static void test_cancel_closes(void)
{
  struct dt_engine *e = wired(0);
  struct peer *p = peer_open(peer_silent, NULL);
  struct dt_request r = POST(p, "{}", 2);
  struct dt_transfer *t = begin(e, &r);

  while(!t->request_sent)
    dt_engine_poll(e, 0.1, NULL);
  dt_transfer_cancel(t);
  CHECK(!t->wire && finish(e, t)->code == DT_CANCELED);
  dt_transfer_free(t);
  dt_engine_free(e); /* and its idle ones */
  peer_close(p);
}

/* A child closes nothing of its parent's. */
static void test_fork(void)
{
  struct dt_engine *e = wired(0);
  struct peer *p = peer_open(peer_echo, NULL);
  struct dt_request r = POST(p, "{}", 2);
  int status = 1;
  pid_t child;

  CHECK(fetch(e, &r, NULL) == DT_OK);
  child = fork();
  if(!child) {
    dt_engine_free(e);
    /* No checker of memory is to look at what the peer's thread had, which is not here. */
    kill(getpid(), SIGKILL);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child &&
        WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  CHECK(fetch(e, &r, NULL) == DT_OK);
  CHECK(peer_connections(p) == 1);
  dt_engine_free(e);
  peer_close(p);
}

void test_wire(void);

void test_wire(void)
{
  test_kept();
  test_which();
  test_closed();
  test_lost("PUT", DT_OK);
  test_lost("POST", DT_RESET);
  test_unasked();
  test_pieces();
  test_early();
  test_cancel_closes();
  test_fork();
}
