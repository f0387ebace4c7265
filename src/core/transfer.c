/*
 * transfer.c - the life of a transfer: started, running, ended by itself, by
 * its user or by a deadline; its two queues as the user sees them; its result.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_SILENCE 1.0 /* seconds without a byte that say something */

static struct dt_transfer *of(struct dt_flow *f)
{
  return DT_OF(f, struct dt_transfer, flow);
}

/* --- deadlines --------------------------------------------------------------------- */

/* Waiting for the user to read or to write is not the peer's idleness. */
static int waits_for_user(const struct dt_transfer *t)
{
  return t->recv_paused || t->send_paused;
}

/* The next moment to look at the transfer's deadlines; 0: none. */
static double next_deadline(const struct dt_transfer *t)
{
  double total = t->order.timeout > 0 ? t->flow.started + t->order.timeout : 0;
  double idle = 0;

  if(t->order.idle_timeout > 0 && t->state == DT_RUNNING)
    idle = t->flow.last_activity + t->order.idle_timeout;
  if(total <= 0)
    return idle;
  return idle > 0 && idle < total ? idle : total;
}

void dt_transfer_set_deadline(struct dt_transfer *t)
{
  dt_flow_set_deadline(&t->flow, next_deadline(t));
}

static const char *stage(const struct dt_transfer *t)
{
  if(t->state == DT_QUEUED)
    return "waiting for a free connection";
  if(!t->request_sent)
    return "connecting";
  if(!t->answered)
    return "waiting for the answer";
  return "receiving the answer";
}

/* Of who gives up by himself that says something only if he has waited. */
static void distrust_silence(struct dt_transfer *t, int always)
{
  double silence = t->flow.engine->now - t->flow.last_activity;

  if(always || (silence >= LONG_SILENCE && !waits_for_user(t)))
    dt_lines_distrust(t, silence);
}

/* A deadline has come: ends the transfer, or sets the next one. */
static void expire(struct dt_flow *f)
{
  struct dt_transfer *t = of(f);
  double now = t->flow.engine->now;
  char text[128];

  if(t->order.timeout > 0 && t->flow.started + t->order.timeout <= now) {
    snprintf(text, sizeof(text), "no complete answer within %g s, while %s",
             t->order.timeout, stage(t));
    distrust_silence(t, !t->answered);
    dt_transfer_end(t, DT_TIMEOUT, text);
    return;
  }
  if(waits_for_user(t))
    t->flow.last_activity = now;
  if(next_deadline(t) > now) {
    dt_transfer_set_deadline(t);
    return;
  }
  snprintf(text, sizeof(text), "no byte within %g s, while %s",
           t->order.idle_timeout, stage(t));
  dt_lines_distrust(t, t->order.idle_timeout);
  dt_transfer_end(t, DT_IDLE_TIMEOUT, text);
}

/* --- the beginning ----------------------------------------------------------------- */

/* Takes the transfer back that could not be started. */
static int give_up(struct dt_engine *e, struct dt_transfer **out, int code)
{
  dt_deadlines_release(&e->deadlines);
  if(*out)
    dt_transfer_delete(*out);
  *out = NULL;
  return code;
}

/* Makes the transfer, which has its origin then but is in no list. */
static int start(struct dt_engine *e, const struct dt_request *r,
                 struct dt_transfer **out, const char **what)
{
  struct dt_transfer *t;
  int code;

  if(dt_deadlines_reserve(&e->deadlines))
    return DT_NOMEM;
  code = dt_order_new(e, r, r->profile ? r->profile : e->profile, out, what);
  if(code)
    return give_up(e, out, code);
  t = *out;
  t->origin = dt_origin_get(e, &t->order.origin);
  if(!t->origin)
    return give_up(e, out, DT_NOMEM);
  dt_flow_init(&t->flow, &dt_transfer_type);
  dt_link_init(&t->place);
  t->announced = t->sent_total = -1;
  t->flow.started = t->flow.last_activity = e->now = dt_now();
  return DT_OK;
}

