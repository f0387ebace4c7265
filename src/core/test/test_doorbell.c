/*
 * test_doorbell.c - a doorbell rings when its descriptor is readable, once for
 * each time it is armed, and ends without a trace.
 */
#define _GNU_SOURCE
#include "../doorbell.h"
#include "../core.h"
#include "check.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int connect_to(const char *path)
{
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);

  memset(&address, 0, sizeof(address));
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, path);
  CHECK(!connect(fd, (const void *)&address, sizeof(address)));
  return fd;
}

static int is_readable(int fd, int ms)
{
  struct pollfd p = { fd, POLLIN, 0 };

  return poll(&p, 1, ms) == 1;
}

static int entries(const char *folder)
{
  DIR *dir = opendir(folder);
  int n = 0;

  while(readdir(dir))
    n++;
  closedir(dir);
  return n;
}

/* The threads of this process once they are `wanted`, or after 2 seconds. */
static int threads(int wanted)
{
  int i, n = 0;

  for(i = 0; i < 200; i++) {
    n = entries("/proc/self/task") - 2;
    if(n == wanted)
      break;
    usleep(10000);
  }
  return n;
}

struct bell {
  int pipe[2];
  int heard; /* our end of the connection */
  struct dt_doorbell *d;
};

static void set_up(struct bell *b)
{
  char path[200];

  CHECK(!pipe(b->pipe));
  CHECK(!dt_doorbell_new(&b->d, b->pipe[0]));
  strcpy(path, dt_doorbell_path(b->d));
  b->heard = connect_to(path);
  CHECK(!dt_doorbell_open(b->d));
  CHECK(access(path, F_OK)); /* nobody else can find it now */
  *strrchr(path, '/') = '\0';
  CHECK(access(path, F_OK));
}

static void tear_down(struct bell *b)
{
  dt_doorbell_free(b->d);
  close(b->heard);
  close(b->pipe[0]);
  close(b->pipe[1]);
}

static void test_rings(void)
{
  struct bell b;
  char byte = 0;
  int i;

  set_up(&b);
  CHECK(write(b.pipe[1], "x", 1) == 1);
  CHECK(!is_readable(b.heard, 50)); /* nobody asked */
  for(i = 0; i < 100; i++) {
    CHECK(!dt_doorbell_arm(b.d, -1));
    CHECK(is_readable(b.heard, 5000) && read(b.heard, &byte, 1) == 1);
    CHECK(byte == '!');
  }
  CHECK(dt_doorbell_is_open(b.d));
  CHECK(!is_readable(b.heard, 20)); /* once each */
  CHECK(read(b.pipe[0], &byte, 1) == 1);
  CHECK(!dt_doorbell_arm(b.d, -1));
  CHECK(!is_readable(b.heard, 50)); /* nothing to do */
  CHECK(write(b.pipe[1], "x", 1) == 1);
  CHECK(is_readable(b.heard, 5000) && read(b.heard, &byte, 1) == 1);
  tear_down(&b);
}

static void test_limit(void)
{
  struct bell b;
  double start;

  set_up(&b);
  start = dt_now();
  CHECK(!dt_doorbell_arm(b.d, 0.05));
  CHECK(is_readable(b.heard, 5000));
  CHECK(dt_now() - start >= 0.05);
  tear_down(&b);
}

static void test_ends(void)
{
  struct bell b;
  int before = threads(1), i;

  for(i = 0; i < 3; i++) {
    set_up(&b);
    CHECK(threads(before + 1) == before + 1);
    if(i > 0)
      CHECK(!dt_doorbell_arm(b.d, i == 1 ? -1 : 0));
    tear_down(&b);
    CHECK(threads(before) == before);
  }
}

/* The host went away, while the thread waits and while it does not. */
static void test_hangup(void)
{
  struct bell b;
  int i;

  set_up(&b);
  CHECK(!dt_doorbell_arm(b.d, -1));
  close(b.heard);
  CHECK(!dt_doorbell_is_open(b.d));
  for(i = 0; i < 500 && !dt_doorbell_arm(b.d, -1); i++)
    usleep(10000);
  CHECK(i < 500);
  b.heard = dup(b.pipe[0]);
  tear_down(&b);
  set_up(&b);
  close(b.heard);
  b.heard = dup(b.pipe[0]);
  for(i = 0; i < 500 && !dt_doorbell_arm(b.d, -1); i++)
    usleep(10000);
  CHECK(i < 500);
  tear_down(&b);
}

/* Only a path in a folder of ours, and nothing left when nobody came. */
static void test_nobody(void)
{
  struct dt_doorbell *d;
  struct stat st;
  char path[200];
  int fds[2];

  CHECK(!pipe(fds));
  CHECK(!dt_doorbell_new(&d, fds[0]));
  CHECK(dt_doorbell_open(d)); /* does not wait */
  CHECK(!dt_doorbell_is_open(d));
  CHECK(dt_doorbell_arm(d, 0));
  strcpy(path, dt_doorbell_path(d));
  *strrchr(path, '/') = '\0';
  CHECK(!stat(path, &st) && (st.st_mode & 0777) == 0700);
  dt_doorbell_free(d);
  CHECK(access(path, F_OK));
  close(fds[0]);
  close(fds[1]);
  CHECK(dt_doorbell_new(&d, -1) && !d);
}

/* In a child the thread is not there: nothing may wait for it. */
static void test_fork(void)
{
  struct bell b;
  int status = -1;
  pid_t pid;

  set_up(&b);
  pid = fork();
  if(!pid) {
    alarm(5);
    if(!dt_doorbell_arm(b.d, 0))
      _exit(1);
    dt_doorbell_free(b.d);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK(!dt_doorbell_arm(b.d, 0)); /* the parent's is as it was */
  CHECK(is_readable(b.heard, 5000));
  tear_down(&b);
}

static volatile int caught_by_main;
static pthread_t main_thread;

static void on_signal(int sig)
{
  (void)sig;
  caught_by_main = pthread_equal(pthread_self(), main_thread);
}

static void test_signals(void)
{
  struct bell b;
  struct sigaction sa;
  sigset_t usr1;

  memset(&sa, 0, sizeof(sa));
  sa.sa_handler = on_signal;
  sigaction(SIGUSR1, &sa, NULL);
  main_thread = pthread_self();
  set_up(&b);
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, NULL);
  kill(getpid(), SIGUSR1); /* the other thread would have to take it */
  CHECK(!dt_doorbell_arm(b.d, 0.02));
  CHECK(is_readable(b.heard, 5000));
  CHECK(!caught_by_main);
  pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
  CHECK(caught_by_main);
  tear_down(&b);
  signal(SIGUSR1, SIG_DFL);
}

void test_doorbell(void);

void test_doorbell(void)
{
  CHECK(dt_global_init() == DT_OK);
  test_rings();
  test_limit();
  test_ends();
  test_hangup();
  test_nobody();
  test_fork();
  test_signals();
}
