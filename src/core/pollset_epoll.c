/*
 * pollset_epoll.c - the poll set of Linux: epoll, and for watched sets a
 * timerfd and an eventfd inside it.
 *
 * Setting a timerfd is by far the dearest call here, so it is set only when
 * the alarm comes nearer. An alarm that is no longer wanted is left to run out
 * while the timerfd is not being listened to. Likewise a kept connection, which
 * libcurl lets go after each request, stays in the set until it says something
 * that nobody wants to hear.
 */
#if defined(__linux__)

#define _GNU_SOURCE
#include "pollset.h"
#include "core.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 64

struct watch {
  unsigned char wanted;
  unsigned char known;   /* what epoll was told; 0: not in the set */
  unsigned char lasting; /* its closing will be told */
};

struct dt_pollset {
  int epoll;
  int timer;       /* -1 until watched */
  int kick;        /* -1 until watched */
  int kicked;
  int listening;   /* the timerfd counts */
  double armed;    /* when the timerfd expires; 0: not armed */
  struct watch *watches; /* by descriptor */
  int nfds;
};

static void close_fd(int *fd)
{
  if(*fd >= 0)
    close(*fd);
  *fd = -1;
}

int dt_pollset_new(struct dt_pollset **out)
{
  struct dt_pollset *p = calloc(1, sizeof(*p));

  *out = NULL;
  if(!p)
    return -1;
  p->timer = p->kick = -1;
  p->epoll = epoll_create1(EPOLL_CLOEXEC);
  if(p->epoll < 0) {
    free(p);
    return -1;
  }
  *out = p;
  return 0;
}

void dt_pollset_free(struct dt_pollset *p)
{
  if(!p)
    return;
  close_fd(&p->timer);
  close_fd(&p->kick);
  close_fd(&p->epoll);
  free(p->watches);
  free(p);
}

/* Makes room for the descriptor in the table. 0 or -1. */
static int table_reserve(struct dt_pollset *p, int fd)
{
  int n = p->nfds ? p->nfds : 64;
  struct watch *table;

  if(fd < p->nfds)
    return 0;
  while(n <= fd)
    n *= 2;
  table = realloc(p->watches, (size_t)n * sizeof(*table));
  if(!table) {
    errno = ENOMEM;
    return -1;
  }
  memset(table + p->nfds, 0, (size_t)(n - p->nfds) * sizeof(*table));
  p->watches = table;
  p->nfds = n;
  return 0;
}

static int control(struct dt_pollset *p, int op, int fd, uint32_t events)
{
  struct epoll_event ev;

  memset(&ev, 0, sizeof(ev));
  ev.events = events;
  ev.data.fd = fd;
  return epoll_ctl(p->epoll, op, fd, &ev);
}

/* The table may lag behind a descriptor that was closed, and perhaps opened
   anew, without a word: the kernel then says so, and the other way is right. */
static int add_or_modify(struct dt_pollset *p, int fd, uint32_t events)
{
  int known = p->watches[fd].known != 0;
  int rc = control(p, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, events);

  if(rc && known && errno == ENOENT)
    rc = control(p, EPOLL_CTL_ADD, fd, events);
  else if(rc && !known && errno == EEXIST)
    rc = control(p, EPOLL_CTL_MOD, fd, events);
  return rc;
}

/* Fails if the descriptor is closed by now. */
static void forget(struct dt_pollset *p, int fd)
{
  (void)control(p, EPOLL_CTL_DEL, fd, 0);
  p->watches[fd].known = 0;
}

/* What nobody is interested in stays as it is: there is nothing to take back, or
   it is a kept connection that can only become readable. */
static int may_stay(const struct watch *w)
{
  return !w->known || (w->lasting && w->known == DT_POLL_IN);
}

int dt_pollset_set(struct dt_pollset *p, int fd, unsigned interest)
{
  struct watch *w;
  uint32_t events = 0;

  if(table_reserve(p, fd))
    return -1;
  w = &p->watches[fd];
  w->wanted = (unsigned char)interest;
  if(interest ? w->lasting && interest == w->known : may_stay(w))
    return 0;
  if(interest & DT_POLL_IN)
    events |= EPOLLIN;
  if(interest & DT_POLL_OUT)
    events |= EPOLLOUT;
  if(!interest)
    forget(p, fd);
  else if(add_or_modify(p, fd, events))
    return -1;
  w->known = (unsigned char)interest;
  return 0;
}

