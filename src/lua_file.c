/*
 * lua_file.c - what Lua's own library does not say about the files of this
 * machine.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lua_binding.h"

static int push_failure(lua_State *L, int error)
{
  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  return 2;
}

static const char *type_name(mode_t mode)
{
  if(S_ISREG(mode))
    return "file";
  if(S_ISDIR(mode))
    return "directory";
  return "other";
}

/* file_type(path): what the path leads to, through links. */
static int file_type(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  struct stat st;

  if(stat(path, &st))
    return push_failure(L, errno);
  lua_pushstring(L, type_name(st.st_mode));
  return 1;
}

/* real_path(path): the absolute path without links. */
static int real_path(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  char found[PATH_MAX];

  if(!realpath(path, found))
    return push_failure(L, errno);
  lua_pushstring(L, found);
  return 1;
}

static const luaL_Reg file_functions[] = {
  { "file_type", file_type },
  { "real_path", real_path },
  { NULL, NULL }
};

void open_file(lua_State *L)
{
  set_functions(L, file_functions);
}
