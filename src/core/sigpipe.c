/*
 * sigpipe.c - see sigpipe.h.
 */
#define _GNU_SOURCE
#include "sigpipe.h"

#include <pthread.h>

static int is_pending(void)
{
  sigset_t pending;

  sigemptyset(&pending);
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

void dt_sigpipe_block(struct dt_sigpipe *s, int active)
{
  sigset_t set;

  s->active = active;
  if(!active)
    return;
  s->was_pending = is_pending();
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  if(pthread_sigmask(SIG_BLOCK, &set, &s->mask))
    s->active = 0;
}

void dt_sigpipe_restore(struct dt_sigpipe *s)
{
  sigset_t set;
  int sig;

  if(!s->active)
    return;
  if(!s->was_pending && is_pending()) {
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigwait(&set, &sig);
  }
  pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
}
