/*
 * lua_exchange.c - Engine:exchange: a request and its answer, both in memory,
 * in one call. What most calls are, without the tables and objects that all
 * others need.
 */
#include <string.h>

#include "lua_binding.h"

/* A string at index i that becomes a C string; *bad is set when it cannot. */
static const char *check_text(lua_State *L, int i, int *bad)
{
  size_t size;
  const char *s = luaL_checklstring(L, i, &size);

  if(strlen(s) != size)
    *bad = 1;
  return s;
}

/* A number at index i, 0 for nil. */
static double opt_number(lua_State *L, int i)
{
  double n = lua_isnil(L, i) ? 0 : (double)luaL_checknumber(L, i);

  luaL_argcheck(L, n >= 0 && n <= 9007199254740992.0, i, "out of range");
  return n;
}

/* The request of the arguments from 4 on. 0, or -1 when one of them holds a
   NUL. */
static int read_request(lua_State *L, struct dt_request *r,
                        const char **headers)
{
  double max_bytes;
  int bad = 0;

  memset(r, 0, sizeof *r);
  r->profile = check_profile(L, 4);
  r->method = check_text(L, 5, &bad);
  r->url = check_text(L, 6, &bad);
  if(!lua_isnil(L, 7)) {
    headers[0] = check_text(L, 7, &bad);
    headers[1] = NULL;
    r->headers = headers;
  }
  if(!lua_isnil(L, 8)) {
    r->data = luaL_checklstring(L, 8, &r->size);
    r->body = DT_BODY_MEMORY;
  }
  r->timeout = opt_number(L, 9);
  r->connect_timeout = opt_number(L, 10);
  max_bytes = opt_number(L, 11);
  r->max_bytes = (uint64_t)max_bytes;
  return bad ? -1 : 0;
}

/* Pushes status and body and returns 1 when the transfer is over and went
   well. */
static int push_success(lua_State *L, const struct dt_transfer *t)
{
  struct dt_result r;

  dt_transfer_result(t, &r);
  if(!r.done || r.code || r.status < 200 || r.status > 299)
    return 0;
  lua_pushinteger(L, (lua_Integer)r.status);
  lua_pushlstring(L, r.body, r.body_size);
  return 1;
}

/* Engine:exchange(out, wait, profile, method, url, header, body, timeout,
   connect_timeout, max_bytes). What allocates may fail, and may run finalizers
   that come here again: until Lua has the transfer, the engine's box does. */
int engine_exchange(lua_State *L)
{
  struct dt_engine *e = check_engine(L, 1);
  struct engine_box *box = lua_touserdata(L, 1);
  double wait = (double)luaL_checknumber(L, 3);
  struct dt_transfer *outer = box->loose;
  const char *headers[2];
  struct dt_request request;
  struct dt_transfer *t;
  int done;

  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 11);
  if(read_request(L, &request, headers) ||
     dt_transfer_start(e, &request, &t, NULL))
    return 0;
  box->loose = t;
  done = wait > 0 && !must_stop(L) && dt_transfer_await(t, wait);
  if(done && push_success(L, t)) {
    box->loose = outer;
    dt_transfer_free(t);
    return 2;
  }
  push_transfer(L, 1, 0)->impl = t;
  box->loose = outer;
  lua_rawseti(L, 2, 1);
  push_int(L, (int64_t)dt_transfer_id(t));
  lua_rawseti(L, 2, 2);
  lua_pushnil(L);
  lua_pushboolean(L, done);
  return 2;
}
