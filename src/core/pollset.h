/*
 * pollset.h - waiting for many descriptors at once, behind one descriptor.
 *
 * One file a system: pollset_epoll.c (Linux) and pollset_kqueue.c (macOS and
 * the BSDs); each compiles to nothing on the other. A poll set knows nothing
 * of libcurl and never calls it.
 */
#ifndef DAYTONA_POLLSET_H
#define DAYTONA_POLLSET_H

#include <signal.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define DT_POLL_IN    1u
#define DT_POLL_OUT   2u
#define DT_POLL_ERROR 4u /* only reported */

struct dt_ready {
  int fd; /* -1: no longer of interest */
  unsigned what;
};

struct dt_pollset;

/* 0, or -1 with errno; *out is NULL then. */
int dt_pollset_new(struct dt_pollset **out);

/* Closes the poll set's own descriptors, which is safe in a forked child too. */
void dt_pollset_free(struct dt_pollset *p);

/* Watches fd for `interest`, 0 for no longer. 0, or -1 with errno. */
int dt_pollset_set(struct dt_pollset *p, int fd, unsigned interest);

/* The descriptor was opened just now, and dt_pollset_closing will be called
   before it is closed. So what the system knows of it can be relied upon, and
   need not be taken back whenever nobody is interested for a moment. */
void dt_pollset_opened(struct dt_pollset *p, int fd);
void dt_pollset_closing(struct dt_pollset *p, int fd);

/* Waits for at most `seconds` (0: looks only; negative: no limit) and fills in
   up to `max` ready descriptors; `mask`, if not NULL, is the thread's signal
   mask meanwhile. Returns how many; -1 with errno on failure, which is EINTR
   when a signal came. */
int dt_pollset_wait(struct dt_pollset *p, double seconds, const sigset_t *mask,
                    struct dt_ready *ready, int max);

/* The descriptor that is readable when one in the set is ready, and, once
   dt_pollset_watch succeeded, when it was kicked or its alarm passed. */
int dt_pollset_fd(const struct dt_pollset *p);

/* Turns on kick and alarm. 0, or -1 with errno. */
int dt_pollset_watch(struct dt_pollset *p);

/* Makes the descriptor readable until called with 0. Nothing before watch. */
void dt_pollset_kick(struct dt_pollset *p, int on);

/* Makes the descriptor readable at `when` in dt_now() time, 0 for never.
   Nothing before watch, or where only dt_engine_timeout covers timers. */
void dt_pollset_alarm(struct dt_pollset *p, double when);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
