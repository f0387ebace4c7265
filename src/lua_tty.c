/*
 * lua_tty.c - the terminal that the program itself runs in, for Lua: raw mode,
 * its size, and waiting for a key, for a new size and for the engine at once.
 *
 * While it is raw, SIGWINCH is blocked but for the wait, and handled by a
 * function that does nothing but note it: so none is missed. restore (also
 * close, __gc, __close) puts everything back as it was.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lua_input.h"

#define TERMINAL_TYPE "daytona.core.Terminal"
#define INPUT 0
#define READ_SIZE 16384

struct terminal {
  struct termios before;
  struct sigaction old_action;
  sigset_t old_mask;
  int raw;
};

static volatile sig_atomic_t resized;

static void on_resize(int signal)
{
  (void)signal;
  resized = 1;
}

/* Pushes nil and why; returns 2. */
static int push_failure(lua_State *L, int error)
{
  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  return 2;
}

static struct terminal *check_terminal(lua_State *L)
{
  return luaL_checkudata(L, 1, TERMINAL_TYPE);
}

/* terminal(): the terminal of standard input, or nil and why there is none. */
static int core_terminal(lua_State *L)
{
  if(!isatty(INPUT))
    return push_failure(L, errno);
  (void)new_object(L, sizeof(struct terminal), TERMINAL_TYPE);
  return 1;
}

/* Takes SIGWINCH over. */
static void catch_resizes(struct terminal *t)
{
  struct sigaction action;
  sigset_t mask;

  memset(&action, 0, sizeof action);
  action.sa_handler = on_resize;
  sigemptyset(&action.sa_mask);
  sigemptyset(&mask);
  sigaddset(&mask, SIGWINCH);
  resized = 0;
  (void)sigprocmask(SIG_BLOCK, &mask, &t->old_mask);
  (void)sigaction(SIGWINCH, &action, &t->old_action);
}

static int terminal_raw(lua_State *L)
{
  struct terminal *t = check_terminal(L);
  struct termios raw;

  if(!t->raw) {
    if(tcgetattr(INPUT, &t->before))
      return push_failure(L, errno);
    raw = t->before;
    cfmakeraw(&raw);
    if(tcsetattr(INPUT, TCSADRAIN, &raw))
      return push_failure(L, errno);
    catch_resizes(t);
    t->raw = 1;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* restore(), close(), __gc and __close */
static int terminal_restore(lua_State *L)
{
  struct terminal *t = check_terminal(L);

  if(t->raw) {
    t->raw = 0;
    (void)sigaction(SIGWINCH, &t->old_action, NULL);
    (void)sigprocmask(SIG_SETMASK, &t->old_mask, NULL);
    (void)tcsetattr(INPUT, TCSADRAIN, &t->before);
  }
  return 0;
}

/* size(): columns, rows; nil and why when they are not known. */
static int terminal_size(lua_State *L)
{
  struct winsize size;

  (void)check_terminal(L);
  memset(&size, 0, sizeof size);
  if(ioctl(INPUT, TIOCGWINSZ, &size))
    return push_failure(L, errno);
  lua_pushinteger(L, size.ws_col);
  lua_pushinteger(L, size.ws_row);
  return 2;
}

/* wait(fd, seconds, input): until fd is readable, the size changed, a key was
   pressed (unless input is false) or the time is over. Returns whether there is
   input, and whether the size changed. */
static int terminal_wait(lua_State *L)
{
  struct terminal *t = check_terminal(L);
  int fd = (int)luaL_checkinteger(L, 2);
  lua_Number seconds = luaL_optnumber(L, 3, -1);
  int input = lua_isnoneornil(L, 4) || lua_toboolean(L, 4);

  luaL_argcheck(L, fd >= 0, 2, "descriptor out of range");
  lua_pushboolean(L, await_input(L, fd, input, seconds,
                                 t->raw ? &t->old_mask : NULL));
  lua_pushboolean(L, resized != 0);
  resized = 0;
  return 2;
}

/* read(): what was typed; nil at the end; nil and why. */
static int terminal_read(lua_State *L)
{
  char buffer[READ_SIZE];
  ssize_t n;

  (void)check_terminal(L);
  n = read(INPUT, buffer, sizeof buffer);
  if(n < 0 && (errno == EINTR || errno == EAGAIN))
    n = 0;
  else if(n < 0)
    return push_failure(L, errno);
  else if(n == 0) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushlstring(L, buffer, (size_t)n);
  return 1;
}

static int terminal_tostring(lua_State *L)
{
  return push_name(L, TERMINAL_TYPE, check_terminal(L));
}

/* --- registration ---------------------------------------------------------- */

static const luaL_Reg methods[] = {
  { "close", terminal_restore },
  { "raw", terminal_raw },
  { "read", terminal_read },
  { "restore", terminal_restore },
  { "size", terminal_size },
  { "wait", terminal_wait },
  { NULL, NULL }
};

static const luaL_Reg meta[] = {
  { "__gc", terminal_restore },
  { "__close", terminal_restore },
  { "__tostring", terminal_tostring },
  { NULL, NULL }
};

static const luaL_Reg functions[] = {
  { "terminal", core_terminal },
  { NULL, NULL }
};

void open_tty(lua_State *L)
{
  new_type(L, TERMINAL_TYPE, methods, meta);
  set_functions(L, functions);
}
