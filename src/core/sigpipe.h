/*
 * sigpipe.h - keeps SIGPIPE away while libcurl runs.
 *
 * Plain sockets are written with MSG_NOSIGNAL, but TLS libraries may write
 * without it. The signal is blocked for this thread, and one that came in
 * between is taken away, so the program's own handling stays as it was.
 */
#ifndef DAYTONA_SIGPIPE_H
#define DAYTONA_SIGPIPE_H

#include <signal.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

struct dt_sigpipe {
  int active;
  int was_pending;
  sigset_t mask; /* as it was */
};

/* Blocks the signal if `active`. */
void dt_sigpipe_block(struct dt_sigpipe *s, int active);
void dt_sigpipe_restore(struct dt_sigpipe *s);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
