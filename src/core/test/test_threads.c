/*
 * test_threads.c - engines of two threads share a process and nothing else:
 * what two Lua states do, each in a thread of its own. TSan watches it in
 * build/tsan (make SANITIZE=thread).
 */
#define _GNU_SOURCE
#include "check.h"
#include "peer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

void test_threads(void);

#define THREADS  2
#define ENGINES  5  /* made and freed by a thread, one after the other */
#define REQUESTS 40 /* begun at once by each engine */

struct worker {
  pthread_t thread;
  char url[200];
  int number;
  int right; /* answers that were those of the worker's own requests */
};

static int is_echo(struct dt_transfer *t, const char *body)
{
  struct dt_result r;

  dt_transfer_result(t, &r);
  return r.done && r.code == DT_OK && r.body_size == strlen(body) &&
         !memcmp(r.body, body, r.body_size);
}

/* Waits until all have ended; looks at no event, as results are all it needs. */
static void finish_all(struct dt_engine *e)
{
  struct dt_engine_stats stats;
  uint64_t whose;
  unsigned what;

  do {
    dt_engine_poll(e, -1, NULL);
    while(dt_engine_next_event(e, &whose, &what))
      ;
    dt_engine_get_stats(e, &stats);
  } while(stats.finished < stats.started);
}

static void work_with(struct dt_engine *e, struct worker *w)
{
  struct dt_transfer *transfers[REQUESTS] = { NULL };
  char bodies[REQUESTS][32];
  const char *what;
  int i;

  for(i = 0; i < REQUESTS; i++) {
    struct dt_request r = REQUEST(w->url);

    r.method = "POST";
    r.body = DT_BODY_MEMORY;
    r.data = bodies[i];
    r.size = (size_t)sprintf(bodies[i], "%d of thread %d", i, w->number);
    dt_transfer_start(e, &r, &transfers[i], &what);
  }
  finish_all(e);
  for(i = 0; i < REQUESTS; i++) {
    if(transfers[i] && is_echo(transfers[i], bodies[i]))
      w->right++;
    dt_transfer_free(transfers[i]);
  }
}

static void *work(void *data)
{
  struct worker *w = data;
  int i;

  for(i = 0; i < ENGINES; i++) {
    struct dt_engine *e;

    if(dt_engine_new(&e, NULL))
      break;
    if(i % 2)
      dt_engine_fd(e); /* with the timer and the wake-up behind it, too */
    work_with(e, w);
    dt_engine_free(e);
  }
  return NULL;
}

void test_threads(void)
{
  struct peer *p = peer_open(peer_echo, NULL);
  struct worker workers[THREADS];
  int i;

  for(i = 0; i < THREADS; i++) {
    memset(&workers[i], 0, sizeof(workers[i]));
    workers[i].number = i;
    strcpy(workers[i].url, peer_url(p, "/"));
  }
  for(i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
  for(i = 0; i < THREADS; i++) {
    CHECK(!pthread_join(workers[i].thread, NULL));
    CHECK(workers[i].right == ENGINES * REQUESTS);
  }
  peer_close(p);
}