void dt_pollset_opened(struct dt_pollset *p, int fd)
{
  if(table_reserve(p, fd))
    return;
  p->watches[fd].wanted = p->watches[fd].known = 0;
  p->watches[fd].lasting = 1;
}

/* To close it would not be enough where a forked process has it too. */
void dt_pollset_closing(struct dt_pollset *p, int fd)
{
  if(fd >= p->nfds)
    return;
  if(p->watches[fd].known)
    forget(p, fd);
  p->watches[fd].wanted = p->watches[fd].lasting = 0;
}

/* In milliseconds, rounded up: waking too early would only mean to wait
   again. */
static int milliseconds(double seconds)
{
  if(seconds < 0)
    return -1;
  if(seconds > 86400)
    seconds = 86400;
  return (int)(seconds * 1e3 + 0.999);
}

/* Takes in what the timerfd or the eventfd say. 1 if fd is one of these. */
static int own_event(struct dt_pollset *p, int fd)
{
  uint64_t n;

  if(fd == p->kick)
    return 1; /* stays readable until dt_pollset_kick(p, 0) */
  if(fd != p->timer)
    return 0;
  if(read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n))
    p->armed = 0;
  return 1;
}

int dt_pollset_wait(struct dt_pollset *p, double seconds, const sigset_t *mask,
                    struct dt_ready *ready, int max)
{
  struct epoll_event events[BATCH];
  int i, n, count = 0;

  n = epoll_pwait(p->epoll, events, max < BATCH ? max : BATCH,
                  milliseconds(seconds), mask);
  for(i = 0; i < n; i++) {
    uint32_t what = events[i].events;
    int fd = events[i].data.fd;

    if(own_event(p, fd))
      continue;
    if(!p->watches[fd].wanted) {
      forget(p, fd);
      continue;
    }
    ready[count].fd = fd;
    ready[count].what = (what & EPOLLIN ? DT_POLL_IN : 0) |
                        (what & EPOLLOUT ? DT_POLL_OUT : 0) |
                        (what & (EPOLLERR | EPOLLHUP) ? DT_POLL_ERROR : 0);
    count++;
  }
  return n < 0 ? n : count;
}

int dt_pollset_fd(const struct dt_pollset *p)
{
  return p->epoll;
}

int dt_pollset_watch(struct dt_pollset *p)
{
  int saved;

  if(p->kick >= 0)
    return 0;
  p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  p->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if(p->timer >= 0 && p->kick >= 0 &&
     !control(p, EPOLL_CTL_ADD, p->timer, 0) &&
     !control(p, EPOLL_CTL_ADD, p->kick, EPOLLIN))
    return 0;
  saved = errno;
  close_fd(&p->timer);
  close_fd(&p->kick);
  errno = saved;
  return -1;
}

void dt_pollset_kick(struct dt_pollset *p, int on)
{
  uint64_t n = 1;
  ssize_t done;

  if(p->kick < 0 || p->kicked == on)
    return;
  if(on)
    done = write(p->kick, &n, sizeof(n));
  else
    done = read(p->kick, &n, sizeof(n));
  if(done == (ssize_t)sizeof(n))
    p->kicked = on;
}

static void listen_to_timer(struct dt_pollset *p, int on)
{
  if(p->listening != on &&
     !control(p, EPOLL_CTL_MOD, p->timer, on ? EPOLLIN : 0))
    p->listening = on;
}

void dt_pollset_alarm(struct dt_pollset *p, double when)
{
  struct itimerspec spec;
  double now;

  if(p->timer < 0)
    return;
  listen_to_timer(p, when > 0);
  if(when <= 0)
    return;
  now = dt_now();
  if(p->armed > now && p->armed <= when)
    return;
  memset(&spec, 0, sizeof(spec));
  if(when > now) {
    spec.it_value.tv_sec = (time_t)(when - now);
    spec.it_value.tv_nsec =
      (long)((when - now - (double)spec.it_value.tv_sec) * 1e9);
  }
  if(!spec.it_value.tv_sec && !spec.it_value.tv_nsec)
    spec.it_value.tv_nsec = 1; /* all zero would disarm */
  if(!timerfd_settime(p->timer, 0, &spec, NULL))
    p->armed = when;
}

#else
typedef int dt_pollset_epoll_is_not_for_this_system;
#endif
