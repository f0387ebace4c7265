/*
 * lua_input.c - standard input that is no terminal (a pipe, a file), for programs
 * that are told by it what to do while the engine works: waiting for both, and
 * reading what is there. Terminals are in lua_tty.c.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#include "lua_input.h"

#define INPUT 0
#define READ_SIZE 65536

#if defined(__linux__)
static int look(int fd, int input, const struct timespec *limit,
                const sigset_t *mask)
{
  struct pollfd set[2];

  memset(set, 0, sizeof set);
  set[0].fd = fd;
  set[1].fd = input ? INPUT : -1;
  set[0].events = set[1].events = POLLIN;
  return ppoll(set, 2, limit, mask) > 0 && set[1].revents;
}
#else
static int look(int fd, int input, const struct timespec *limit,
                const sigset_t *mask)
{
  fd_set set;

  FD_ZERO(&set);
  if(fd >= 0 && fd < FD_SETSIZE)
    FD_SET(fd, &set);
  if(input)
    FD_SET(INPUT, &set);
  return pselect((fd < FD_SETSIZE && fd > INPUT ? fd : INPUT) + 1, &set, NULL,
                 NULL, limit, mask) > 0 && input && FD_ISSET(INPUT, &set);
}
#endif

/* A signal only sets a hook: one that comes just before the wait is held back,
   looked for, and let in by the wait, as in lua_engine.c. */
int await_input(lua_State *L, int fd, int input, double seconds,
                const sigset_t *mask)
{
  struct timespec limit = { 0, 0 };
  sigset_t before;
  int found, forever;

  hold_raising(&before);
  if(must_stop(L))
    seconds = 0;
  forever = seconds < 0;
  if(seconds > 1e6)
    seconds = 1e6;
  if(!forever) {
    limit.tv_sec = (time_t)seconds;
    limit.tv_nsec = (long)((seconds - (double)limit.tv_sec) * 1e9);
  }
  found = look(fd, input, forever ? NULL : &limit, mask ? mask : &before);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return found;
}

/* input_wait(fd, seconds): until there is something to read, fd (-1: none) is
   readable, a signal came or the time is over (nil: no limit). Whether there is
   something to read, or the end. */
static int input_wait(lua_State *L)
{
  int fd = (int)luaL_checkinteger(L, 1);
  double seconds = -1;

  if(!lua_isnoneornil(L, 2)) {
    seconds = luaL_checknumber(L, 2);
    if(seconds < 0)
      seconds = 0;
  }
  lua_pushboolean(L, await_input(L, fd, 1, seconds, NULL));
  return 1;
}

/* input_read(): what is there, at least a byte unless a signal came; nil at the
   end; nil and why. */
static int input_read(lua_State *L)
{
  char buffer[READ_SIZE];
  ssize_t n = read(INPUT, buffer, sizeof buffer);

  if(n < 0 && (errno == EINTR || errno == EAGAIN))
    n = 0;
  else if(n <= 0) {
    lua_pushnil(L);
    if(n == 0)
      return 1;
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_pushlstring(L, buffer, (size_t)n);
  return 1;
}

void open_input(lua_State *L)
{
  static const luaL_Reg functions[] = {
    { "input_read", input_read }, { "input_wait", input_wait }, { NULL, NULL }
  };

  set_functions(L, functions);
}
