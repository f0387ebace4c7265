/*
 * engine.c - the engine's life, waiting and stepping, and its events.
 *
 * Knows nothing of what a request holds or where an answer goes; that is the
 * business of the files below it (see engine.h).
 */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS      16 /* of a step, before the host gets its turn again */
#define STARTS      8  /* transfers given to libcurl a round */
#define SPIN_STEPS  32 /* due steps without effect before they are held back */
#define SPIN_DELAY  0.001

/* --- what libcurl asks for -------------------------------------------------- */

/* What was reported of the descriptor is no longer of interest. */
static void forget_ready(struct dt_engine *e, int fd)
{
  int i;

  for(i = e->batch_at; i < e->batch_size; i++) {
    if(e->batch[i].fd == fd)
      e->batch[i].fd = -1;
  }
}

void dt_engine_unwatch(struct dt_engine *e, int fd)
{
  forget_ready(e, fd);
  (void)dt_pollset_set(e->pollset, fd, 0);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *engine,
                     void *unused)
{
  struct dt_engine *e = engine;
  unsigned interest = 0;

  (void)easy;
  (void)unused;
  e->activity++;
  if(what == CURL_POLL_IN || what == CURL_POLL_INOUT)
    interest |= DT_POLL_IN;
  if(what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
    interest |= DT_POLL_OUT;
  if(!interest)
    forget_ready(e, fd);
  if(dt_pollset_set(e->pollset, fd, interest)) {
    e->nomem |= errno == ENOMEM || errno == ENOSPC;
    e->broken = 1; /* libcurl gives the multi handle up, and may not say so */
    return -1;
  }
  return 0;
}

static int on_timer(CURLM *multi, long ms, void *engine)
{
  struct dt_engine *e = engine;

  (void)multi;
  if(ms > 0)
    e->curl_due = dt_now() + (double)ms * 1e-3;
  else
    e->curl_due = ms ? -1 : e->now; /* within this step */
  return 0;
}

/* --- the multi handle ------------------------------------------------------- */

/* Enough to keep the connections of two busy origins. */
static long connections_kept(const struct dt_engine *e)
{
  return e->max_connections < 50000 ? (long)e->max_connections * 2 : 100000;
}

static int multi_open(struct dt_engine *e)
{
  e->multi = curl_multi_init();
  e->curl_due = -1;
  if(!e->multi)
    return DT_NOMEM;
  curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
  curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
  curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, connections_kept(e));
  return DT_OK;
}

static void free_handles(struct dt_link *list, CURLM *multi)
{
  while(!dt_link_alone(list)) {
    struct dt_handle *h = DT_OF(list->next, struct dt_handle, link);

    if(multi)
      curl_multi_remove_handle(multi, h->easy);
    dt_handle_free(h);
  }
}

/* Ends what libcurl has and closes the multi handle. The poll set must still
   be there, as sockets are taken out of it now. */
static void multi_close(struct dt_engine *e, int code, const char *message)
{
  while(!dt_link_alone(&e->running))
    dt_transfer_end(DT_OF(e->running.next, struct dt_transfer, place), code,
                    message);
  dt_ws_end_all(e, code, message);
  if(!e->multi)
    return;
  free_handles(&e->zombies, e->multi);
  curl_multi_cleanup(e->multi);
  e->multi = NULL;
  e->curl_due = -1;
}

/* After a failure of the multi handle no transfer in it is to be trusted. */
static int multi_rebuild(struct dt_engine *e)
{
  int code = e->nomem ? DT_NOMEM : DT_INTERNAL;

  multi_close(e, code, e->nomem
                         ? "out of memory"
                         : "the transfers of this process had to be given up");
  e->broken = e->nomem = 0;
  if(multi_open(e))
    code = DT_NOMEM;
  return code;
}

/* --- life -------------------------------------------------------------------- */

static void lists_init(struct dt_engine *e)
{
  dt_link_init(&e->transfers);
  dt_link_init(&e->running);
  dt_link_init(&e->ready);
  dt_link_init(&e->resuming);
  dt_link_init(&e->events);
  dt_link_init(&e->pool);
  dt_link_init(&e->zombies);
  dt_link_init(&e->sockets);
  dt_link_init(&e->socket_work);
  dt_link_init(&e->socket_events);
}

