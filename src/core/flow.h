/*
 * flow.h - things that flow: what the engine drives, whatever it is.
 *
 * A flow lives in one engine from dt_flow_join to dt_flow_leave. The engine gives
 * it turns (it has its slot, or asked for one by dt_flow_work; its own descriptor
 * is ready), tells it what libcurl said of its handle and when its deadline has
 * come, and ends it when the ground goes away under it. It knows nothing of what
 * the flow does then. Transfers (transfer.c) and WebSockets (websocket.c) are flows.
 *
 * The owner embeds a struct dt_flow and owns it; the engine only links to it. None
 * of the functions of a type may free its flow, each may end it.
 */
#ifndef DAYTONA_FLOW_H
#define DAYTONA_FLOW_H

#include "deadlines.h"
#include "list.h"

#include <curl/curl.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

struct dt_engine;
struct dt_flow;
struct dt_handle;

struct dt_flow_type {
  /* It is the flow's turn. */
  void (*ready)(struct dt_flow *f);
  /* libcurl has done what its handle asked for, or failed to. */
  void (*complete)(struct dt_flow *f, CURLcode rc);
  /* The moment of dt_flow_set_deadline has come; to be set anew or removed. */
  void (*expire)(struct dt_flow *f);
  /* Ends it, unless it has ended: its handle is given back, DONE is posted. */
  void (*end)(struct dt_flow *f, int code, const char *message);
  /* In a forked child: ends it without touching what is the parent's. */
  void (*forget)(struct dt_flow *f);
};

struct dt_flow {
  const struct dt_flow_type *type;
  struct dt_engine *engine; /* NULL once it left */
  uint64_t id;              /* unique in the process */
  struct dt_link all;       /* engine.flows */
  struct dt_link work;      /* engine.work: wants its turn */
  struct dt_link event;     /* engine.events: has something to report */
  unsigned events;          /* what */
  struct dt_deadline due;
  struct dt_handle *handle; /* while libcurl has a hand in it */
  double started, ended;
  double last_activity;
};

/* Initializes a zeroed flow that belongs nowhere yet. */
void dt_flow_init(struct dt_flow *f, const struct dt_flow_type *type);

/* The flow, which dt_deadlines_reserve was called for, is the engine's now. */
void dt_flow_join(struct dt_flow *f, struct dt_engine *e);

/* The engine forgets it, in whatever state. Nothing when it had left. */
void dt_flow_leave(struct dt_flow *f);

/* Adds to what will be reported of it. */
void dt_flow_post(struct dt_flow *f, unsigned what);

/* It wants a turn in the next round, or step. */
void dt_flow_work(struct dt_flow *f);

/* Something happened: it is not idle. */
void dt_flow_touch(struct dt_flow *f);

/* When to be called next; 0 or less: not at all. */
void dt_flow_set_deadline(struct dt_flow *f, double when);

/* From now on the descriptor is the flow's own to watch, by dt_pollset_set. 0, or
   -1 without memory. */
int dt_flow_watch(struct dt_flow *f, int fd);

/* It is no longer. */
void dt_flow_unwatch(struct dt_flow *f, int fd);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
