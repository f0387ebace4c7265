/*
 * ws_timing.c - the deadlines of a WebSocket: connected, open, over, closed in
 * time; no silence for too long; and the pings that find out.
 */
#define _GNU_SOURCE
#include "ws.h"

/* When the peer is to be asked whether it is alive, or is taken for dead: the
   first multiple of the interval that is a quarter of it away, or more. */
static double ping_due(const struct dt_ws *ws)
{
  double since = ws->pinged > 0 ? ws->pinged : ws->last_received;

  if(ws->state != DT_WS_OPEN || ws->ping_interval <= 0)
    return 0;
  return (double)((uint64_t)(since / ws->ping_interval + 0.25) + 1) *
         ws->ping_interval;
}

static double idle_due(const struct dt_ws *ws)
{
  return ws->idle_timeout > 0 ? ws->flow.last_activity + ws->idle_timeout : 0;
}

void dt_ws_set_deadline(struct dt_ws *ws)
{
  double when = dt_earlier(ws->end_by, ws->close_by);

  if(ws->state <= DT_WS_CONNECTING)
    when = dt_earlier(when, ws->connect_by);
  if(ws->state <= DT_WS_OPENING)
    when = dt_earlier(when, ws->open_by);
  when = dt_earlier(when, dt_earlier(ping_due(ws), idle_due(ws)));
  dt_flow_set_deadline(&ws->flow, when);
}

static int is_past(const struct dt_ws *ws, double when)
{
  return when > 0 && when <= ws->flow.engine->now;
}

/* The moment for a ping has come, or for giving up. */
static void ping_or_end(struct dt_ws *ws)
{
  if(ws->pinged > 0 && (ws->heard > 0 || !ws->patient)) {
    dt_ws_end(ws, DT_IDLE_TIMEOUT, "the peer does not answer pings");
    return;
  }
  ws->pinged = ws->flow.engine->now;
  if(!dt_ws_session_closing(ws->session))
    (void)dt_ws_session_ping(ws->session);
  dt_ws_work(ws);
}

void dt_ws_expire(struct dt_flow *f)
{
  struct dt_ws *ws = dt_ws_of(f);

  if(ws->paused) { /* not the peer's idleness */
    ws->flow.last_activity = ws->last_received = ws->flow.engine->now;
    ws->pinged = 0;
  }
  if(ws->state == DT_WS_OPEN && is_past(ws, ws->close_by))
    dt_ws_check_end(ws, 1);
  if(ws->state == DT_WS_DONE)
    return;
  if(is_past(ws, ws->end_by))
    dt_ws_end(ws, DT_TIMEOUT, "the time for this connection is over");
  else if(is_past(ws, ws->close_by))
    dt_ws_end(ws, DT_TIMEOUT, "the peer did not answer the close frame");
  else if(ws->state <= DT_WS_CONNECTING && is_past(ws, ws->connect_by))
    dt_ws_end(ws, DT_CONNECT_TIMEOUT, "no connection in time");
  else if(ws->state <= DT_WS_OPENING && is_past(ws, ws->open_by))
    dt_ws_end(ws, DT_TIMEOUT, "no answer to the opening in time");
  else if(is_past(ws, idle_due(ws)))
    dt_ws_end(ws, DT_IDLE_TIMEOUT, "no byte for too long");
  else if(is_past(ws, ping_due(ws)))
    ping_or_end(ws);
  if(ws->state != DT_WS_DONE)
    dt_ws_set_deadline(ws);
}