static int open_parts(struct dt_engine *e)
{
  static const struct dt_profile_options none;
  int code;

  if(dt_pollset_new(&e->pollset))
    return errno == ENOMEM ? DT_NOMEM : DT_INTERNAL;
  code = dt_profile_new(&e->profile, &none);
  return code ? code : multi_open(e);
}

int dt_engine_new(struct dt_engine **out, const struct dt_engine_options *opts)
{
  struct dt_engine *e;
  int code = dt_global_init();

  *out = NULL;
  if(code)
    return code;
  e = calloc(1, sizeof(*e));
  if(!e)
    return DT_NOMEM;
  lists_init(e);
  e->generation = dt_generation();
  e->now = dt_now();
  e->max_connections = opts && opts->max_connections ? opts->max_connections
                                                     : 256;
  code = open_parts(e);
  if(code) {
    dt_engine_free(e);
    return code;
  }
  *out = e;
  return DT_OK;
}

int dt_engine_is_ours(const struct dt_engine *e)
{
  return e->generation == dt_generation();
}

/* The transfers outlive the engine. */
static void let_go_of_transfers(struct dt_engine *e)
{
  while(!dt_link_alone(&e->transfers)) {
    struct dt_transfer *t = DT_OF(e->transfers.next, struct dt_transfer, all);

    dt_transfer_end(t, DT_CANCELED, "the engine was closed");
    dt_link_remove(&t->all);
    dt_link_remove(&t->event);
    t->engine = NULL;
  }
}

/* libcurl keeps its memory and sockets: to free them would say goodbye on
   connections that are the parent's. */
void dt_engine_abandon(struct dt_engine *e)
{
  if(!e || dt_engine_is_ours(e) || !e->pollset)
    return;
  dt_pollset_free(e->pollset);
  e->pollset = NULL;
  while(!dt_link_alone(&e->transfers)) {
    struct dt_transfer *t = DT_OF(e->transfers.next, struct dt_transfer, all);

    dt_transfer_forget(t);
    t->engine = NULL;
  }
  dt_ws_leave(e, 1);
}

/* Engines of a parent process that were freed here: what libcurl keeps hangs on
   them, so that it is not taken for forgotten. */
static struct dt_engine *left_behind;

void dt_engine_free(struct dt_engine *e)
{
  struct dt_sigpipe pipe;

  if(!e)
    return;
  if(dt_engine_is_ours(e)) {
    dt_sigpipe_block(&pipe, e->pipes);
    let_go_of_transfers(e);
    dt_ws_leave(e, 0);
    multi_close(e, DT_CANCELED, NULL);
    free_handles(&e->pool, NULL);
    dt_sigpipe_restore(&pipe);
    dt_pollset_free(e->pollset);
  } else
    dt_engine_abandon(e);
  dt_origins_free(e);
  dt_transfers_free(e);
  dt_deadlines_free(&e->deadlines);
  free(e->socket_at);
  if(dt_engine_is_ours(e)) {
    dt_profile_free(e->profile);
    free(e);
  } else {
    e->next_left = left_behind;
    left_behind = e;
  }
}

/* --- what there is to do ------------------------------------------------------ */

/* Something other than a ready socket waits for a step. */
static int is_due(const struct dt_engine *e)
{
  return e->batch_at < e->batch_size || !dt_link_alone(&e->resuming) ||
         !dt_link_alone(&e->ready) || !dt_link_alone(&e->socket_work) ||
         e->broken ||
         (e->curl_due >= 0 && e->curl_due <= e->now);
}

int dt_engine_has_events(const struct dt_engine *e)
{
  return !dt_link_alone(&e->events) || !dt_link_alone(&e->socket_events);
}

static double earlier(double a, double b)
{
  if(a <= 0)
    return b;
  return b <= 0 || a < b ? a : b;
}

/* The next moment at which a step is needed; 0 when there is none. */
static double next_moment(const struct dt_engine *e)
{
  struct dt_deadline *first = dt_deadlines_first(&e->deadlines);

  return earlier(earlier(e->curl_due, e->alarm), first ? first->when : 0);
}

