/*
 * lua_input.c - standard input that is no terminal (a pipe, a file), for programs
 * that are told by it what to do while the engine works: waiting for both, and
 * reading what is there. Terminals are in lua_tty.c.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lua_binding.h"

#define INPUT 0
#define READ_SIZE 65536

/* input_wait(fd, seconds): until there is something to read, fd (-1: none) is
   readable, a signal came or the time is over (nil: no limit). Whether there is
   something to read, or the end. */
static int input_wait(lua_State *L)
{
  struct pollfd fds[2];
  double seconds;
  int timeout = -1;

  fds[0].fd = INPUT;
  fds[1].fd = (int)luaL_checkinteger(L, 1);
  fds[0].events = fds[1].events = POLLIN;
  fds[0].revents = fds[1].revents = 0;
  if(!lua_isnoneornil(L, 2)) {
    seconds = luaL_checknumber(L, 2);
    if(seconds < 0)
      seconds = 0;
    timeout = seconds > 1e6 ? 1000000000 : (int)(seconds * 1000 + 0.999);
  }
  (void)poll(fds, 2, timeout);
  lua_pushboolean(L, fds[0].revents != 0);
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
