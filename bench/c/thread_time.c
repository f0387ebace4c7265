/*
 * thread_time.c - a function for Lua: the processor's time, in seconds, that the calling
 * thread has had. os.clock() counts the engine's thread, too.
 *
 * What it needs of Lua is the same in all versions, so that no header is asked for:
 *
 *   cc -shared -fPIC -o thread_time.so thread_time.c
 *   package.loadlib("./thread_time.so", "thread_time")
 */
#define _DEFAULT_SOURCE

#include <time.h>

typedef struct lua_State lua_State;

void lua_pushnumber(lua_State *L, double n);

int thread_time(lua_State *L)
{
  struct timespec t;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec * 1e-9);
  return 1;
}
