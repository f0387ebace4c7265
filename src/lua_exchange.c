/*
 * lua_exchange.c - Engine:exchange: a request and its answer, both in memory,
 * in one call. What most calls are, without the tables and objects that all
 * others need. What many of them have in common is a userdata of its own.
 */
#include <string.h>

#include "core/carry.h"
#include "lua_binding.h"

/* A userdata for a transfer, which the exchange before did not need. */
#define SPARE lua_upvalueindex(3)

/* What it points at is held by its anchor. */
struct call_box {
  struct profile_box *profile;
  struct dt_request request;
  const char *headers[2];
  struct pair_names names; /* of what the answer holds; NULL: not looked for */
};

/* A string at index i that becomes a C string, or nil; *bad is set when it
   cannot. */
static const char *opt_text(lua_State *L, int i, int *bad)
{
  size_t size;
  const char *s = luaL_optlstring(L, i, NULL, &size);

  if(s && strlen(s) != size)
    *bad = 1;
  return s;
}

/* A number at index i, 0 for nil. */
static double opt_number(lua_State *L, int i)
{
  double n = luaL_optnumber(L, i, 0);

  luaL_argcheck(L, n >= 0 && n <= 9007199254740992.0, i, "out of range");
  return n;
}

/* Makes a table of the values at 1 to n the anchor of the userdata on top. */
static void anchor(lua_State *L, int n)
{
  lua_createtable(L, n, 0);
  for(; n > 0; n--) {
    lua_pushvalue(L, n);
    lua_rawseti(L, -2, n);
  }
  compat_setanchor(L, -2);
}

/* core.call(profile, method, url, header, connect_timeout, number, text) */
int call_new(lua_State *L)
{
  struct call_box *box;
  int bad = 0;

  lua_settop(L, 7);
  check_profile(L, 1);
  luaL_checkstring(L, 2);
  luaL_checkstring(L, 3);
  box = new_object(L, sizeof *box, CALL_TYPE);
  box->profile = lua_touserdata(L, 1);
  box->request.method = opt_text(L, 2, &bad);
  box->request.url = opt_text(L, 3, &bad);
  box->headers[0] = opt_text(L, 4, &bad);
  box->request.headers = box->headers;
  box->request.connect_timeout = opt_number(L, 5);
  box->names.number = opt_text(L, 6, &bad);
  box->names.text = opt_text(L, 7, &bad);
  if(bad)
    return 0;
  anchor(L, 7);
  return 1;
}

/* The request of the call and the arguments behind it. */
static void read_request(lua_State *L, const struct call_box *call,
                         struct dt_request *r)
{
  double max_bytes;

  if(!call->profile->impl)
    luaL_error(L, "attempt to use a closed profile");
  *r = call->request;
  r->profile = call->profile->impl;
  if(!lua_isnil(L, 5)) {
    r->data = luaL_checklstring(L, 5, &r->size);
    r->body = DT_BODY_MEMORY;
  }
  r->timeout = opt_number(L, 6);
  max_bytes = opt_number(L, 7);
  r->max_bytes = (uint64_t)max_bytes;
}

/* Pushes the status and what the body holds, when the transfer is over and went
   well. How many values that are. */
static int push_success(lua_State *L, const struct call_box *call,
                        const struct dt_transfer *t)
{
  struct dt_result r;

  dt_transfer_result(t, &r);
  if(!r.done || r.code || r.status < 200 || r.status > 299)
    return 0;
  lua_pushinteger(L, (lua_Integer)r.status);
  if(call->names.text && push_pair(L, r.body, r.body_size, &call->names))
    return 3;
  lua_pushlstring(L, r.body, r.body_size);
  return 2;
}

/* luaL_checkudata, where the metatable is at index m: it need not be looked up. */
static void *check_object(lua_State *L, int i, int m, const char *type)
{
  int same;

  if(!lua_getmetatable(L, i))
    return luaL_checkudata(L, i, type);
  same = lua_rawequal(L, -1, m);
  lua_pop(L, 1);
  return same ? lua_touserdata(L, i) : luaL_checkudata(L, i, type);
}

/* Pushes the userdata that waits for the next exchange, or a new one. Whatever
   raises from now on, also in a finalizer that comes here again, has it to end
   the transfer. */
