/*
 * multi.c - libcurl's multi handle: what it asks for, what it is told, what it
 * has finished, and what keeps it from spinning. Knows flows by their handles.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>

#define SPIN_STEPS  32 /* due steps without effect before they are held back */
#define SPIN_DELAY  0.001

#define NETWORK_CHANGED ((CURLMoption)17) /* CURLMOPT_NETWORK_CHANGED of 8.16 */

/* --- what libcurl asks for -------------------------------------------------- */

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
  dt_lines_set(e, fd, interest ? DT_LINE_USED : DT_LINE_KEPT);
  if(!interest)
    dt_engine_forget_ready(e, fd);
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

/* Enough to keep the connections of two busy origins, beside those that WebSockets have:
   libcurl counts these too, and would close every other one after its request. */
static long connections_kept(const struct dt_engine *e)
{
  long kept = e->max_connections < 50000 ? (long)e->max_connections * 2 : 100000;

  return kept + e->lasting;
}

void dt_multi_lasting(struct dt_engine *e, int more)
{
  e->lasting += more;
  curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, connections_kept(e));
}

/* Its version, as libcurl counts them. To tell it libcurl asks many libraries for
   theirs, whose code then comes into memory; before 8.16, which is known by an
   option that does nothing with 0, it does not matter. */
static unsigned version(CURLM *multi)
{
  if(curl_multi_setopt(multi, NETWORK_CHANGED, 0L) == CURLM_UNKNOWN_OPTION)
    return 0;
  return curl_version_info(CURLVERSION_NOW)->version_num;
}

int dt_multi_open(struct dt_engine *e)
{
  e->multi = curl_multi_init();
  e->curl_due = -1;
  if(!e->multi)
    return DT_NOMEM;
  e->libcurl = version(e->multi);
  curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
  curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
  curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, connections_kept(e));
  return DT_OK;
}

void dt_handles_free(struct dt_link *list, CURLM *multi)
{
  while(!dt_link_alone(list)) {
    struct dt_handle *h = DT_OF(list->next, struct dt_handle, link);

    if(multi)
      curl_multi_remove_handle(multi, h->easy);
    dt_handle_free(h);
  }
}

/* Those that libcurl has no hand in are not touched. */
static void end_flows(struct dt_engine *e, int code, const char *message)
{
  struct dt_link *l, *next;

  for(l = e->flows.next; l != &e->flows; l = next) {
    struct dt_flow *f = DT_OF(l, struct dt_flow, all);

    next = l->next;
    if(f->handle)
      f->type->end(f, code, message);
  }
}

void dt_multi_close(struct dt_engine *e, int code, const char *message)
{
  end_flows(e, code, message);
  if(!e->multi)
    return;
  dt_handles_free(&e->zombies, e->multi);
  curl_multi_cleanup(e->multi);
  e->multi = NULL;
  e->curl_due = -1;
}

int dt_multi_rebuild(struct dt_engine *e)
{
  int code = e->nomem ? DT_NOMEM : DT_INTERNAL;

  dt_multi_close(e, code, e->nomem
                         ? "out of memory"
                         : "the transfers of this process had to be given up");
  e->broken = e->nomem = 0;
  if(dt_multi_open(e))
    code = DT_NOMEM;
  return code;
}

int dt_multi_add(struct dt_engine *e, struct dt_handle *h)
{
  return curl_multi_add_handle(e->multi, h->easy) ? DT_NOMEM : DT_OK;
}

/* --- what libcurl is told ----------------------------------------------------- */

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

void dt_multi_socket(struct dt_engine *e, int fd, unsigned what)
{
  socket_action(e, fd, (what & DT_POLL_IN ? CURL_CSELECT_IN : 0) |
                         (what & DT_POLL_OUT ? CURL_CSELECT_OUT : 0) |
                         (what & DT_POLL_ERROR ? CURL_CSELECT_ERR : 0));
}

void dt_multi_timer(struct dt_engine *e)
{
  if(e->broken || e->curl_due < 0 || e->curl_due > e->now)
    return;
  e->curl_due = -1;
  socket_action(e, CURL_SOCKET_TIMEOUT, 0);
}

/* --- versions that spin ------------------------------------------------------- */

static int is_8_20(const struct dt_engine *e)
{
  return e->libcurl >= 0x081400 && e->libcurl < 0x081500;
}

/* libcurl 8.20.0 watches the descriptor that its resolver wakes it up by, and
   leaves emptying it to curl_multi_poll. Emptied before the sockets are looked
   at, what wakes it meanwhile is not lost. */
void dt_multi_before_sockets(struct dt_engine *e)
{
  if(e->batch_at < e->batch_size && is_8_20(e))
    (void)curl_multi_poll(e->multi, NULL, 0, 0, NULL);
}

/* libcurl 8.20.0 stays "due" for ever once its resolver was used, until
   curl_multi_poll is called; whatever else might make it spin is held back. */
void dt_multi_guard(struct dt_engine *e, uint64_t before, int due)
{
  if(e->activity != before || !due) {
    e->idle_steps = 0;
    return;
  }
  if(e->idle_steps++ > SPIN_STEPS || is_8_20(e))
    (void)curl_multi_poll(e->multi, NULL, 0, 0, NULL);
  if(e->idle_steps > SPIN_STEPS && e->curl_due >= 0 && e->curl_due <= e->now)
    e->curl_due = e->now + SPIN_DELAY;
}

/* --- what libcurl has done ---------------------------------------------------- */

/* A handle without a flow is one whose name lookup was cancelled. */
void dt_multi_finished(struct dt_engine *e)
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
    if(h->flow)
      h->flow->type->complete(h->flow, rc);
    else
      dt_handle_release(h, 1);
  }
}
