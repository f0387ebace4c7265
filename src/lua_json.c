/*
 * lua_json.c - what of JSON is worth doing in C: a string's literal, the check
 * for UTF-8 that it needs, tidying what was decoded, and a short cut for the text
 * that is written most. Where it is not sure of itself it says nil, and the caller
 * goes the ordinary way. What is read in C: see lua_json_read.c.
 */
#include <stdlib.h>
#include <string.h>

#include "lua_binding.h"

#define ROOM 4096 /* of a literal that is made on the stack */
#define EXACT 9007199254740992.0 /* 2^53; beyond, a double no longer counts in ones */

/* How many bytes the UTF-8 sequence at s has, which does not begin with ASCII; 0
   when it is none. At least one byte is there. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
  static const unsigned char low[] = { 0x80, 0xA0, 0x90 }; /* after E0, F0 */
  unsigned char first = s[0];
  size_t n = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  unsigned char least = low[first == 0xE0 ? 1 : first == 0xF0 ? 2 : 0];
  unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  size_t i;

  if(first < 0xC2 || first > 0xF4 || n > left || s[1] < least || s[1] > most)
    return 0;
  for(i = 2; i < n; i++) {
    if((s[i] & 0xC0) != 0x80)
      return 0;
  }
  return n;
}

static int is_utf8(const char *text, size_t left)
{
  const unsigned char *s = (const unsigned char *)text;
  size_t n;

  while(left > 0) {
    n = *s < 0x80 ? 1 : utf8_length(s, left);
    if(n == 0)
      return 0;
    s += n;
    left -= n;
  }
  return 1;
}

static int core_is_utf8(lua_State *L)
{
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);

  lua_pushboolean(L, is_utf8(text, size));
  return 1;
}

/* The letter of a two-character escape, 'u' for the long form, 0 for none. */
static char escape(unsigned char c)
{
  static const char letters[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

  if(c < 0x20)
    return letters[c];
  return c == '"' || c == '\\' ? (char)c : 0;
}

/* Writes what stands for the text in a literal, up to 6 bytes for each of its
   own. Where it ends. */
static char *write_text(char *at, const char *s, size_t size)
{
  static const char digits[] = "0123456789abcdef";
  size_t i;

  for(i = 0; i < size; i++) {
    char e = escape((unsigned char)s[i]);

    if(!e) {
      *at++ = s[i];
      continue;
    }
    *at++ = '\\';
    *at++ = e;
    if(e == 'u') {
      *at++ = '0';
      *at++ = '0';
      *at++ = digits[s[i] >> 4];
      *at++ = digits[s[i] & 15];
    }
  }
  return at;
}

/* Writes the literal. Its size. */
static size_t write_literal(char *out, const char *s, size_t size)
{
  char *at = out;

  *at++ = '"';
  at = write_text(at, s, size);
  *at++ = '"';
  return (size_t)(at - out);
}

/* How many bytes more than the text its literal has. */
static size_t escapes_size(const char *s, size_t size)
{
  size_t i, n = 2;

  for(i = 0; i < size; i++) {
    char e = escape((unsigned char)s[i]);

    n += e == 'u' ? 5 : e != 0;
  }
  return n;
}

/* nil when the text is not UTF-8. */
static int core_json_string(lua_State *L)
{
  char room[ROOM];
  char *out = room;
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);

  if(!is_utf8(text, size)) {
    lua_pushnil(L);
    return 1;
  }
  if(size > (sizeof room - 2) / 6)
    out = lua_newuserdata(L, size + escapes_size(text, size));
  lua_pushlstring(L, out, write_literal(out, text, size));
  return 1;
}

/* --- a command -------------------------------------------------------------- */

/* Whether there is more in the text than blanks, no NUL, and nothing but
   UTF-8. */
static int is_command(const char *s, size_t size)
{
  size_t i = 0;

  while(i < size && (s[i] == ' ' || (s[i] >= '\t' && s[i] <= '\r')))
    i++;
  return i < size && !memchr(s, 0, size) && is_utf8(s, size);
}