/* What the sink's descriptor is; 0 when that cannot be seen. */
static mode_t sink_mode(const struct dt_request *r)
{
  struct stat about;

  return fstat(r->sink_fd, &about) ? 0 : about.st_mode;
}

/* Whoever reads from a pipe, or a socket, may leave. */
static int may_break(mode_t mode)
{
  return !mode || S_ISFIFO(mode) || S_ISSOCK(mode);
}

int dt_transfer_new(struct dt_engine *e, const struct dt_request *r,
                    struct dt_transfer **out, const char **what)
{
  const char *bad = NULL;
  int code = DT_FORKED;

  *out = NULL;
  if(dt_engine_is_ours(e))
    code = start(e, r, out, &bad);
  if(what)
    *what = bad;
  if(!code)
    dt_flow_join(&(*out)->flow, e);
  return code;
}

void dt_transfer_enqueue(struct dt_engine *e, struct dt_transfer *t,
                         const struct dt_request *r)
{
  mode_t mode = r->sink == DT_SINK_FD ? sink_mode(r) : S_IFREG;

  dt_origin_enqueue(e, t);
  dt_transfer_set_deadline(t);
  t->gathers = S_ISREG(mode) != 0;
  e->pipes |= t->order.origin.tls || t->profile->tls_proxy || may_break(mode);
  dt_engine_sync(e);
}

int dt_transfer_start(struct dt_engine *e, const struct dt_request *r,
                      struct dt_transfer **out, const char **what)
{
  int code = dt_transfer_new(e, r, out, what);

  if(!code)
    dt_transfer_enqueue(e, *out, r);
  return code;
}

/* Gives a transfer that has got its slot to libcurl, or ends it. */
static void begin(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;
  int code = DT_NOMEM, wired = dt_wire_takes(t);

  t->flow.last_activity = e->now;
  dt_lines_look(e);
  if(wired && dt_wire_begin(t))
    return;
  t->flow.handle = dt_handle_acquire(e, t->profile, t->origin->tls);
  if(t->flow.handle) {
    t->flow.handle->flow = &t->flow;
    code = dt_request_apply(t);
    if(!code && wired && dt_wire_connect(t))
      code = DT_NOMEM;
  }
  if(!code)
    code = dt_multi_add(e, t->flow.handle);
  if(code)
    dt_transfer_end(t, code, "libcurl refused the transfer");
  else
    dt_transfer_set_deadline(t);
}

/* --- the end ----------------------------------------------------------------------- */

static int64_t info_offset(const struct dt_transfer *t, CURLINFO info)
{
  curl_off_t n = 0;

  curl_easy_getinfo(t->flow.handle->easy, info, &n);
  return (int64_t)n;
}

static long info_long(const struct dt_transfer *t, CURLINFO info)
{
  long n = 0;

  curl_easy_getinfo(t->flow.handle->easy, info, &n);
  return n;
}

static double info_seconds(const struct dt_transfer *t, CURLINFO info)
{
  int64_t microseconds = info_offset(t, info);

  return (double)microseconds / 1e6;
}

static void copy_timing(struct dt_transfer *t)
{
  t->timing.dns = info_seconds(t, CURLINFO_NAMELOOKUP_TIME_T);
  t->timing.connect = info_seconds(t, CURLINFO_CONNECT_TIME_T);
  t->timing.tls = info_seconds(t, CURLINFO_APPCONNECT_TIME_T);
  t->timing.first_byte = info_seconds(t, CURLINFO_STARTTRANSFER_TIME_T);
  t->timing.total = info_seconds(t, CURLINFO_TOTAL_TIME_T);
}