/* Seconds from e->now until a step is needed; negative: never. */
static double until_due(const struct dt_engine *e)
{
  double when;

  if(dt_engine_has_events(e) || is_due(e))
    return 0;
  when = next_moment(e);
  if(when <= 0)
    return -1;
  return when > e->now ? when - e->now : 0;
}

double dt_engine_timeout(struct dt_engine *e)
{
  if(!dt_engine_is_ours(e))
    return -1;
  e->now = dt_now();
  return until_due(e);
}

static void update_kick(struct dt_engine *e)
{
  if(e->watched)
    dt_pollset_kick(e->pollset, dt_engine_has_events(e) || is_due(e));
}

void dt_engine_sync(struct dt_engine *e)
{
  if(!e->watched)
    return;
  update_kick(e);
  dt_pollset_alarm(e->pollset, next_moment(e));
}

int dt_engine_fd(struct dt_engine *e)
{
  if(!dt_engine_is_ours(e))
    return -1;
  if(!e->watched && !dt_pollset_watch(e->pollset)) {
    e->watched = 1;
    dt_engine_sync(e);
  }
  return e->watched ? dt_pollset_fd(e->pollset) : -1;
}

void dt_engine_alarm(struct dt_engine *e, double when)
{
  if(!dt_engine_is_ours(e))
    return;
  e->alarm = when > 0 ? when : 0;
  dt_engine_sync(e);
}

void dt_engine_get_stats(const struct dt_engine *e, struct dt_engine_stats *out)
{
  *out = e->stats;
}

/* --- stepping ------------------------------------------------------------------ */

static void socket_action(struct dt_engine *e, curl_socket_t fd, int mask)
{
  int running;
  CURLMcode rc = curl_multi_socket_action(e->multi, fd, mask, &running);

  if(rc && rc != CURLM_BAD_SOCKET) {
    e->nomem |= rc == CURLM_OUT_OF_MEMORY;
    e->broken = 1;
  }
  e->now = dt_now();
}

static int is_over(const struct dt_engine *e)
{
  return e->limit > 0 && e->now >= e->limit;
}

int dt_engine_is_spent(struct dt_engine *e)
{
  if(e->limit > 0)
    e->now = dt_now();
  return is_over(e);
}

static int is_8_20(struct dt_engine *e)
{
  if(!e->libcurl)
    e->libcurl = curl_version_info(CURLVERSION_NOW)->version_num;
  return e->libcurl >= 0x081400 && e->libcurl < 0x081500;
}

/* libcurl 8.20.0 watches the descriptor that its resolver wakes it up by, and
   leaves emptying it to curl_multi_poll. Emptied before the sockets are looked
   at, what wakes it meanwhile is not lost. */
static void empty_wakeup(struct dt_engine *e)
{
  if(e->batch_at < e->batch_size && is_8_20(e))
    (void)curl_multi_poll(e->multi, NULL, 0, 0, NULL);
}

/* What is left when the budget is spent is the first thing of the next step,
   so no socket is passed over for ever. */
static void run_sockets(struct dt_engine *e)
{
  empty_wakeup(e);
  while(e->batch_at < e->batch_size && !e->broken && !is_over(e)) {
    struct dt_ready r = e->batch[e->batch_at++];
    struct dt_ws *ws = dt_ws_at(e, r.fd);

    if(ws) {
      dt_ws_ready(ws);
      e->now = dt_now();
    } else if(r.fd >= 0)
      socket_action(e, r.fd,
                    (r.what & DT_POLL_IN ? CURL_CSELECT_IN : 0) |
                      (r.what & DT_POLL_OUT ? CURL_CSELECT_OUT : 0) |
                      (r.what & DT_POLL_ERROR ? CURL_CSELECT_ERR : 0));
  }
}

static void run_timer(struct dt_engine *e)
{
  if(e->broken || e->curl_due < 0 || e->curl_due > e->now)
    return;
  e->curl_due = -1;
  socket_action(e, CURL_SOCKET_TIMEOUT, 0);
}