static struct transfer_box *take_box(lua_State *L)
{
  lua_pushvalue(L, SPARE);
  if(lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return push_transfer(L, 1, 0);
  }
  lua_pushnil(L);
  lua_replace(L, SPARE);
  return lua_touserdata(L, -1);
}

/* Gives Lua the userdata at 8, with the transfer, in the table at 2. */
static void hand_over(lua_State *L, const struct transfer_box *box)
{
  compat_getanchor(L, 1);
  compat_setanchor(L, 8);
  lua_pushvalue(L, 8);
  lua_rawseti(L, 2, 1);
  push_int(L, (int64_t)dt_transfer_id(box->impl));
  lua_rawseti(L, 2, 2);
}

static int begin(struct dt_engine *e, const struct dt_request *r, int carry,
                 struct dt_transfer **out)
{
  return carry ? dt_carry_start(e, r, out, NULL)
               : dt_transfer_start(e, r, out, NULL);
}

/* Engine:exchange(out, wait, call, body, timeout, max_bytes) */
static int engine_exchange(lua_State *L)
{
  struct engine_box *engine =
    check_object(L, 1, lua_upvalueindex(1), ENGINE_TYPE);
  struct dt_engine *e = engine->impl ? engine->impl : check_engine(L, 1);
  double wait = (double)luaL_checknumber(L, 3);
  const struct call_box *call =
    check_object(L, 4, lua_upvalueindex(2), CALL_TYPE);
  struct transfer_box *box;
  struct dt_request request;
  int n, done;

  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 7);
  read_request(L, call, &request);
  box = take_box(L);
  if(begin(e, &request, wait < 0, &box->impl))
    return 0;
  done = wait > 0 && !must_stop(L) && dt_transfer_await(box->impl, wait);
  n = done ? push_success(L, call, box->impl) : 0;
  if(n) {
    close_transfer(box);
    lua_pushvalue(L, 8);
    lua_replace(L, SPARE);
    return n;
  }
  hand_over(L, box);
  lua_pushnil(L);
  lua_pushboolean(L, done);
  if(wait >= 0)
    return 2;
  lua_pushboolean(L, dt_carry_wants(box->impl));
  return 3;
}

/* A longer answer is read in pieces of this size. */
#define PIECE ((size_t)128 * 1024)

/* Reads a piece of a long answer that went well. 1 when its pair is read, 0 when there is
   more of it; -1 for all else. */
static int read_piece(const struct call_box *call, struct transfer_box *box)
{
  struct dt_result r;
  int read;

  if(!box->pair) {
    dt_transfer_result(box->impl, &r);
    if(!call->names.text || !r.done || r.code || r.status != 200 ||
       r.body_size <= PIECE)
      return -1;
    box->pair = long_pair_new(r.body, r.body_size, &call->names);
  }
  if(box->pair_ready)
    return 1;
  read = box->pair ? long_pair_read(box->pair, PIECE) : -1;
  if(read < 0) {
    long_pair_free(box->pair);
    box->pair = NULL;
  }
  return read;
}

/* Call:take(transfer). Closes it, unless there is more to say: also before the string of a
   long answer is made, which takes a while. */
static int call_take(lua_State *L)
{
  const struct call_box *call = luaL_checkudata(L, 1, CALL_TYPE);
  struct transfer_box *box = luaL_checkudata(L, 2, TRANSFER_TYPE);
  int read = box->impl ? read_piece(call, box) : -1;
  int n = 0;

  if(read == 0 || (read > 0 && !box->pair_ready && is_large(box->pair))) {
    box->pair_ready = read;
    lua_pushboolean(L, 0);
    lua_pushboolean(L, read);
    return 2;
  }
  if(read > 0) {
    lua_pushinteger(L, 200);
    push_long_pair(L, box->pair);
    n = 3;
  } else if(box->impl)
    n = push_success(L, call, box->impl);
  if(n)
    close_transfer(box);
  return n;
}

/* Also Engine:exchange: the type of engines is there already. */
void open_call(lua_State *L)
{
  static const luaL_Reg methods[] = { { "take", call_take }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };

  new_type(L, CALL_TYPE, methods, none);
  luaL_getmetatable(L, ENGINE_TYPE);
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, -2);
  luaL_getmetatable(L, CALL_TYPE);
  lua_pushnil(L);
  lua_pushcclosure(L, engine_exchange, 3);
  lua_setfield(L, -2, "exchange");
  lua_pop(L, 2);
}
