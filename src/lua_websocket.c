/*
 * lua_websocket.c - the userdata `daytona.core.WebSocket`: from a table of
 * options to an opening connection, and messages as Lua strings.
 */
#include <string.h>

#include "core/websocket.h"
#include "lua_binding.h"

/* Its anchor (see lua_compat.h) is its engine's. */
struct websocket_box {
  struct dt_ws *impl;
};

static struct dt_ws *check_websocket(lua_State *L)
{
  struct websocket_box *box = luaL_checkudata(L, 1, WEBSOCKET_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a closed WebSocket");
  return box->impl;
}

/* --- opening -------------------------------------------------------------- */

/* A string field that becomes a C string; *refused is set when it cannot. */
static const char *text_field(lua_State *L, const char *name,
                              const char **refused)
{
  size_t size;
  const char *s = string_field(L, 2, name, &size);

  if(s && strlen(s) != size)
    *refused = name;
  return s;
}

static void read_limits(lua_State *L, struct dt_ws_options *o)
{
  o->max_message = (uint64_t)count_field(L, 2, "max_message", 0);
  o->stream = flag_field(L, 2, "stream");
  o->connect_timeout = seconds_field(L, 2, "connect_timeout");
  o->open_timeout = seconds_field(L, 2, "open_timeout");
  o->timeout = seconds_field(L, 2, "timeout");
  o->idle_timeout = seconds_field(L, 2, "idle_timeout");
  o->ping_interval = seconds_field(L, 2, "ping_interval");
  o->patient = flag_field(L, 2, "patient");
  o->close_timeout = seconds_field(L, 2, "close_timeout");
}

static void read_profile(lua_State *L, struct dt_ws_options *o)
{
  lua_pushliteral(L, "profile");
  lua_rawget(L, 2);
  if(!lua_isnil(L, -1))
    o->profile = check_profile(L, -1);
  lua_pop(L, 1);
}

static int open_failed(lua_State *L, int rc, const char *refused)
{
  if(rc == DT_NOMEM)
    return luaL_error(L, "not enough memory");
  lua_pushnil(L);
  lua_pushstring(L, rc == DT_BAD_ARGUMENT && refused ? refused
                                                     : dt_code_name(rc));
  return 2;
}

/* Engine:open{...} */
int websocket_open(lua_State *L)
{
  struct dt_engine *e = check_engine(L, 1);
  struct dt_ws_options o;
  struct websocket_box *box;
  const char *headers[32], *refused = NULL;
  int rc = DT_BAD_ARGUMENT, bad = 0;

  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  memset(&o, 0, sizeof o);
  box = new_object(L, sizeof *box, WEBSOCKET_TYPE);
  compat_getanchor(L, 1);
  compat_setanchor(L, 3);
  o.url = text_field(L, "url", &refused);
  if(!o.url)
    return luaL_error(L, "bad field 'url' (string expected, got nil)");
  o.protocols = text_field(L, "protocols", &refused);
  o.headers = strings_field(L, 2, "headers", headers, 32, &bad);
  if(bad)
    refused = "a header";
  read_profile(L, &o);
  read_limits(L, &o);
  if(!refused)
    rc = dt_ws_open(e, &o, &box->impl, &refused);
  if(rc)
    return open_failed(L, rc, refused);
  lua_pushvalue(L, 3);
  push_int(L, (int64_t)dt_ws_id(box->impl));
  return 2;
}

/* --- messages ------------------------------------------------------------- */

/* Pushes nil, the code and its text. Returns 3. */
static int push_failure(lua_State *L, struct dt_ws *ws, int rc)
{
  struct dt_ws_result r;

  dt_ws_result(ws, &r);
  lua_pushnil(L);
  lua_pushstring(L, dt_code_name(rc));
  lua_pushstring(L, r.message);
  return 3;
}

static int websocket_receive(lua_State *L)
{
  struct dt_ws *ws = check_websocket(L);
  struct dt_ws_piece piece;
  int rc = dt_ws_receive(ws, &piece);

  if(rc < 0)
    return push_failure(L, ws, rc);
  if(rc != 1) {
    if(rc == 2)
      lua_pushboolean(L, 0);
    else
      lua_pushnil(L);
    return 1;
  }
  dt_ws_hold(ws, 1);
  lua_pushlstring(L, piece.data, piece.size); /* raises without memory */
  dt_ws_hold(ws, 0);
  lua_pushboolean(L, piece.text);
  lua_pushboolean(L, piece.final);
  return 3;
}

/* send(data, text) */
static int websocket_send(lua_State *L)
{
  struct dt_ws *ws = check_websocket(L);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  int taken, rc = dt_ws_send(ws, lua_toboolean(L, 3), data, size, &taken);

  if(rc == DT_NOMEM)
    return luaL_error(L, "not enough memory");
  if(rc)
    return push_failure(L, ws, rc);
  lua_pushboolean(L, taken);
  return 1;
}

/* finish(code, reason) */
static int websocket_finish(lua_State *L)
{
  struct dt_ws *ws = check_websocket(L);
  lua_Integer code = luaL_optinteger(L, 2, 1000);
  size_t size;
  const char *reason = luaL_optlstring(L, 3, "", &size);
  int rc;

  luaL_argcheck(L, code >= 0 && code <= 4999, 2, "not a close code");
  rc = dt_ws_close(ws, (unsigned)code, reason, size);
  if(rc == DT_BAD_ARGUMENT)
    return luaL_error(L, "a close code that must not be sent, or a reason of "
                         "more than 123 bytes");
  if(rc == DT_NOMEM)
    return luaL_error(L, "not enough memory");
  return 0;
}

/* --- results -------------------------------------------------------------- */

static int websocket_id(lua_State *L)
{
  push_int(L, (int64_t)dt_ws_id(check_websocket(L)));
  return 1;
}

static int websocket_result(lua_State *L)
{
  struct dt_ws *ws = check_websocket(L);
  struct dt_ws_result r;

  dt_ws_result(ws, &r);
  if(!r.done) {
    lua_pushnil(L);
    return 1;
  }
  if(r.code) {
    push_failure(L, ws, r.code);
    lua_pushinteger(L, r.os_error);
    return 4;
  }
  if(r.opened) {
    lua_pushinteger(L, (lua_Integer)r.close_code);
    lua_pushlstring(L, r.close_reason, r.close_size);
    return 2;
  }
  lua_pushboolean(L, 0);
  lua_pushinteger(L, (lua_Integer)r.status);
  lua_pushlstring(L, r.body, r.body_size);
  return 3;
}

static int websocket_is_open(lua_State *L)
{
  struct dt_ws_result r;

  dt_ws_result(check_websocket(L), &r);
  lua_pushboolean(L, r.opened && !r.done);
  return 1;
}

static int websocket_heard(lua_State *L)
{
  double when = dt_ws_heard(check_websocket(L));

  if(when > 0)
    lua_pushnumber(L, (lua_Number)when);
  else
    lua_pushnil(L);
  return 1;
}

static int websocket_status(lua_State *L)
{
  struct dt_ws_result r;

  dt_ws_result(check_websocket(L), &r);
  if(r.status)
    lua_pushinteger(L, (lua_Integer)r.status);
  else
    lua_pushnil(L);
  return 1;
}

static int websocket_header(lua_State *L)
{
  struct dt_ws_result r;

  dt_ws_result(check_websocket(L), &r);
  return push_header(L, r.header_block, r.header_size);
}

static int websocket_headers(lua_State *L)
{
  struct dt_ws_result r;

  dt_ws_result(check_websocket(L), &r);
  return push_headers(L, r.header_block, r.header_size);
}

static int websocket_progress(lua_State *L)
{
  struct dt_ws_result r;

  dt_ws_result(check_websocket(L), &r);
  push_int(L, (int64_t)r.received);
  push_int(L, (int64_t)r.sent);
  push_int(L, (int64_t)r.unsent);
  return 3;
}

static int websocket_trace(lua_State *L)
{
  struct dt_ws_result r;

  dt_ws_result(check_websocket(L), &r);
  lua_pushboolean(L, r.request_sent);
  lua_pushboolean(L, r.status != 0);
  lua_pushboolean(L, 0);
  lua_pushnumber(L, (lua_Number)r.seconds);
  return 4;
}

/* --- ending --------------------------------------------------------------- */

static int websocket_cancel(lua_State *L)
{
  dt_ws_cancel(check_websocket(L));
  return 0;
}

static int websocket_close(lua_State *L) /* close(), __gc and __close */
{
  struct websocket_box *box = luaL_checkudata(L, 1, WEBSOCKET_TYPE);
  struct dt_ws *ws = box->impl;

  box->impl = NULL;
  dt_ws_free(ws);
  return 0;
}

static int websocket_tostring(lua_State *L)
{
  struct websocket_box *box = luaL_checkudata(L, 1, WEBSOCKET_TYPE);

  if(!box->impl)
    return push_name(L, WEBSOCKET_TYPE, NULL);
  lua_pushfstring(L, "%s: %d", WEBSOCKET_TYPE, (int)dt_ws_id(box->impl));
  return 1;
}

static const luaL_Reg methods[] = {
  { "cancel", websocket_cancel },
  { "close", websocket_close },
  { "finish", websocket_finish },
  { "header", websocket_header },
  { "headers", websocket_headers },
  { "heard", websocket_heard },
  { "id", websocket_id },
  { "is_open", websocket_is_open },
  { "progress", websocket_progress },
  { "receive", websocket_receive },
  { "result", websocket_result },
  { "send", websocket_send },
  { "status", websocket_status },
  { "trace", websocket_trace },
  { NULL, NULL }
};

static const luaL_Reg meta[] = {
  { "__gc", websocket_close },
  { "__close", websocket_close },
  { "__tostring", websocket_tostring },
  { NULL, NULL }
};

void open_websocket(lua_State *L)
{
  new_type(L, WEBSOCKET_TYPE, methods, meta);
}
