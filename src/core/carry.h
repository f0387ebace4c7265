/*
 * carry.h - transfers whose bytes somebody else carries: a host that has connections
 * of its own, and would watch libcurl's at a price.
 *
 * The carrier opens a connection to the transfer's origin, or takes a kept one, asks
 * for the request's head when it is about to send it, and feeds what comes back.
 * Deadlines, limits, results and what is known of a request that broke are as of
 * every transfer; where there is no connection to be had, or the one that was kept is
 * dead and another try is harmless, the transfer is given back and libcurl has it.
 */
#ifndef DAYTONA_CARRY_H
#define DAYTONA_CARRY_H

#include "core.h"

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* As dt_transfer_start, but the transfer waits for its carrier, if it is one that can be
   carried: from memory to memory, without a proxy, and with nothing to be said about
   certificates. One that cannot is started. The engine's descriptor and timeout are
   not told of the deadline of one that is: its carrier sees to it that the engine is
   stepped then. */
int dt_carry_start(struct dt_engine *e, const struct dt_request *r,
                   struct dt_transfer **out, const char **what);

/* Whether the transfer, which is not over, is to be carried. */
int dt_carry_wants(const struct dt_transfer *t);

/* "http://127.0.0.1:3000": scheme, host and port, in lower case. Until it is over. */
const char *dt_carry_origin(const struct dt_transfer *t);

/* Its connect_timeout, seconds; 0: none. */
double dt_carry_patience(const struct dt_transfer *t);

/* The head of the request, until the next call on this transfer, to be sent with the
   body behind it; it counts as sent now.
   `reused` is whether the connection has carried a request before. DT_OK, DT_NOMEM,
   or DT_CANCELED when the transfer is not to be carried any more. */
int dt_carry_compose(struct dt_transfer *t, int reused, const char **data,
                     size_t *size);

enum dt_carry {
  DT_CARRY_MORE = 0, /* there is more to come */
  DT_CARRY_KEEP,     /* it is over, the connection can carry another request */
  DT_CARRY_CLOSE,    /* it is over */
  DT_CARRY_BACK      /* libcurl has the transfer now */
};

/* Takes what came from the peer. When the transfer is over that is no event: it is the
   caller who tells. */
enum dt_carry dt_carry_feed(struct dt_transfer *t, const char *data,
                            size_t size);

/* The connection is no more: closed by the peer, or never had (nothing was sent). */
enum dt_carry dt_carry_cut(struct dt_transfer *t);

/* No connection was had within the transfer's connect_timeout. */
void dt_carry_late(struct dt_transfer *t);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
