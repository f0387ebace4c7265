/*
 * lua_compat.h - the few differences between the C APIs of Lua 5.1 (and LuaJIT)
 * to 5.4 that the binding meets. Nothing here knows the engine.
 */
#ifndef DAYTONA_LUA_COMPAT_H
#define DAYTONA_LUA_COMPAT_H

#include <stdio.h>

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, i) lua_objlen(L, i)

/* Before 5.2 a userdata has an environment table instead of a user value. */
#define compat_getanchor(L, i) lua_getfenv(L, i)
#define compat_setanchor(L, i) ((void)lua_setfenv(L, i))

#else
#define compat_getanchor(L, i) ((void)lua_getuservalue(L, i))
#define compat_setanchor(L, i) ((void)lua_setuservalue(L, i))
#endif

/* LuaJIT, told apart from 5.1 by a macro of its luaconf.h, has it too. */
#if LUA_VERSION_NUM >= 503 || defined(LUA_LJDIR)
#define COMPAT_ISYIELDABLE 1
#endif

#if LUA_VERSION_NUM >= 504
#define compat_newuserdata(L, n) lua_newuserdatauv(L, n, 1)
#else
#define compat_newuserdata(L, n) lua_newuserdata(L, n)
#endif

/* In every Lua the first field of an io handle is its FILE pointer; a closed one
   is told apart by luaL_Stream, and by NULL in 5.1 and LuaJIT. */
#if LUA_VERSION_NUM >= 502
#define compat_isclosed(p) (((luaL_Stream *)(p))->closef == NULL)
#else
#define compat_isclosed(p) (*(FILE **)(p) == NULL)
#endif

#endif