/* Hands out what libcurl held back meanwhile. Where that fails, older versions
   say so here and nowhere else, newer ones only when the peer says more. */
static void unpause(struct dt_transfer *t)
{
  CURLcode rc = curl_easy_pause(t->handle->easy,
                                (t->recv_paused ? CURLPAUSE_RECV : 0) |
                                  (t->send_paused ? CURLPAUSE_SEND : 0));

  t->engine->now = dt_now();
  if(rc || t->code)
    dt_transfer_complete(t, rc ? rc : CURLE_WRITE_ERROR);
}

static void run_resumes(struct dt_engine *e)
{
  while(!dt_link_alone(&e->resuming) && !is_over(e)) {
    struct dt_transfer *t =
      DT_OF(e->resuming.next, struct dt_transfer, resume);

    dt_link_remove(&t->resume);
    if(t->state != DT_RUNNING)
      continue;
    e->activity++;
    t->last_activity = e->now;
    unpause(t);
  }
}

/* A handle without a transfer is one whose name lookup was cancelled. */
static void run_finished(struct dt_engine *e)
{
  int left;
  CURLMsg *m;

  if(e->broken)
    return;
  for(m = curl_multi_info_read(e->multi, &left); m;
      m = curl_multi_info_read(e->multi, &left)) {
    CURLcode rc = m->data.result;
    char *private = NULL;
    struct dt_handle *h;

    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
    h = (struct dt_handle *)(void *)private;
    e->activity++;
    if(h->ws)
      dt_ws_connected(h->ws, rc);
    else if(h->transfer)
      dt_transfer_complete(h->transfer, rc);
    else
      dt_handle_release(h, 1);
  }
}

static void run_deadlines(struct dt_engine *e)
{
  struct dt_deadline *first = dt_deadlines_first(&e->deadlines);

  while(first && first->when <= e->now) {
    e->activity++;
    first->expire(first);
    first = dt_deadlines_first(&e->deadlines);
  }
}

/* Gives libcurl what a free slot waits for, a few at a time. */
static void run_starts(struct dt_engine *e)
{
  int n;

  for(n = 0; n < STARTS && !e->broken; n++) {
    struct dt_transfer *t = dt_origin_next(e);

    if(!t)
      break;
    e->activity++;
    dt_transfer_begin(t);
  }
}

/* libcurl 8.20.0 stays "due" for ever once its resolver was used, until
   curl_multi_poll is called; whatever else might make it spin is held back. */
static void guard_against_spinning(struct dt_engine *e, uint64_t before)
{
  if(e->activity != before || !is_due(e)) {
    e->idle_steps = 0;
    return;
  }
  if(e->idle_steps++ > SPIN_STEPS || is_8_20(e))
    (void)curl_multi_poll(e->multi, NULL, 0, 0, NULL);
  if(e->idle_steps > SPIN_STEPS && e->curl_due >= 0 && e->curl_due <= e->now)
    e->curl_due = e->now + SPIN_DELAY;
}

static void run_rounds(struct dt_engine *e)
{
  int i;

  for(i = 0; i < ROUNDS && !e->broken; i++) {
    if(e->turn) {
      run_sockets(e);
      run_resumes(e);
    } else {
      run_resumes(e);
      run_sockets(e);
    }
    dt_ws_run(e);
    run_timer(e);
    run_finished(e);
    run_deadlines(e);
    run_starts(e);
    if(!is_due(e) || is_over(e))
      break;
  }
}

/* Does what is due and what the last wait found, until `limit` (0: none). */
static int work(struct dt_engine *e, double limit)
{
  uint64_t before = e->activity;
  struct dt_sigpipe pipe;
  int code = DT_OK;

  e->limit = limit;
  e->delivered = 0;
  e->turn = !e->turn;
  dt_sigpipe_block(&pipe, e->pipes);
  if(!e->multi)
    code = multi_open(e);
  if(!code)
    run_rounds(e);
  e->limit = 0;
  if(e->broken)
    code = multi_rebuild(e);
  if(!code)
    guard_against_spinning(e, before);
  dt_sigpipe_restore(&pipe);
  return code;
}

/* An alarm is over once the caller is about to hear of it: not before, or a
   poll that works first would then wait without it. */