/* Takes from the handle what only it knows. */
static void copy_facts(struct dt_transfer *t)
{
  long connects;

  if(!t->flow.handle)
    return;
  connects = info_long(t, CURLINFO_NUM_CONNECTS);
  if(t->origin && t->origin->tls && t->answered)
    t->origin->http1 =
      info_long(t, CURLINFO_HTTP_VERSION) <= CURL_HTTP_VERSION_1_1;
  t->reused = t->request_sent && !connects;
  t->sent = (uint64_t)info_offset(t, CURLINFO_SIZE_UPLOAD_T);
  t->sent_total = info_offset(t, CURLINFO_CONTENT_LENGTH_UPLOAD_T);
  if(t->order.timing)
    copy_timing(t);
  if(connects > 0)
    t->flow.engine->stats.connects += (uint64_t)connects;
}

static void give_handle_back(struct dt_transfer *t, int finished)
{
  struct dt_handle *h = t->flow.handle;

  if(h && !finished && !t->mime && !t->request_sent && dt_handle_must_linger(h))
    dt_handle_linger(h);
  else if(h)
    dt_handle_release(h, 1);
  t->flow.handle = NULL;
  curl_mime_free(t->mime);
  t->mime = NULL;
}

static void end(struct dt_transfer *t, int code, const char *message,
                int finished)
{
  struct dt_engine *e = t->flow.engine;

  if(!code && t->unpacker && !dt_inflate_is_over(t->unpacker)) {
    code = DT_TRUNCATED;
    message = "the packed answer ends before its end";
  }
  if(e->gather.whose == t)
    dt_gather_flush(e); /* of what failed, what came of it is kept */
  dt_sink_close(t);
  dt_wire_drop(t);
  copy_facts(t);
  dt_origin_leave(e, t);
  give_handle_back(t, finished);
  dt_flow_set_deadline(&t->flow, 0);
  dt_link_remove(&t->flow.work);
  dt_chunk_queue_clear(&t->out);
  t->state = DT_DONE;
  t->flow.ended = e->now;
  t->code = code;
  if(message)
    snprintf(t->message, sizeof(t->message), "%s", message);
  e->stats.finished++;
  dt_flow_post(&t->flow, DT_EVENT_DONE | (t->order.sink == DT_SINK_QUEUE
                                         ? DT_EVENT_READABLE
                                         : 0));
}

void dt_transfer_end(struct dt_transfer *t, int code, const char *message)
{
  if(t->state != DT_DONE)
    end(t, code, message, 0);
}

static void end_flow(struct dt_flow *f, int code, const char *message)
{
  dt_transfer_end(of(f), code, message);
}

/* Nothing of it has left: it begins again. libcurl has closed that connection. */
static void begin_again(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;

  t->late = 0;
  give_handle_back(t, 1);
  dt_origin_requeue(e, t);
  dt_transfer_set_deadline(t);
  dt_engine_sync(e);
}

/* Ends it with what libcurl said. */
static void complete(struct dt_flow *f, CURLcode rc)
{
  struct dt_transfer *t = of(f);
  char text[CURL_ERROR_SIZE];
  int code;

  if(t->late) {
    begin_again(t);
    return;
  }
  if(t->connecting && !rc) {
    dt_wire_connected(t);
    return;
  }
  if(t->flow.engine->gather.whose == t)
    dt_gather_flush(t->flow.engine);
  code = dt_failure_code(t, rc);
  dt_failure_message(t, code, rc, text, sizeof(text));
  if(code == DT_CONNECT)
    t->os_error = (int)info_long(t, CURLINFO_OS_ERRNO);
  end(t, code, code ? text : NULL, 1);
}

void dt_transfer_cancel(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;
  struct dt_sigpipe pipe;

  if(!e || t->state == DT_DONE || !dt_engine_is_ours(e))
    return;
  dt_sigpipe_block(&pipe, e->pipes);
  e->now = dt_now();
  distrust_silence(t, 0);
  dt_transfer_end(t, DT_CANCELED, "canceled");
  dt_sigpipe_restore(&pipe);
  dt_engine_sync(e);
}