/* The text as it stands between single quotes of a shell; the four bytes for one
   of these take five. */
static char *write_quoted(char *at, const char *s, size_t size)
{
  const char *quote = memchr(s, '\'', size);

  while(quote) {
    size_t n = (size_t)(quote - s);

    at = write_text(at, s, n);
    at = write_text(at, "'\\''", 4);
    s += n + 1;
    size -= n + 1;
    quote = memchr(s, '\'', size);
  }
  return write_text(at, s, size);
}

/* How many bytes write_quoted may write. */
static size_t quoted_size(const char *s, size_t size)
{
  size_t i, n = size + escapes_size(s, size);

  for(i = 0; i < size; i++)
    n += s[i] == '\'' ? 4 : 0;
  return n;
}

/* core.json_command(before, text, middle, after) */
int json_command(lua_State *L)
{
  char room[ROOM];
  char *out = room, *at;
  size_t nbefore, size, nmiddle, nafter;
  const char *before = luaL_checklstring(L, 1, &nbefore);
  const char *middle = luaL_checklstring(L, 3, &nmiddle);
  const char *after = luaL_checklstring(L, 4, &nafter);
  const char *text;

  if(lua_type(L, 2) != LUA_TSTRING)
    return 0;
  text = lua_tolstring(L, 2, &size);
  if(!is_command(text, size))
    return 0;
  if(size > ROOM / 12 ||
     nbefore + size * 6 + nmiddle + UNIQUE_SIZE + nafter > sizeof room)
    out = lua_newuserdata(L, nbefore + quoted_size(text, size) + nmiddle +
                               UNIQUE_SIZE + nafter);
  memcpy(out, before, nbefore);
  at = write_quoted(out + nbefore, text, size);
  memcpy(at, middle, nmiddle);
  at = write_unique(L, lua_touserdata(L, lua_upvalueindex(1)), at + nmiddle);
  memcpy(at, after, nafter);
  lua_pushlstring(L, out, (size_t)(at + nafter - out));
  return 1;
}

/* --- a decoded text ----------------------------------------------------------- */

int make_integer(lua_State *L)
{
#if LUA_VERSION_NUM >= 503
  lua_Number number = lua_tonumber(L, -1);

  if(!lua_isinteger(L, -1) && number >= -EXACT && number <= EXACT &&
     number == (lua_Number)(lua_Integer)number) {
    lua_pop(L, 1);
    lua_pushinteger(L, (lua_Integer)number);
    return 1;
  }
#else
  (void)L;
#endif
  return 0;
}

/* Tidies the table at the top. A list is one whose first item is there; a null keeps
   its place in it. Only fields that are there are set, which needs no memory. */
static void tidy(lua_State *L)
{
  int table = lua_gettop(L), is_list;

  luaL_checkstack(L, 6, "JSON that is nested too deeply");
  lua_rawgeti(L, table, 1);
  is_list = !lua_isnil(L, -1);
  lua_pop(L, 1);
  lua_pushnil(L);
  while(lua_next(L, table)) {
    int type = lua_type(L, -1), other = 0;

    if(type == LUA_TTABLE)
      tidy(L);
    else if(type == LUA_TNUMBER)
      other = make_integer(L);
    else if(type != LUA_TSTRING && !is_list && lua_rawequal(L, -1, 2)) {
      lua_pop(L, 1);
      lua_pushnil(L);
      other = 1;
    }
    if(other) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, table);
    }
    else
      lua_pop(L, 1);
  }
}

/* core.json_tidy(value, null) */
static int core_json_tidy(lua_State *L)
{
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  if(lua_istable(L, 3))
    tidy(L);
  else if(lua_type(L, 3) == LUA_TNUMBER)
    (void)make_integer(L);
  return 1;
}

static const luaL_Reg functions[] = {
  { "is_utf8", core_is_utf8 },
  { "json_string", core_json_string },
  { "json_tidy", core_json_tidy },
  { NULL, NULL }
};

void open_json(lua_State *L)
{
  set_functions(L, functions);
}
