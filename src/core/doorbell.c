/*
 * doorbell.c - see doorbell.h.
 *
 * The thread sleeps on a condition until it is armed, then in poll until the
 * descriptor is readable, rings, and sleeps again. Only shutting the connection
 * down wakes it out of that poll.
 */
#define _GNU_SOURCE
#include "doorbell.h"
#include "engine.h" /* dt_generation, which counts forks */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* the thread takes no signals, and rings alone */
#endif

/* Enough for poll and send, also where a sanitizer wants its part. */
#define STACK_SIZE (256 * 1024)

#define NAME "/bell"

struct dt_doorbell {
  int fd;         /* a duplicate of what is watched */
  int listener;   /* -1 once there is a connection */
  int connection; /* -1 until then */
  unsigned generation;        /* of the process it was made in */
  char folder[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": removed */
  struct sockaddr_un address;
  int has_thread;
  pthread_t thread;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t changed;
  int armed;
  int closed; /* the other side went away */
  int quit;
  double until; /* in dt_now() time; negative: no limit */
};

static void close_fd(int *fd)
{
  if(*fd >= 0)
    close(*fd);
  *fd = -1;
}

/* --- the thread ------------------------------------------------------------ */

static int milliseconds_until(double when)
{
  double left;

  if(when < 0)
    return -1;
  left = when - dt_now();
  if(left <= 0)
    return 0;
  return left < 86400 ? (int)(left * 1e3 + 0.999) : 86400000;
}

/* Waits until there is a reason to ring. 0 when the connection has ended. */
static int watch(struct dt_doorbell *d, double until)
{
  struct pollfd p[2];
  int n;

  p[0].fd = d->fd;
  p[1].fd = d->connection;
  p[0].events = p[1].events = POLLIN; /* nothing is ever sent to us */
  p[0].revents = p[1].revents = 0;
  do
    n = poll(p, 2, milliseconds_until(until));
  while(n < 0 && errno == EINTR);
  return n >= 0 && !p[1].revents;
}

static int ring(struct dt_doorbell *d)
{
  ssize_t n;

  do
    n = send(d->connection, "!", 1, MSG_NOSIGNAL);
  while(n < 0 && errno == EINTR);
  return n == 1;
}

static void *run(void *arg)
{
  struct dt_doorbell *d = arg;
  double until;
  int fine = 1;

  pthread_mutex_lock(&d->lock);
  while(!d->quit && fine) {
    if(!d->armed) {
      pthread_cond_wait(&d->changed, &d->lock);
      continue;
    }
    until = d->until;
    pthread_mutex_unlock(&d->lock);
    fine = watch(d, until);
    pthread_mutex_lock(&d->lock);
    d->armed = 0; /* before the byte, which may be answered at once */
    pthread_mutex_unlock(&d->lock);
    fine = fine && ring(d);
    pthread_mutex_lock(&d->lock);
  }
  d->closed = 1;
  pthread_mutex_unlock(&d->lock);
  return NULL;
}

/* Starts the thread with all signals blocked: they are the host's. An errno. */
static int start(struct dt_doorbell *d)
{
  pthread_attr_t attr;
  sigset_t all, before;
  int rc = pthread_attr_init(&attr);

  if(rc)
    return rc;
  rc = pthread_attr_setstacksize(&attr, STACK_SIZE);
  sigfillset(&all);
  if(!rc)
    rc = pthread_sigmask(SIG_SETMASK, &all, &before);
  if(!rc) {
    rc = pthread_create(&d->thread, &attr, run, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  pthread_attr_destroy(&attr);
  d->has_thread = !rc;
  return rc;
}

/* --- the socket ------------------------------------------------------------ */

static int set_flags(int fd)
{
  int flags = fcntl(fd, F_GETFL);

  return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
         fcntl(fd, F_SETFD, FD_CLOEXEC) ? -1 : 0;
}

static void remove_path(struct dt_doorbell *d)
{
  if(!d->folder[0])
    return;
  unlink(d->address.sun_path);
  rmdir(d->folder);
  d->folder[0] = '\0';
}

/* Makes the private folder in `parent`, and the path in it. 0 or -1. */
static int make_folder(struct dt_doorbell *d, const char *parent)
{
  char name[sizeof(d->folder)];
  int n;

  n = snprintf(name, sizeof(name), "%s/daytona-bell-XXXXXX", parent);
  if(n < 0 || (size_t)n + sizeof(NAME) > sizeof(d->address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if(!mkdtemp(name))
    return -1;
  memcpy(d->folder, name, sizeof(name));
  memcpy(d->address.sun_path, name, (size_t)n);
  memcpy(d->address.sun_path + n, NAME, sizeof(NAME));
  return 0;
}

static int listen_in(struct dt_doorbell *d, const char *parent)
{
  const struct sockaddr *address = (const void *)&d->address;
  int saved;

  if(make_folder(d, parent))
    return -1;
  d->listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if(d->listener >= 0 && !set_flags(d->listener) &&
     !bind(d->listener, address, sizeof(d->address)) &&
     !listen(d->listener, 1))
    return 0;
  saved = errno;
  close_fd(&d->listener);
  remove_path(d);
  errno = saved;
  return -1;
}

/* In the first of the usual places that this user may write to. */
static int listen_somewhere(struct dt_doorbell *d)
{
  const char *places[] = { NULL, "/tmp", "/dev/shm" };
  size_t i;

  places[0] = getenv("TMPDIR");
  d->address.sun_family = AF_UNIX;
  for(i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    if(places[i] && places[i][0] == '/' && !listen_in(d, places[i]))
      return 0;
  }
  return -1;
}

/* --- for the host ---------------------------------------------------------- */

int dt_doorbell_new(struct dt_doorbell **out, int fd)
{
  struct dt_doorbell *d = calloc(1, sizeof(*d));
  int saved;

  *out = NULL;
  if(!d)
    return -1;
  d->listener = d->connection = -1;
  d->generation = dt_generation();
  pthread_mutex_init(&d->lock, NULL);
  pthread_cond_init(&d->changed, NULL);
  d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if(d->fd >= 0 && !listen_somewhere(d)) {
    *out = d;
    return 0;
  }
  saved = errno;
  dt_doorbell_free(d);
  errno = saved;
  return -1;
}

const char *dt_doorbell_path(const struct dt_doorbell *d)
{
  return d->address.sun_path;
}

int dt_doorbell_open(struct dt_doorbell *d)
{
  if(d->connection < 0) {
    d->connection = accept(d->listener, NULL, NULL);
    if(d->connection < 0 || fcntl(d->connection, F_SETFD, FD_CLOEXEC))
      return -1;
    close_fd(&d->listener);
    remove_path(d);
  }
  if(!d->has_thread) {
    errno = start(d);
    if(errno)
      return -1;
  }
  return 0;
}

int dt_doorbell_is_open(const struct dt_doorbell *d)
{
  struct pollfd p;

  p.fd = d->connection;
  p.events = POLLIN; /* readable means ended: nothing is ever sent to us */
  p.revents = 0;
  return d->connection >= 0 && d->generation == dt_generation() &&
         poll(&p, 1, 0) == 0;
}

int dt_doorbell_arm(struct dt_doorbell *d, double seconds)
{
  int closed = 1;

  if(!d->has_thread || d->generation != dt_generation())
    return -1;
  pthread_mutex_lock(&d->lock);
  closed = d->closed;
  d->until = seconds < 0 ? -1 : dt_now() + seconds;
  d->armed = 1;
  pthread_cond_signal(&d->changed);
  pthread_mutex_unlock(&d->lock);
  return closed ? -1 : 0;
}

static void stop(struct dt_doorbell *d)
{
  if(!d->has_thread)
    return;
  pthread_mutex_lock(&d->lock);
  d->quit = 1;
  pthread_cond_signal(&d->changed);
  pthread_mutex_unlock(&d->lock);
  shutdown(d->connection, SHUT_RDWR);
  pthread_join(d->thread, NULL);
}

void dt_doorbell_free(struct dt_doorbell *d)
{
  if(!d)
    return;
  if(d->generation == dt_generation()) {
    stop(d);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    remove_path(d);
  }
  close_fd(&d->listener);
  close_fd(&d->connection);
  close_fd(&d->fd);
  free(d);
}
