/*
 * fuzz_lua.c - libFuzzer target, linked with Lua: what reads JSON says what
 * cjson says, or nothing; header lines are found by the names they are listed under.
 *
 * The first byte of the input says which of them the rest is for.
 */
#include "../../lua_binding.h"

#include <stdlib.h>
#include <string.h>

int luaopen_daytona_core(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int __lsan_is_turned_off(void);

/* Lua frees when it likes to: to look for leaks after each run is in vain. */
int __lsan_is_turned_off(void)
{
  return 1;
}

static const char program[] =
  "local core, cjson = ...\n"
  "local function same(a, b) return a == b and math.type(a) == math.type(b) or a == b end\n"
  "local check = {}\n"
  "function check.pair(text)\n"
  "  local number, result = core.json_pair(text, 'exitCode', 'result')\n"
  "  if not number then return end\n"
  "  local t, n = cjson.decode(text), 0\n"
  "  for _ in pairs(t) do n = n + 1 end\n"
  "  assert(n == 2 and same(t.exitCode, number) and t.result == result)\n"
  "end\n"
  "local function alike(a, b)\n"
  "  if type(a) ~= 'table' or type(b) ~= 'table' then return same(a, b) end\n"
  "  for k, v in pairs(a) do if not alike(v, b[k]) then return false end end\n"
  "  for k in pairs(b) do if a[k] == nil then return false end end\n"
  "  return true\n"
  "end\n"
  "function check.reader(text)\n"
  "  local reader, over, value = core.json_reader(text, cjson.null), nil, nil\n"
  "  repeat over, value = reader:read(40) until over ~= false\n"
  "  if over then assert(alike(core.json_tidy(cjson.decode(text), cjson.null), value)) end\n"
  "  reader:read(40)\n"
  "end\n"
  "function check.string(text)\n"
  "  local literal = core.json_string(text)\n"
  "  local valid = utf8.len(text) ~= nil\n"
  "  assert((literal ~= nil) == valid and core.is_utf8(text) == valid)\n"
  "  if literal then assert(cjson.decode('[' .. literal .. ']')[1] == text) end\n"
  "end\n"
  "function check.command(text)\n"
  "  local joined = core.json_command('{\"a\":\"', text, '\",\"b\":\"', '\"}')\n"
  "  if not joined then return end\n"
  "  local said = cjson.decode(joined).a\n"
  "  assert(said:gsub(\"'\\\\''\", \"'\") == text)\n"
  "end\n"
  "return function(what, text) check[what](text) end\n";

static int traceback(lua_State *L)
{
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

/* A state with the checking function in the registry under "check". */
static lua_State *open_state(void)
{
  lua_State *L = luaL_newstate();

  luaL_openlibs(L);
  if(luaL_loadstring(L, program))
    abort();
  lua_pushcfunction(L, luaopen_daytona_core);
  lua_call(L, 0, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  lua_call(L, 2, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "check");
  return L;
}

static void check(lua_State *L, const char *what, const char *text, size_t size)
{
  lua_pushcfunction(L, traceback);
  lua_getfield(L, LUA_REGISTRYINDEX, "check");
  lua_pushstring(L, what);
  lua_pushlstring(L, text, size);
  if(lua_pcall(L, 2, 0, 1)) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  lua_settop(L, 0);
}

/* The header of the name at index 2, in a frame like a method's. */
static int find_header(lua_State *L)
{
  size_t size;
  const char *block = lua_tolstring(L, 1, &size);

  return push_header(L, block, size);
}

static void check_headers(lua_State *L, const char *block, size_t size)
{
  lua_settop(L, 0);
  push_headers(L, block, size);
  for(lua_pushnil(L); lua_next(L, 1); lua_settop(L, 2)) {
    lua_pushcfunction(L, find_header);
    lua_pushlstring(L, block, size);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 1);
    if(!lua_rawequal(L, 3, 4))
      abort();
  }
  lua_settop(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  static const char *const whats[] = { "pair", "string", "command",
                                       "reader" };
  static lua_State *L;
  char *text;

  if(!size)
    return 0;
  if(!L)
    L = open_state();
  text = malloc(size); /* without a byte behind it */
  memcpy(text, input + 1, size - 1);
  if(input[0] % 5 == 3)
    check_headers(L, text, size - 1);
  else
    check(L, whats[input[0] % 5 - (input[0] % 5 == 4)], text, size - 1);
  free(text);
  return 0;
}
