/*
 * pollset_kqueue.c - the poll set of macOS and the BSDs: kqueue, and a user
 * event for the kick. Timers are left to dt_engine_timeout.
 */
#if !defined(__linux__)

#define _GNU_SOURCE
#include "pollset.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH      64
#define KICK_IDENT 1

struct dt_pollset {
  int queue;
  pid_t owner;
  int watched;
  int kicked;
  unsigned char *interest; /* by descriptor */
  int nfds;
};

int dt_pollset_new(struct dt_pollset **out)
{
  struct dt_pollset *p = calloc(1, sizeof(*p));

  *out = NULL;
  if(!p)
    return -1;
  p->owner = getpid();
  p->queue = kqueue();
  if(p->queue < 0) {
    free(p);
    return -1;
  }
  *out = p;
  return 0;
}

/* A forked child does not inherit the kqueue: its number may be any other file
   by now. */
void dt_pollset_free(struct dt_pollset *p)
{
  if(!p)
    return;
  if(p->owner == getpid())
    close(p->queue);
  free(p->interest);
  free(p);
}

static int table_reserve(struct dt_pollset *p, int fd)
{
  int n = p->nfds ? p->nfds : 64;
  unsigned char *table;

  if(fd < p->nfds)
    return 0;
  while(n <= fd)
    n *= 2;
  table = realloc(p->interest, (size_t)n);
  if(!table) {
    errno = ENOMEM;
    return -1;
  }
  memset(table + p->nfds, 0, (size_t)(n - p->nfds));
  p->interest = table;
  p->nfds = n;
  return 0;
}

static int change(struct dt_pollset *p, uintptr_t ident, int filter, int flags,
                  unsigned fflags)
{
  struct kevent ev;

  EV_SET(&ev, ident, filter, flags, fflags, 0, 0);
  return kevent(p->queue, &ev, 1, NULL, 0, NULL);
}

/* Deleting fails when the descriptor was closed, which is as good. Adding is
   never left out: the descriptor may have been closed and opened anew. */
static int change_filter(struct dt_pollset *p, int fd, int filter, int was,
                         int is)
{
  if(is)
    return change(p, (uintptr_t)fd, filter, EV_ADD, 0);
  if(was)
    (void)change(p, (uintptr_t)fd, filter, EV_DELETE, 0);
  return 0;
}

int dt_pollset_set(struct dt_pollset *p, int fd, unsigned interest)
{
  unsigned was;

  if(table_reserve(p, fd))
    return -1;
  was = p->interest[fd];
  if(change_filter(p, fd, EVFILT_READ, was & DT_POLL_IN,
                   interest & DT_POLL_IN) ||
     change_filter(p, fd, EVFILT_WRITE, was & DT_POLL_OUT,
                   interest & DT_POLL_OUT))
    return -1;
  p->interest[fd] = (unsigned char)interest;
  return 0;
}

void dt_pollset_opened(struct dt_pollset *p, int fd)
{
  (void)p;
  (void)fd;
}

void dt_pollset_closing(struct dt_pollset *p, int fd)
{
  (void)p;
  (void)fd;
}

/* kevent takes no signal mask: a signal may slip in just before it. */
int dt_pollset_wait(struct dt_pollset *p, double seconds, const sigset_t *mask,
                    struct dt_ready *ready, int max)
{
  struct kevent events[BATCH];
  struct timespec limit;
  sigset_t before;
  int i, n, count = 0;

  if(seconds > 86400)
    seconds = 86400;
  limit.tv_sec = (time_t)(seconds > 0 ? seconds : 0);
  limit.tv_nsec =
    (long)(seconds > 0 ? (seconds - (double)limit.tv_sec) * 1e9 : 0);
  if(mask)
    pthread_sigmask(SIG_SETMASK, mask, &before);
  n = kevent(p->queue, NULL, 0, events, max < BATCH ? max : BATCH,
             seconds < 0 ? NULL : &limit);
  if(mask)
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  for(i = 0; i < n; i++) {
    if(events[i].filter == EVFILT_USER)
      continue; /* stays set until dt_pollset_kick(p, 0) */
    ready[count].fd = (int)events[i].ident;
    ready[count].what =
      events[i].filter == EVFILT_READ ? DT_POLL_IN : DT_POLL_OUT;
    if(events[i].flags & EV_ERROR)
      ready[count].what |= DT_POLL_ERROR;
    count++;
  }
  return n < 0 ? n : count;
}

int dt_pollset_fd(const struct dt_pollset *p)
{
  return p->queue;
}

int dt_pollset_watch(struct dt_pollset *p)
{
  p->watched = 1;
  return 0;
}

void dt_pollset_kick(struct dt_pollset *p, int on)
{
  int rc;

  if(!p->watched || p->kicked == on)
    return;
  if(on) {
    rc = change(p, KICK_IDENT, EVFILT_USER, EV_ADD, 0);
    if(!rc)
      rc = change(p, KICK_IDENT, EVFILT_USER, 0, NOTE_TRIGGER);
  } else
    rc = change(p, KICK_IDENT, EVFILT_USER, EV_DELETE, 0);
  if(!rc)
    p->kicked = on;
}

void dt_pollset_alarm(struct dt_pollset *p, double when)
{
  (void)p;
  (void)when;
}

#else
typedef int dt_pollset_kqueue_is_not_for_this_system;
#endif