static void end_alarm(struct dt_engine *e)
{
  if(e->alarm > 0 && e->alarm <= e->now)
    e->alarm = 0;
}

/* Asks the poll set, unless there are answers left from the last time. Returns
   0, or 1 when a signal came. */
static int look(struct dt_engine *e, double seconds)
{
  int n = 0;

  if(e->batch_at == e->batch_size) {
    n = dt_pollset_wait(e->pollset, seconds, e->holding ? &e->unheld : NULL,
                        e->batch, DT_BATCH);
    e->batch_at = 0;
    e->batch_size = n > 0 ? n : 0;
  }
  e->now = dt_now();
  return n < 0;
}

int dt_engine_step(struct dt_engine *e, double budget)
{
  int code;

  if(!dt_engine_is_ours(e))
    return DT_FORKED;
  e->stats.steps++;
  look(e, 0);
  code = work(e, budget > 0 ? e->now + budget : 0);
  end_alarm(e);
  dt_engine_sync(e);
  return code;
}

/* How long a poll of `seconds` may wait; negative: no limit. */
static double wait_time(const struct dt_engine *e, double seconds)
{
  double due = until_due(e);

  if(due < 0)
    return seconds;
  return seconds < 0 || due < seconds ? due : seconds;
}

void dt_engine_hold(struct dt_engine *e, int sig)
{
  sigset_t set;

  if(e->holding)
    return;
  sigemptyset(&set);
  sigaddset(&set, sig);
  e->holding = !pthread_sigmask(SIG_BLOCK, &set, &e->unheld);
}

static void unhold(struct dt_engine *e)
{
  if(e->holding)
    pthread_sigmask(SIG_SETMASK, &e->unheld, NULL);
  e->holding = 0;
}

/* What is due is done before waiting: of a small request the first half is
   sent then, so that the answer costs one wait and no look in vain. */
int dt_engine_poll(struct dt_engine *e, double seconds, int *interrupted)
{
  int code = DT_OK;
  int signal_came = 0;

  if(interrupted)
    *interrupted = 0;
  if(!dt_engine_is_ours(e)) {
    unhold(e);
    return DT_FORKED;
  }
  e->stats.steps++;
  e->now = dt_now();
  if(is_due(e))
    code = work(e, 0);
  if(!code && !dt_engine_has_events(e)) {
    double wait = wait_time(e, seconds);

    signal_came = look(e, wait);
    e->stats.polls += wait != 0;
    code = work(e, 0);
  }
  if(interrupted)
    *interrupted = signal_came;
  end_alarm(e);
  dt_engine_sync(e);
  unhold(e);
  return code;
}

uint64_t dt_engine_new_id(void)
{
  static uint64_t last;

  return __sync_add_and_fetch(&last, 1);
}

/* --- events ---------------------------------------------------------------------- */

void dt_engine_post(struct dt_engine *e, struct dt_transfer *t, unsigned what)
{
  t->events |= what;
  dt_link_ensure(&e->events, &t->event);
}

void dt_engine_resume(struct dt_engine *e, struct dt_transfer *t)
{
  dt_link_ensure(&e->resuming, &t->resume);
  update_kick(e);
}

void dt_engine_touch(struct dt_transfer *t)
{
  t->engine->activity++;
  t->last_activity = t->engine->now;
}

static size_t list_length(const struct dt_link *list)
{
  const struct dt_link *l;
  size_t n = 0;

  for(l = list->next; l != list; l = l->next)
    n++;
  return n;
}

size_t dt_engine_count_events(const struct dt_engine *e)
{
  return list_length(&e->events) + list_length(&e->socket_events);
}

int dt_engine_next_event(struct dt_engine *e, struct dt_transfer **t,
                         unsigned *what)
{
  *t = NULL;
  *what = 0;
  if(dt_link_alone(&e->events) || !dt_engine_is_ours(e))
    return 0;
  *t = DT_OF(e->events.next, struct dt_transfer, event);
  *what = (*t)->events;
  (*t)->events = 0;
  dt_link_remove(&(*t)->event);
  update_kick(e);
  return 1;
}
