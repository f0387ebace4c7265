/*
 * lua_carry.c - what a host needs that carries transfers over connections of its own:
 * further methods of the userdata `daytona.core.Transfer`.
 */
#include "core/carry.h"
#include "lua_binding.h"

/* The transfer, or NULL: it was closed meanwhile. */
static struct dt_transfer *to_transfer(lua_State *L)
{
  struct transfer_box *box = luaL_checkudata(L, 1, TRANSFER_TYPE);

  return box->impl;
}

/* Transfer:origin() */
static int transfer_origin(lua_State *L)
{
  struct dt_transfer *t = to_transfer(L);

  lua_pushstring(L, t ? dt_carry_origin(t) : "");
  lua_pushnumber(L, t ? (lua_Number)dt_carry_patience(t) : 0);
  return 2;
}

/* Transfer:compose(reused) */
static int transfer_compose(lua_State *L)
{
  struct dt_transfer *t = to_transfer(L);
  const char *data;
  size_t size;
  int code = t ? dt_carry_compose(t, lua_toboolean(L, 2), &data, &size)
               : DT_CANCELED;

  if(code == DT_NOMEM)
    return luaL_error(L, "not enough memory");
  if(code)
    return 0;
  lua_pushlstring(L, data, size);
  return 1;
}

static const char *verdict_name(enum dt_carry verdict)
{
  return verdict == DT_CARRY_KEEP ? "keep"
         : verdict == DT_CARRY_BACK ? "back" : "close";
}

static int push_verdict(lua_State *L, enum dt_carry verdict)
{
  if(verdict == DT_CARRY_MORE)
    return 0;
  lua_pushstring(L, verdict_name(verdict));
  return 1;
}

/* Transfer:feed(data) */
static int transfer_feed(lua_State *L)
{
  struct dt_transfer *t = to_transfer(L);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);

  return push_verdict(L, t ? dt_carry_feed(t, data, size) : DT_CARRY_CLOSE);
}

/* Transfer:cut() */
static int transfer_cut(lua_State *L)
{
  struct dt_transfer *t = to_transfer(L);

  return push_verdict(L, t ? dt_carry_cut(t) : DT_CARRY_CLOSE);
}

/* Transfer:late() */
static int transfer_late(lua_State *L)
{
  struct dt_transfer *t = to_transfer(L);

  if(t)
    dt_carry_late(t);
  return 0;
}

/* Transfer:wants_carrier() */
static int transfer_wants_carrier(lua_State *L)
{
  struct dt_transfer *t = to_transfer(L);

  lua_pushboolean(L, t && dt_carry_wants(t));
  return 1;
}

void open_carry(lua_State *L)
{
  static const luaL_Reg methods[] = {
    { "compose", transfer_compose },
    { "cut", transfer_cut },
    { "feed", transfer_feed },
    { "late", transfer_late },
    { "origin", transfer_origin },
    { "wants_carrier", transfer_wants_carrier },
    { NULL, NULL }
  };

  luaL_getmetatable(L, TRANSFER_TYPE);
  lua_getfield(L, -1, "__index");
  set_functions(L, methods);
  lua_pop(L, 2);
}
