/*
 * lua_headers.c - the "Name: value" lines of an answer, for Lua: one by its name,
 * or all by theirs. Of transfers and WebSockets.
 */
#include <ctype.h>
#include <string.h>

#include "lua_binding.h"

/* A header line: its name, and its value without the blanks around it. */
struct header {
  const char *name;
  size_t name_size;
  const char *value;
  size_t value_size;
};

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next line of the block [*at, end). 1, or 0 at the end; lines
   without a colon are passed over. */
static int next_header(const char **at, const char *end, struct header *h)
{
  const char *line, *stop, *colon;

  while(*at < end) {
    line = *at;
    stop = memchr(line, '\n', (size_t)(end - line));
    if(!stop)
      stop = end;
    *at = stop < end ? stop + 1 : end;
    colon = memchr(line, ':', (size_t)(stop - line));
    if(!colon)
      continue;
    h->name = line;
    h->name_size = (size_t)(colon - line);
    for(colon++; colon < stop && is_blank(*colon); colon++)
      ;
    while(stop > colon && is_blank(stop[-1]))
      stop--;
    h->value = colon;
    h->value_size = (size_t)(stop - colon);
    return 1;
  }
  return 0;
}

static int same_name(const struct header *h, const char *name, size_t size)
{
  size_t i;

  if(h->name_size != size)
    return 0;
  for(i = 0; i < size; i++) {
    if(tolower((unsigned char)h->name[i]) != tolower((unsigned char)name[i]))
      return 0;
  }
  return 1;
}

/* Joins the two values on top of the stack with ", ". */
static void join(lua_State *L)
{
  lua_pushliteral(L, ", ");
  lua_insert(L, -2);
  lua_concat(L, 3);
}

int push_header(lua_State *L, const char *block, size_t length)
{
  struct header h;
  size_t size;
  const char *name = luaL_checklstring(L, 2, &size);
  const char *at = block;
  int found = 0;

  while(at && next_header(&at, block + length, &h)) {
    if(!same_name(&h, name, size))
      continue;
    lua_pushlstring(L, h.value, h.value_size);
    if(found++)
      join(L);
  }
  if(!found)
    lua_pushnil(L);
  return 1;
}

/* Pushes a header's name in lower case. */
static void push_lower(lua_State *L, const struct header *h)
{
  luaL_Buffer b;
  size_t i;

  luaL_buffinit(L, &b);
  for(i = 0; i < h->name_size; i++)
    luaL_addchar(&b, (char)tolower((unsigned char)h->name[i]));
  luaL_pushresult(&b);
}

int push_headers(lua_State *L, const char *block, size_t length)
{
  struct header h;
  const char *at = block;

  lua_newtable(L);
  while(at && next_header(&at, block + length, &h)) {
    push_lower(L, &h);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3); /* table, name, earlier value or nil */
    lua_pushlstring(L, h.value, h.value_size);
    if(lua_isnil(L, -2))
      lua_remove(L, -2);
    else
      join(L);
    lua_rawset(L, -3);
  }
  return 1;
}
