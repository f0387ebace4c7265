/*
 * lua_engine.c - the userdata `daytona.core.Engine`: stepping, polling and
 * handing events to Lua. Starting transfers stands in lua_transfer.c.
 */
#include <string.h>

#include "lua_binding.h"

struct dt_engine *check_engine(lua_State *L, int i)
{
  struct engine_box *box = luaL_checkudata(L, i, ENGINE_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a closed engine");
  return box->impl;
}

/* Adds to the flat array on top of the stack, which has n elements. The new n. */
static int add_event(lua_State *L, int n, uint64_t id, unsigned what)
{
  push_int(L, (int64_t)id);
  lua_rawseti(L, -2, ++n);
  lua_pushinteger(L, (lua_Integer)what);
  lua_rawseti(L, -2, ++n);
  return n;
}

/* Pushes the pending events as a flat array of ids and sets, or nil. Where there
   is no memory for it, they stay: only making the array with all its room may
   raise. (Finalizers that it runs may take events, or add some.) */
static void push_events(lua_State *L, struct dt_engine *e)
{
  size_t room = dt_engine_count_events(e), i;
  uint64_t id;
  unsigned what;
  int n = 0;

  if(room == 0) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, (int)room * 2, 0);
  for(i = 0; i < room && dt_engine_next_event(e, &id, &what); i++)
    n = add_event(L, n, id, what);
}

/* Raises for the codes that leave nothing to report. After DT_INTERNAL the
   events tell what failed. */
static void check_step(lua_State *L, int rc)
{
  if(rc == DT_FORKED)
    luaL_error(L, "attempt to use the engine of another process");
  if(rc == DT_NOMEM)
    luaL_error(L, "not enough memory");
}

/* Seconds at index i: a negative number stands for nil. */
static double opt_seconds(lua_State *L, int i, double none)
{
  double s;

  if(lua_isnoneornil(L, i))
    return none;
  s = (double)luaL_checknumber(L, i);
  luaL_argcheck(L, s == s, i, "not a number");
  return s > 0 ? s : 0;
}

static int engine_fd(lua_State *L)
{
  lua_pushinteger(L, dt_engine_fd(check_engine(L, 1)));
  return 1;
}

static int engine_timeout(lua_State *L)
{
  double s = dt_engine_timeout(check_engine(L, 1));

  if(s < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, (lua_Number)s);
  return 1;
}

static int engine_step(lua_State *L)
{
  struct dt_engine *e = check_engine(L, 1);

  check_step(L, dt_engine_step(e, opt_seconds(L, 2, 0)));
  push_events(L, e);
  return 1;
}

/* Ctrl-C (and a trap) only sets a hook, so one that came just before a wait would go
   unnoticed in it: it is held back, looked for, and let in by the wait. */
static int engine_poll(lua_State *L)
{
  struct dt_engine *e = check_engine(L, 1);
  double seconds = opt_seconds(L, 2, -1);
  int rc, stop, interrupted = 0;

  hold_signals(e);
  stop = must_stop(L);
  rc = dt_engine_poll(e, stop ? 0 : seconds, &interrupted);
  check_step(L, rc);
  push_events(L, e);
  if(stop)
    interrupted = 1;
  if(!interrupted)
    return 1;
  lua_pushboolean(L, 1);
  return 2;
}

static int engine_alarm(lua_State *L)
{
  dt_engine_alarm(check_engine(L, 1), opt_seconds(L, 2, 0));
  return 0;
}

static int engine_is_ours(lua_State *L)
{
  lua_pushboolean(L, dt_engine_is_ours(check_engine(L, 1)));
  return 1;
}

static int engine_abandon(lua_State *L)
{
  dt_engine_abandon(check_engine(L, 1));
  return 0;
}

static void set_count(lua_State *L, const char *name, uint64_t n)
{
  push_int(L, (int64_t)n);
  lua_setfield(L, -2, name);
}

static int engine_stats(lua_State *L)
{
  struct dt_engine_stats s;

  memset(&s, 0, sizeof s);
  dt_engine_get_stats(check_engine(L, 1), &s);
  lua_createtable(L, 0, 7);
  set_count(L, "polls", s.polls);
  set_count(L, "steps", s.steps);
  set_count(L, "started", s.started);
  set_count(L, "finished", s.finished);
  set_count(L, "connects", s.connects);
  set_count(L, "running", s.running);
  set_count(L, "queued", s.queued);
  return 1;
}

/* close(), __gc and __close. Transfers that live on end with "canceled". The
   connections of an engine that came through a fork are its maker's: not a
   byte may be written to them. */
static int engine_close(lua_State *L)
{
  struct engine_box *box = luaL_checkudata(L, 1, ENGINE_TYPE);
  struct dt_engine *e = box->impl;

  box->impl = NULL;
  if(e && !dt_engine_is_ours(e))
    dt_engine_abandon(e);
  dt_engine_free(e);
  return 0;
}

static int engine_tostring(lua_State *L)
{
  struct engine_box *box = luaL_checkudata(L, 1, ENGINE_TYPE);

  return push_name(L, ENGINE_TYPE, box->impl);
}

static const luaL_Reg methods[] = {
  { "abandon", engine_abandon },
  { "alarm", engine_alarm },
  { "close", engine_close },
  { "doorbell", doorbell_new },
  { "fd", engine_fd },
  { "is_ours", engine_is_ours },
  { "open", websocket_open },
  { "poll", engine_poll },
  { "start", transfer_start },
  { "stats", engine_stats },
  { "step", engine_step },
  { "timeout", engine_timeout },
  { NULL, NULL }
};

static const luaL_Reg meta[] = {
  { "__gc", engine_close },
  { "__close", engine_close },
  { "__tostring", engine_tostring },
  { NULL, NULL }
};

void open_engine(lua_State *L)
{
  new_type(L, ENGINE_TYPE, methods, meta);
}
