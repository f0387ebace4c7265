/*
 * lua_doorbell.c - the userdata `daytona.core.Doorbell`: an engine's descriptor
 * made audible to hosts that can read none but their own sockets.
 */
#include <errno.h>
#include <string.h>

#include "core/doorbell.h"
#include "lua_binding.h"

struct doorbell_box {
  struct dt_doorbell *impl;
};

static struct dt_doorbell *check_doorbell(lua_State *L)
{
  struct doorbell_box *box = luaL_checkudata(L, 1, DOORBELL_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a closed doorbell");
  return box->impl;
}

static int push_failure(lua_State *L, int error)
{
  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  return 2;
}

/* Engine:doorbell() */
int doorbell_new(lua_State *L)
{
  struct dt_engine *e = check_engine(L, 1);
  struct doorbell_box *box = new_object(L, sizeof *box, DOORBELL_TYPE);

  if(dt_doorbell_new(&box->impl, dt_engine_fd(e)))
    return push_failure(L, errno);
  return 1;
}

static int doorbell_path(lua_State *L)
{
  lua_pushstring(L, dt_doorbell_path(check_doorbell(L)));
  return 1;
}

static int doorbell_open(lua_State *L)
{
  if(dt_doorbell_open(check_doorbell(L)))
    return push_failure(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

static int doorbell_is_open(lua_State *L)
{
  lua_pushboolean(L, dt_doorbell_is_open(check_doorbell(L)));
  return 1;
}

static int doorbell_arm(lua_State *L)
{
  struct dt_doorbell *d = check_doorbell(L);
  double seconds = luaL_optnumber(L, 2, -1);

  lua_pushboolean(L, dt_doorbell_arm(d, seconds) == 0);
  return 1;
}

static int doorbell_close(lua_State *L) /* close(), __gc and __close */
{
  struct doorbell_box *box = luaL_checkudata(L, 1, DOORBELL_TYPE);

  dt_doorbell_free(box->impl);
  box->impl = NULL;
  return 0;
}

static int doorbell_tostring(lua_State *L)
{
  struct doorbell_box *box = luaL_checkudata(L, 1, DOORBELL_TYPE);

  return push_name(L, DOORBELL_TYPE, box->impl);
}

static const luaL_Reg methods[] = {
  { "arm", doorbell_arm },
  { "close", doorbell_close },
  { "is_open", doorbell_is_open },
  { "open", doorbell_open },
  { "path", doorbell_path },
  { NULL, NULL }
};

static const luaL_Reg meta[] = {
  { "__gc", doorbell_close },
  { "__close", doorbell_close },
  { "__tostring", doorbell_tostring },
  { NULL, NULL }
};

void open_doorbell(lua_State *L)
{
  new_type(L, DOORBELL_TYPE, methods, meta);
}
