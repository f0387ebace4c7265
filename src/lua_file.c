/*
 * lua_file.c - what Lua's own library does not say about the files of this
 * machine.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int push_outcome(lua_State *L, int result)
{
  if(result)
    return push_failure(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

#if defined(__APPLE__)
#define ST_MTIM st_mtimespec
#else
#define ST_MTIM st_mtim
#endif

/* type, size, mode, seconds, nanoseconds of the last change */
static int push_stat(lua_State *L, const struct stat *st)
{
  lua_pushstring(L, S_ISLNK(st->st_mode) ? "link" : type_name(st->st_mode));
  push_int(L, (int64_t)st->st_size);
  push_int(L, (int64_t)(st->st_mode & 07777));
  push_int(L, (int64_t)st->ST_MTIM.tv_sec);
  push_int(L, (int64_t)st->ST_MTIM.tv_nsec);
  return 5;
}

/* stat(path): through links. */
static int file_stat(lua_State *L)
{
  struct stat st;

  if(stat(luaL_checkstring(L, 1), &st))
    return push_failure(L, errno);
  return push_stat(L, &st);
}

/* lstat(path): of a link itself. */
static int file_lstat(lua_State *L)
{
  struct stat st;

  if(lstat(luaL_checkstring(L, 1), &st))
    return push_failure(L, errno);
  return push_stat(L, &st);
}

/* The directory being read, closed by the collector if pushing a name raises. */
#define DIR_TYPE "daytona.core.Directory"

static int directory_gc(lua_State *L)
{
  DIR **dir = luaL_checkudata(L, 1, DIR_TYPE);

  if(*dir) {
    closedir(*dir);
    *dir = NULL;
  }
  return 0;
}

static int is_dots(const char *name)
{
  return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* list_directory(path): the names in it, but "." and "..", in no order. */
static int list_directory(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  DIR **dir = new_object(L, sizeof *dir, DIR_TYPE);
  struct dirent *entry;
  int n = 0;

  *dir = opendir(path);
  if(!*dir)
    return push_failure(L, errno);
  lua_newtable(L);
  errno = 0;
  for(entry = readdir(*dir); entry; entry = readdir(*dir)) {
    if(!is_dots(entry->d_name)) {
      lua_pushstring(L, entry->d_name);
      lua_rawseti(L, -2, ++n);
    }
    errno = 0;
  }
  if(errno)
    return push_failure(L, errno);
  closedir(*dir);
  *dir = NULL;
  return 1;
}

static mode_t check_mode(lua_State *L, int arg)
{
  lua_Number mode = luaL_checknumber(L, arg);

  luaL_argcheck(L, mode >= 0 && mode <= 07777, arg, "not a file mode");
  return (mode_t)mode;
}

static int make_directory(lua_State *L)
{
  return push_outcome(L, mkdir(luaL_checkstring(L, 1), check_mode(L, 2)));
}

static int change_mode(lua_State *L)
{
  return push_outcome(L, chmod(luaL_checkstring(L, 1), check_mode(L, 2)));
}

/* set_times(path, seconds, nanoseconds): when it was changed and read, of a
   link itself. */
static int set_times(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  lua_Number seconds = luaL_checknumber(L, 2);
  lua_Number nanoseconds = luaL_optnumber(L, 3, 0);
  struct timespec times[2];

  times[0].tv_sec = (time_t)seconds;
  times[0].tv_nsec = (long)nanoseconds;
  times[1] = times[0];
  return push_outcome(L, utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

static int read_link(lua_State *L)
{
  char target[PATH_MAX];
  ssize_t n = readlink(luaL_checkstring(L, 1), target, sizeof target);

  if(n < 0)
    return push_failure(L, errno);
  lua_pushlstring(L, target, (size_t)n);
  return 1;
}

/* make_link(target, path): a symbolic one. */
static int make_link(lua_State *L)
{
  return push_outcome(L, symlink(luaL_checkstring(L, 1),
                                 luaL_checkstring(L, 2)));
}

FILE *check_file(lua_State *L, int arg)
{
  FILE **file = luaL_checkudata(L, arg, LUA_FILEHANDLE);

  return compat_isclosed(file) ? NULL : *file;
}

FILE *check_open_file(lua_State *L, int arg)
{
  FILE *file = check_file(L, arg);

  luaL_argcheck(L, file, arg, "a closed file");
  return file;
}

/* may_block(file): whether who writes to it may have to wait until somebody
   reads: it is a pipe, a socket or a terminal. */
static int may_block(lua_State *L)
{
  FILE *file = check_open_file(L, 1);
  struct stat st;

  lua_pushboolean(L, fstat(fileno(file), &st) || S_ISFIFO(st.st_mode) ||
                       S_ISSOCK(st.st_mode) || isatty(fileno(file)));
  return 1;
}

/* catch_up(file): Lua's file goes on where its descriptor is, which others have
   written to. (Its position may be one that the C library remembers.) */
static int catch_up(lua_State *L)
{
  FILE *file = check_file(L, 1);
  off_t at;

  if(!file || fflush(file))
    return 0;
  at = lseek(fileno(file), 0, SEEK_CUR);
  if(at >= 0)
    (void)fseeko(file, at, SEEK_SET);
  return 0;
}

static const luaL_Reg file_functions[] = {
  { "catch_up", catch_up },
  { "change_mode", change_mode },
  { "file_type", file_type },
  { "list_directory", list_directory },
  { "lstat", file_lstat },
  { "make_directory", make_directory },
  { "make_link", make_link },
  { "may_block", may_block },
  { "read_link", read_link },
  { "real_path", real_path },
  { "set_times", set_times },
  { "stat", file_stat },
  { NULL, NULL }
};

static const luaL_Reg no_methods[] = { { NULL, NULL } };

static const luaL_Reg directory_meta[] = {
  { "__gc", directory_gc },
  { NULL, NULL }
};

void open_file(lua_State *L)
{
  new_type(L, DIR_TYPE, no_methods, directory_meta);
  set_functions(L, file_functions);
}