static void forget(struct dt_flow *f)
{
  struct dt_transfer *t = of(f);

  if(t->state == DT_DONE)
    return;
  dt_gather_drop(t);
  dt_origin_leave(f->engine, t);
  f->handle = NULL;
  t->mime = NULL;
  dt_wire_forget(t);
  t->state = DT_DONE;
  f->ended = dt_now();
  t->code = DT_FORKED;
}

/* Hands out what libcurl held back meanwhile. Where that fails, older versions
   say so here and nowhere else, newer ones only when the peer says more. */
static void unpause(struct dt_transfer *t)
{
  CURLcode rc = curl_easy_pause(t->flow.handle->easy,
                                (t->recv_paused ? CURLPAUSE_RECV : 0) |
                                  (t->send_paused ? CURLPAUSE_SEND : 0));

  t->flow.engine->now = dt_now();
  if(rc || t->code)
    complete(&t->flow, rc ? rc : CURLE_WRITE_ERROR);
}

/* Its slot is free, its pause is over, or it has failed. */
static void ready(struct dt_flow *f)
{
  struct dt_transfer *t = of(f);

  if(t->state != DT_RUNNING)
    return;
  f->last_activity = f->engine->now;
  if(t->wire)
    dt_wire_ready(t);
  else if(t->code) /* what was gathered for it could not be written */
    complete(f, CURLE_WRITE_ERROR);
  else if(f->handle)
    unpause(t);
  else
    begin(t);
}

const struct dt_flow_type dt_transfer_type = { ready, complete, expire, end_flow,
                                               forget };

/* --- freeing ------------------------------------------------------------------------- */

void dt_transfer_delete(struct dt_transfer *t)
{
  dt_sink_close(t);
  dt_profile_free(t->profile);
  dt_carriage_free(t->carriage);
  free(t->header_block);
  free(t->memory);
  free(t);
}

void dt_transfer_free(struct dt_transfer *t)
{
  struct dt_engine *e;

  if(!t)
    return;
  e = t->flow.engine;
  dt_transfer_cancel(t);
  if(e)
    forget(&t->flow);
  dt_flow_leave(&t->flow);
  dt_chunk_queue_clear(&t->out);
  dt_chunk_queue_clear(&t->in);
  free(t->held);
  dt_order_recycle(e, t);
}

uint64_t dt_transfer_id(const struct dt_transfer *t)
{
  return t->flow.id;
}

/* --- waiting ----------------------------------------------------------------------- */

int dt_transfer_await(struct dt_transfer *t, double seconds)
{
  double limit = t->flow.engine ? t->flow.engine->now + seconds : 0;
  int interrupted = 0;

  while(t->state != DT_DONE) {
    struct dt_engine *e = t->flow.engine;

    if(interrupted || dt_engine_has_events(e) ||
       dt_engine_poll(e, seconds, &interrupted))
      return 0;
    seconds = limit - e->now;
    if(seconds <= 0 && t->state != DT_DONE)
      return 0;
  }
  t->flow.events = 0;
  dt_link_remove(&t->flow.event);
  if(t->flow.engine)
    dt_engine_sync(t->flow.engine);
  return 1;
}

/* --- streaming --------------------------------------------------------------------- */

static int has_queue(const struct dt_transfer *t)
{
  size_t i, n = dt_order_sources(&t->order);

  for(i = 0; i < n; i++) {
    if(t->order.sources[i].kind == DT_BODY_QUEUE)
      return 1;
  }
  return 0;
}

/* The next step tells libcurl that a pause is over. */
static void go_on(struct dt_transfer *t)
{
  dt_flow_work(&t->flow);
  dt_engine_sync(t->flow.engine);
}

/* A transfer that waits for its body goes on in the next step. */
static void resume_sending(struct dt_transfer *t)
{
  if(t->send_paused) {
    t->send_paused = 0;
    go_on(t);
  }
}

