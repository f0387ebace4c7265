/*
 * lua_json.c - what of writing JSON is worth doing in C: a string's literal,
 * and the check for UTF-8 that it needs.
 */
#include <string.h>

#include "lua_binding.h"

#define ROOM 4096 /* of a literal that is made on the stack */

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

/* Writes the literal, which takes up to 6 bytes for each of the text and two
   more. Its size. */
static size_t write_literal(char *out, const char *s, size_t size)
{
  static const char digits[] = "0123456789abcdef";
  char *at = out;
  size_t i;

  *at++ = '"';
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

static const luaL_Reg functions[] = {
  { "is_utf8", core_is_utf8 },
  { "json_string", core_json_string },
  { NULL, NULL }
};

void open_json(lua_State *L)
{
  set_functions(L, functions);
}
