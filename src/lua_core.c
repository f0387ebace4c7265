/*
 * lua_core.c - the C module `daytona.core`: its functions, its constants and
 * what the types of the binding have in common. Described for users in
 * lua/daytona/meta/core.lua.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif
#include <unistd.h>

#include "lua_binding.h"

#define VERSION "0.2.0"

/* --- types ----------------------------------------------------------------- */

void *new_object(lua_State *L, size_t size, const char *type)
{
  void *object = compat_newuserdata(L, size);

  memset(object, 0, size);
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
  return object;
}

void set_functions(lua_State *L, const luaL_Reg *list)
{
  for(; list->name; list++) {
    lua_pushcfunction(L, list->func);
    lua_setfield(L, -2, list->name);
  }
}

void new_type(lua_State *L, const char *type, const luaL_Reg *methods,
              const luaL_Reg *meta)
{
  luaL_newmetatable(L, type);
  set_functions(L, meta);
  lua_pushstring(L, type);
  lua_setfield(L, -2, "__name"); /* 5.3 and later have set it already */
  lua_newtable(L);
  set_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void push_int(lua_State *L, int64_t n)
{
#if LUA_VERSION_NUM >= 503
  lua_pushinteger(L, (lua_Integer)n);
#else
  lua_pushnumber(L, (lua_Number)n);
#endif
}

int push_name(lua_State *L, const char *type, const void *live)
{
  if(live)
    lua_pushfstring(L, "%s: %p", type, live);
  else
    lua_pushfstring(L, "%s: closed", type);
  return 1;
}

/* --- fields ---------------------------------------------------------------- */

/* Pushes field `name` of the table at t and returns its Lua type; pushes
   nothing when it is nil. */
static int get_field(lua_State *L, int t, const char *name)
{
  int type;

  lua_pushstring(L, name);
  lua_rawget(L, t);
  type = lua_type(L, -1);
  if(type == LUA_TNIL)
    lua_pop(L, 1);
  return type;
}

static int bad_field(lua_State *L, const char *name, const char *wanted)
{
  return luaL_error(L, "bad field '%s' (%s expected, got %s)", name, wanted,
                    luaL_typename(L, -1));
}

const char *string_field(lua_State *L, int t, const char *name, size_t *size)
{
  const char *s = NULL;
  int type = get_field(L, t, name);

  if(type == LUA_TNIL)
    return NULL;
  if(type != LUA_TSTRING)
    bad_field(L, name, "string");
  s = lua_tolstring(L, -1, size);
  lua_pop(L, 1); /* the table keeps it */
  return s;
}

/* The number in a field, or `none`. Never NaN, never negative. */
static double number_field(lua_State *L, int t, const char *name, double none)
{
  double n;
  int type = get_field(L, t, name);

  if(type == LUA_TNIL)
    return none;
  if(type != LUA_TNUMBER)
    bad_field(L, name, "number");
  n = (double)lua_tonumber(L, -1);
  if(!(n >= 0))
    luaL_error(L, "bad field '%s' (not negative expected, got %f)", name, n);
  lua_pop(L, 1);
  return n;
}

double seconds_field(lua_State *L, int t, const char *name)
{
  return number_field(L, t, name, 0);
}

int64_t count_field(lua_State *L, int t, const char *name, int64_t none)
{
  double n = number_field(L, t, name, -1);

  if(n < 0)
    return none;
  if(n != floor(n) || n > 9007199254740992.0)
    luaL_error(L, "bad field '%s' (integer expected, got %f)", name, n);
  return (int64_t)n;
}

int flag_field(lua_State *L, int t, const char *name)
{
  int flag;
  int type = get_field(L, t, name);

  if(type == LUA_TNIL)
    return 0;
  if(type != LUA_TBOOLEAN)
    bad_field(L, name, "boolean");
  flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

int list_field(lua_State *L, int t, const char *name)
{
  int type = get_field(L, t, name);

  if(type == LUA_TNIL)
    return -1;
  if(type != LUA_TTABLE)
    bad_field(L, name, "table");
  return (int)lua_rawlen(L, -1);
}

const char *const *strings_field(lua_State *L, int t, const char *name,
                                 const char **room, int n, int *bad)
{
  const char **list = room;
  int count = list_field(L, t, name);
  int i;
  size_t size;

  if(count < 0)
    return NULL;
  if(count >= n) { /* too many for `room`: a box below the list on the stack */
    list = lua_newuserdata(L, ((size_t)count + 1) * sizeof *list);
    lua_insert(L, -2);
  }
  for(i = 0; i < count; i++) {
    lua_rawgeti(L, -1, i + 1);
    if(lua_type(L, -1) != LUA_TSTRING)
      bad_field(L, name, "list of strings");
    list[i] = lua_tolstring(L, -1, &size);
    if(strlen(list[i]) != size)
      *bad = 1;
    lua_pop(L, 1);
  }
  list[count] = NULL;
  lua_pop(L, 1);
  return list;
}

/* --- profiles -------------------------------------------------------------- */

struct dt_profile *check_profile(lua_State *L, int i)
{
  struct profile_box *box = luaL_checkudata(L, i, PROFILE_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a closed profile");
  return box->impl;
}

static int profile_close(lua_State *L) /* close(), __gc and __close */
{
  struct profile_box *box = luaL_checkudata(L, 1, PROFILE_TYPE);

  if(box->impl) {
    dt_profile_free(box->impl);
    box->impl = NULL;
  }
  return 0;
}

static int profile_tostring(lua_State *L)
{
  struct profile_box *box = luaL_checkudata(L, 1, PROFILE_TYPE);

  return push_name(L, PROFILE_TYPE, box->impl);
}

/* A string option without NUL. */
static const char *text_option(lua_State *L, const char *name)
{
  size_t size;
  const char *s = string_field(L, 1, name, &size);

  if(s && strlen(s) != size)
    luaL_error(L, "bad field '%s' (control character)", name);
  return s;
}

static int core_profile(lua_State *L)
{
  struct dt_profile_options o;
  struct profile_box *box;
  const char *headers[32];
  int rc, bad = 0;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  memset(&o, 0, sizeof o);
  box = new_object(L, sizeof *box, PROFILE_TYPE);
  o.user_agent = text_option(L, "user_agent");
  o.proxy = text_option(L, "proxy");
  o.no_proxy = text_option(L, "no_proxy");
  o.ca_file = text_option(L, "ca_file");
  o.ca_path = text_option(L, "ca_path");
  o.client_cert = text_option(L, "client_cert");
  o.client_key = text_option(L, "client_key");
  o.insecure = flag_field(L, 1, "insecure");
  o.http1 = flag_field(L, 1, "http1");
  o.packed = flag_field(L, 1, "packed");
  o.headers = strings_field(L, 1, "headers", headers, 32, &bad);
  rc = bad ? DT_BAD_ARGUMENT : dt_profile_new(&box->impl, &o);
  if(rc == DT_BAD_ARGUMENT)
    return luaL_error(L, "a profile's text holds a control character");
  if(rc)
    return luaL_error(L, "cannot make a profile: %s", dt_code_name(rc));
  lua_pushvalue(L, 2);
  return 1;
}

static const luaL_Reg profile_methods[] = {
  { "close", profile_close },
  { NULL, NULL }
};

static const luaL_Reg profile_meta[] = {
  { "__gc", profile_close },
  { "__close", profile_close },
  { "__tostring", profile_tostring },
  { NULL, NULL }
};

/* --- functions ------------------------------------------------------------- */

static int core_now(lua_State *L)
{
  lua_pushnumber(L, (lua_Number)dt_now());
  return 1;
}

static int core_pid(lua_State *L)
{
  lua_pushinteger(L, (lua_Integer)dt_pid());
  return 1;
}

static int core_curl_version(lua_State *L)
{
  lua_pushstring(L, dt_curl_version());
  return 1;
}

static int core_random(lua_State *L)
{
  char bytes[256];
  lua_Integer n = luaL_checkinteger(L, 1);

  luaL_argcheck(L, n >= 1 && n <= 256, 1, "1 to 256 expected");
  if(getentropy(bytes, (size_t)n))
    return luaL_error(L, "the system's random source failed");
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

/* A process that was forked off begins anew. */
static void begin_names(lua_State *L, struct names *names)
{
  static const char digits[] = "0123456789abcdef";
  unsigned char bytes[sizeof names->prefix / 2];
  size_t i;

  if(getentropy(bytes, sizeof bytes))
    luaL_error(L, "the system's random source failed");
  for(i = 0; i < sizeof names->prefix; i++)
    names->prefix[i] = digits[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
  names->pid = dt_pid();
}

char *write_unique(lua_State *L, struct names *names, char *at)
{
  char digits[24];
  char *first = digits + sizeof digits;
  uint64_t n;

  if(names->pid != dt_pid())
    begin_names(L, names);
  memcpy(at, names->prefix, sizeof names->prefix);
  at += sizeof names->prefix;
  *--first = '.'; /* keeps 1 from being found in 12 */
  for(n = ++names->last; n > 0; n /= 10)
    *--first = (char)('0' + n % 10);
  *--first = '-';
  n = (uint64_t)(digits + sizeof digits - first);
  memcpy(at, first, (size_t)n);
  return at + n;
}

static int core_unique(lua_State *L)
{
  struct names *names = lua_touserdata(L, lua_upvalueindex(1));
  char text[UNIQUE_SIZE];
  char *end = write_unique(L, names, text);

  lua_pushlstring(L, text, (size_t)(end - text));
  return 1;
}

/* Adds the functions that make unique texts to the module's table on top of the
   stack. */
static void open_unique(lua_State *L)
{
  struct names *names = lua_newuserdata(L, sizeof *names);

  memset(names, 0, sizeof *names);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, core_unique, 1);
  lua_setfield(L, -3, "unique");
  lua_pushcclosure(L, json_command, 1);
  lua_setfield(L, -2, "json_command");
}

/* Whether the calling coroutine can yield here. LuaJIT and 5.3 know; before
   there is no telling, and the answer is nil. */
static int core_is_yieldable(lua_State *L)
{
#ifdef COMPAT_ISYIELDABLE
  lua_pushboolean(L, lua_isyieldable(L));
#else
  lua_pushnil(L);
#endif
  return 1;
}

/* core.stubs(object, metas) */
static int core_stubs(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushnil(L);
  while(lua_next(L, 2)) {
    lua_createtable(L, 1, 0); /* 3: the name, 4: the metatable, 5: the stub */
    lua_pushvalue(L, 1);
    lua_rawseti(L, 5, 1);
    lua_insert(L, 4);
    lua_setmetatable(L, 4);
    lua_pushvalue(L, 3);
    lua_insert(L, 4);
    lua_rawset(L, 1);
  }
  return 0;
}

static int core_new(lua_State *L)
{
  struct dt_engine_options o;
  struct engine_box *box;
  int64_t most;
  int rc;

  memset(&o, 0, sizeof o);
  o.through_libcurl = getenv("DAYTONA_THROUGH_LIBCURL") != NULL;
  lua_settop(L, 1);
  if(!lua_isnoneornil(L, 1)) {
    luaL_checktype(L, 1, LUA_TTABLE);
    most = count_field(L, 1, "max_connections", 0);
    o.max_connections = most < 1000000 ? (unsigned)most : 1000000;
    lua_getfield(L, 1, "through_libcurl");
    if(!lua_isnil(L, -1))
      o.through_libcurl = lua_toboolean(L, -1);
    lua_settop(L, 1);
  }
  box = new_object(L, sizeof *box, ENGINE_TYPE);
  lua_createtable(L, 1, 0); /* the anchor of its transfers keeps the engine */
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 1);
  compat_setanchor(L, 2);
  rc = dt_engine_new(&box->impl, &o);
  if(rc)
    return luaL_error(L, "cannot make an engine: %s", dt_code_name(rc));
  return 1;
}

/* --- registration ---------------------------------------------------------- */

static const luaL_Reg functions[] = {
  { "call", call_new },
  { "curl_version", core_curl_version },
  { "is_yieldable", core_is_yieldable },
  { "new", core_new },
  { "now", core_now },
  { "pid", core_pid },
  { "profile", core_profile },
  { "random", core_random },
  { "stubs", core_stubs },
  { NULL, NULL }
};

static const struct {
  const char *name;
  int value;
} constants[] = {
  { "HEADERS", DT_EVENT_HEADERS },
  { "READABLE", DT_EVENT_READABLE },
  { "WRITABLE", DT_EVENT_WRITABLE },
  { "PROGRESS", DT_EVENT_PROGRESS },
  { "DONE", DT_EVENT_DONE }
};

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_daytona_core(lua_State *L);

int luaopen_daytona_core(lua_State *L)
{
  size_t i;
  int rc = dt_global_init();

  if(rc)
    return luaL_error(L, "cannot initialize libcurl: %s", dt_code_name(rc));
  open_engine(L);
  open_call(L);
  open_transfer(L);
  open_carry(L);
  open_websocket(L);
  open_doorbell(L);
  new_type(L, PROFILE_TYPE, profile_methods, profile_meta);
  lua_newtable(L);
  set_functions(L, functions);
  open_unique(L);
  open_stream(L);
  open_digest(L);
  open_pack(L);
  open_tty(L);
  open_input(L);
  open_json(L);
  open_json_read(L);
  open_file(L);
  open_signal(L);
  for(i = 0; i < sizeof constants / sizeof constants[0]; i++) {
    lua_pushinteger(L, constants[i].value);
    lua_setfield(L, -2, constants[i].name);
  }
  lua_pushliteral(L, VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