/* Whether the body queue may be added to. */
static int check_writable(const struct dt_transfer *t)
{
  if(!has_queue(t))
    return DT_BAD_ARGUMENT;
  if(t->state == DT_DONE)
    return t->code ? t->code : DT_BAD_ARGUMENT;
  return dt_engine_is_ours(t->flow.engine) ? DT_OK : DT_FORKED;
}

int dt_transfer_write(struct dt_transfer *t, const char *data, size_t size,
                      size_t *taken)
{
  int code = check_writable(t);

  *taken = 0;
  if(code)
    return code;
  if(t->finished)
    return DT_BAD_ARGUMENT;
  if(t->out.size >= DT_QUEUE_HIGH) {
    t->refused = 1;
    return DT_OK;
  }
  if(dt_chunk_queue_append(&t->out, data, size))
    return DT_NOMEM;
  *taken = size;
  if(size)
    resume_sending(t);
  return DT_OK;
}

int dt_transfer_finish(struct dt_transfer *t)
{
  int code = check_writable(t);

  if(!code && !t->finished) {
    t->finished = 1;
    resume_sending(t);
  }
  return code;
}

static void resume_receiving(struct dt_transfer *t)
{
  if(t->recv_paused && t->in.size <= DT_QUEUE_LOW) {
    t->recv_paused = 0;
    go_on(t);
  }
}

int dt_transfer_read(struct dt_transfer *t, const char **data, size_t *size)
{
  *data = NULL;
  *size = 0;
  if(t->order.sink != DT_SINK_QUEUE)
    return DT_BAD_ARGUMENT;
  if(!t->holding) {
    dt_chunk_queue_give_back(&t->in, t->held);
    t->held = dt_chunk_queue_take(&t->in);
  }
  if(t->state == DT_RUNNING)
    resume_receiving(t);
  if(t->held) {
    *data = dt_chunk_data(t->held);
    *size = t->held->to - t->held->from;
    return 1;
  }
  if(t->state != DT_DONE)
    return 0;
  return t->code ? t->code : 2;
}

void dt_transfer_hold(struct dt_transfer *t, int on)
{
  t->holding = on;
}

/* --- results ------------------------------------------------------------------------ */

/* What is only known to the handle while it is there. */
static void live_result(const struct dt_transfer *t, struct dt_result *r)
{
  r->sent = (uint64_t)info_offset(t, CURLINFO_SIZE_UPLOAD_T);
  r->sent_total = info_offset(t, CURLINFO_CONTENT_LENGTH_UPLOAD_T);
  r->reused = t->request_sent && !info_long(t, CURLINFO_NUM_CONNECTS);
}

int dt_transfer_timing(const struct dt_transfer *t, struct dt_timing *timing)
{
  *timing = t->timing;
  return t->order.timing && t->state == DT_DONE;
}

void dt_transfer_result(const struct dt_transfer *t, struct dt_result *r)
{
  memset(r, 0, sizeof(*r));
  r->done = t->state == DT_DONE;
  r->code = t->code;
  r->os_error = t->os_error;
  r->status = t->answered ? t->status : 0;
  r->message = t->message;
  r->body = t->memory ? t->memory : "";
  r->body_size = t->memory_size;
  r->header_block = t->answered && t->header_block ? t->header_block : "";
  r->header_size = t->answered ? t->header_size : 0;
  r->received = t->received;
  r->sent = t->sent;
  r->received_total = t->coding ? -1 : t->announced;
  r->sent_total = t->sent_total;
  r->request_sent = t->request_sent;
  r->answer_started = t->answer_started;
  r->reused = t->reused;
  r->seconds = (r->done ? t->flow.ended : dt_now()) - t->flow.started;
  if(t->flow.handle && dt_engine_is_ours(t->flow.engine))
    live_result(t, r);
}
