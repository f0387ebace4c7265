/*
 * host.c - a bare Lua interpreter: runs the script it is given.
 *
 * Linked with ASan and UBSan, so that the module can be tested under them
 * without a preloaded library that every child process would inherit. And it can
 * refuse memory: starve(first, count) lets so many allocations of Lua's fail, from
 * the first-th on.
 */
#include <stdio.h>
#include <stdlib.h>

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

static lua_Integer until_first, failing;

/* Not memory that is given back, or made smaller. */
static int is_refused(size_t before, size_t after)
{
  if(after <= before || (until_first > 0 && --until_first > 0))
    return 0;
  return failing > 0 && failing--;
}

static void *allocate(void *unused, void *memory, size_t before, size_t after)
{
  (void)unused;
  if(!after) {
    free(memory);
    return NULL;
  }
  return is_refused(memory ? before : 0, after) ? NULL : realloc(memory, after);
}

static int starve(lua_State *L)
{
  until_first = luaL_checkinteger(L, 1);
  failing = luaL_checkinteger(L, 2);
  return 0;
}

static void set_arg(lua_State *L, int argc, char **argv)
{
  int i;

  lua_newtable(L);
  for(i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - 1); /* the script is arg[0], the program arg[-1] */
  }
  lua_setglobal(L, "arg");
}

int main(int argc, char **argv)
{
  lua_State *L;
  int i;
  int ok;

  if(argc < 2) {
    fprintf(stderr, "usage: %s script [arguments]\n", argv[0]);
    return EXIT_FAILURE;
  }
  L = lua_newstate(allocate, NULL);
  if(!L)
    L = luaL_newstate(); /* a LuaJIT that wants its own */
  if(!L)
    return EXIT_FAILURE;
  luaL_openlibs(L);
  lua_register(L, "starve", starve);
  set_arg(L, argc, argv);
  ok = luaL_loadfile(L, argv[1]) == 0;
  if(ok) {
    luaL_checkstack(L, argc, "too many arguments");
    for(i = 2; i < argc; i++)
      lua_pushstring(L, argv[i]);
    ok = lua_pcall(L, argc - 2, 0, 0) == 0;
  }
  if(!ok)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
