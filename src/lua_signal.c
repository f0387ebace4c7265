/*
 * lua_signal.c - signals that end a program, as far as Lua is to know of them.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#endif

#include <signal.h>
#include <stddef.h>

#include "lua_binding.h"

/* core.catches_interrupts(): whether Ctrl-C has a handler in this process. The
   interpreter's gives the signal its default action back before it raises. */
static int catches_interrupts(lua_State *L)
{
  struct sigaction action;
  int known = !sigaction(SIGINT, NULL, &action);

  lua_pushboolean(L, known && action.sa_handler != SIG_DFL &&
                       action.sa_handler != SIG_IGN);
  return 1;
}

void open_signal(lua_State *L)
{
  static const luaL_Reg functions[] = {
    { "catches_interrupts", catches_interrupts }, { NULL, NULL }
  };

  set_functions(L, functions);
}
