/*
 * engine.c - the engine's life, waiting and stepping, and its events.
 *
 * Knows nothing of what flows through it; that is the business of the files that
 * it drives by the functions of flow.h.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS      16 /* of a step, before the host gets its turn again */
#define STARTS      8  /* of those that waited for a slot, a round */

/* --- life -------------------------------------------------------------------- */

static void lists_init(struct dt_engine *e)
{
  dt_link_init(&e->flows);
  dt_link_init(&e->work);
  dt_link_init(&e->events);
  dt_link_init(&e->ready);
  dt_link_init(&e->pool);
  dt_link_init(&e->zombies);
}

static int open_parts(struct dt_engine *e)
{
  static const struct dt_profile_options none;
  int code;

  if(dt_pollset_new(&e->pollset))
    return errno == ENOMEM ? DT_NOMEM : DT_INTERNAL;
  code = dt_profile_new(&e->profile, &none);
  return code ? code : dt_multi_open(e);
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
  e->through_libcurl = opts && opts->through_libcurl;
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

static struct dt_flow *first_flow(struct dt_engine *e)
{
  return dt_link_alone(&e->flows) ? NULL
                                  : DT_OF(e->flows.next, struct dt_flow, all);
}

/* They outlive the engine. */
static void let_go_of_flows(struct dt_engine *e)
{
  struct dt_flow *f;

  for(f = first_flow(e); f; f = first_flow(e)) {
    f->type->end(f, DT_CANCELED, "the engine was closed");
    dt_flow_leave(f);
  }
}

static void forget_flows(struct dt_engine *e)
{
  struct dt_flow *f;

  for(f = first_flow(e); f; f = first_flow(e)) {
    f->type->forget(f);
    dt_flow_leave(f);
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
  forget_flows(e);
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
    let_go_of_flows(e);
    dt_multi_close(e, DT_CANCELED, NULL);
    dt_handles_free(&e->pool, NULL);
    dt_sigpipe_restore(&pipe);
    dt_pollset_free(e->pollset);
    e->pollset = NULL;
  } else
    dt_engine_abandon(e);
  dt_gather_free(e);
  dt_origins_free(e);
  dt_orders_free(e);
  dt_deadlines_free(&e->deadlines);
  free(e->watchers);
  free(e->lines);
  e->lines = NULL;
  e->lines_room = 0;
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
  return e->batch_at < e->batch_size || !dt_link_alone(&e->work) ||
         !dt_link_alone(&e->ready) || e->broken ||
         (e->curl_due >= 0 && e->curl_due <= e->now);
}

int dt_engine_has_events(const struct dt_engine *e)
{
  return !dt_link_alone(&e->events);
}

double dt_earlier(double a, double b)
{
  if(a <= 0)
    return b;
  return b <= 0 || a < b ? a : b;
}

/* The next moment at which a step is needed; 0 when there is none. */
static double next_moment(const struct dt_engine *e)
{
  struct dt_deadline *first = dt_deadlines_first(&e->deadlines);

  return dt_earlier(dt_earlier(e->curl_due, e->alarm), first ? first->when : 0);
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

void dt_engine_forget_ready(struct dt_engine *e, int fd)
{
  int i;

  for(i = e->batch_at; i < e->batch_size; i++) {
    if(e->batch[i].fd == fd)
      e->batch[i].fd = -1;
  }
}

/* --- stepping ------------------------------------------------------------------ */

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

/* Whose descriptor it is; NULL: libcurl's. */
static struct dt_flow *watcher(const struct dt_engine *e, int fd)
{
  return fd >= 0 && fd < e->watchers_room ? e->watchers[fd] : NULL;
}

/* What is left when the budget is spent is the first thing of the next step,
   so no socket is passed over for ever. */
static void run_sockets(struct dt_engine *e)
{
  dt_multi_before_sockets(e);
  while(e->batch_at < e->batch_size && !e->broken && !is_over(e)) {
    struct dt_ready r = e->batch[e->batch_at++];
    struct dt_flow *f = watcher(e, r.fd);

    if(f) {
      f->type->ready(f);
      e->now = dt_now();
    } else if(r.fd >= 0)
      dt_multi_socket(e, r.fd, r.what);
  }
}

/* Moves the links of one list to an empty one. */
static void move_links(struct dt_link *from, struct dt_link *to)
{
  dt_link_init(to);
  while(!dt_link_alone(from)) {
    struct dt_link *l = from->next;

    dt_link_remove(l);
    dt_link_append(to, l);
  }
}

/* Gives those their turn that wanted one; who wants another waits for the next
   round. One gets it however small the budget is. */
static void run_work(struct dt_engine *e)
{
  struct dt_link turn;
  int n = 0;

  e->openings = 0;
  move_links(&e->work, &turn);
  while(!dt_link_alone(&turn)) {
    struct dt_flow *f = DT_OF(turn.next, struct dt_flow, work);

    dt_link_remove(&f->work);
    if(e->broken || (n++ && dt_engine_is_spent(e))) {
      dt_flow_work(f);
      continue;
    }
    e->activity++;
    f->type->ready(f);
    e->now = dt_now();
  }
}

/* Who was stopped, or busy, past a deadline finds what came in time at the next look. */
static int may_expire(const struct dt_engine *e, const struct dt_deadline *d)
{
  return d && d->when <= e->now && d->when <= e->looked &&
         e->batch_at == e->batch_size;
}

static void run_deadlines(struct dt_engine *e)
{
  struct dt_deadline *first = dt_deadlines_first(&e->deadlines);
  struct dt_flow *f;

  while(may_expire(e, first)) {
    e->activity++;
    f = DT_OF(first, struct dt_flow, due);
    f->type->expire(f);
    first = dt_deadlines_first(&e->deadlines);
  }
}

/* Gives libcurl what a free slot waits for, a few at a time. */
static void run_starts(struct dt_engine *e)
{
  int n;

  for(n = 0; n < STARTS && !e->broken; n++) {
    struct dt_flow *f = dt_origin_next(e);

    if(!f)
      break;
    e->activity++;
    f->type->ready(f);
  }
}

static void run_rounds(struct dt_engine *e)
{
  int i;

  for(i = 0; i < ROUNDS && !e->broken; i++) {
    if(e->turn) {
      run_sockets(e);
      run_work(e);
    } else {
      run_work(e);
      run_sockets(e);
    }
    dt_multi_timer(e);
    dt_multi_finished(e);
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
    code = dt_multi_open(e);
  if(!code)
    run_rounds(e);
  dt_gather_flush(e);
  e->limit = 0;
  if(e->broken)
    code = dt_multi_rebuild(e);
  if(!code)
    dt_multi_guard(e, before, is_due(e));
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

static int ask(struct dt_engine *e, double seconds)
{
  int n = dt_pollset_wait(e->pollset, seconds, e->holding ? &e->unheld : NULL,
                          e->batch, DT_BATCH);

  e->batch_at = 0;
  e->batch_size = n > 0 ? n : 0;
  e->now = dt_now();
  if(n >= 0)
    e->looked = e->now;
  return n;
}

/* Asks the poll set, unless there are answers left from the last time. Returns
   0, or 1 when a signal came: then a process that was stopped may go on, long
   after it asked. */
static int look(struct dt_engine *e, double seconds)
{
  int n = 0;

  if(e->batch_at == e->batch_size)
    n = ask(e, seconds);
  else
    e->now = dt_now();
  if(n < 0)
    (void)ask(e, 0);
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
  sigset_t set, mask;

  sigemptyset(&set);
  sigaddset(&set, sig);
  if(pthread_sigmask(SIG_BLOCK, &set, &mask))
    return;
  if(!e->holding)
    e->unheld = mask;
  e->holding = 1;
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

/* --- events ---------------------------------------------------------------------- */

size_t dt_engine_count_events(const struct dt_engine *e)
{
  const struct dt_link *l;
  size_t n = 0;

  for(l = e->events.next; l != &e->events; l = l->next)
    n++;
  return n;
}

int dt_engine_next_event(struct dt_engine *e, uint64_t *id, unsigned *what)
{
  struct dt_flow *f;

  *id = 0;
  *what = 0;
  if(dt_link_alone(&e->events) || !dt_engine_is_ours(e))
    return 0;
  f = DT_OF(e->events.next, struct dt_flow, event);
  *id = f->id;
  *what = f->events;
  f->events = 0;
  dt_link_remove(&f->event);
  update_kick(e);
  return 1;
}
