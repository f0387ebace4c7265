/*
 * lua_json.c - what of JSON is worth doing in C: a string's literal, the check
 * for UTF-8 that it needs, tidying what was decoded, and two short cuts for the
 * texts that are written and read most. Where these are not sure of themselves they say nil, and the
 * caller goes the ordinary way: what JSON is they do not decide.
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

/* --- an answer -------------------------------------------------------------- */

struct reader {
  const char *at;
  const char *end;
};

/* Passes blanks. Whether something follows. */
static int pass_blanks(struct reader *r)
{
  while(r->at < r->end && (*r->at == ' ' || *r->at == '\n' ||
                           *r->at == '\r' || *r->at == '\t'))
    r->at++;
  return r->at < r->end;
}

/* Passes blanks, then c if it is there. */
static int accept(struct reader *r, char c)
{
  if(!pass_blanks(r) || *r->at != c)
    return 0;
  r->at++;
  return 1;
}

/* Whether one of eight bytes ends the plain part of a string: a control character,
   a quotation mark or a backslash. */
static int ends_plain(uint64_t bytes)
{
  const uint64_t ones = 0x0101010101010101u;
  const uint64_t quote = bytes ^ (ones * '"'), slash = bytes ^ (ones * '\\');

  return ((((bytes - ones * 0x20) & ~bytes) | ((quote - ones) & ~quote) |
           ((slash - ones) & ~slash)) &
          (ones * 0x80)) != 0;
}

/* Passes the plain part of a string. Whether something follows. */
static int pass_plain(struct reader *r)
{
  uint64_t bytes;

  for(; r->end - r->at >= 8; r->at += 8) {
    memcpy(&bytes, r->at, 8);
    if(ends_plain(bytes))
      break;
  }
  while(r->at < r->end && (unsigned char)*r->at >= 0x20 && *r->at != '"' &&
        *r->at != '\\')
    r->at++;
  return r->at < r->end;
}

/* The value of the four digits, or -1. */
static long hex4(const char *s)
{
  long n = 0;
  int i;

  for(i = 0; i < 4; i++) {
    char c = s[i];

    if(c >= '0' && c <= '9')
      n = n * 16 + (c - '0');
    else if((c | 32) >= 'a' && (c | 32) <= 'f')
      n = n * 16 + ((c | 32) - 'a' + 10);
    else
      return -1;
  }
  return n;
}

/* A character that takes up to three bytes. Where it ends. */
static char *write_utf8(char *at, long c)
{
  if(c < 0x80) {
    *at++ = (char)c;
    return at;
  }
  if(c < 0x800)
    *at++ = (char)(0xC0 | (c >> 6));
  else {
    *at++ = (char)(0xE0 | (c >> 12));
    *at++ = (char)(0x80 | ((c >> 6) & 0x3F));
  }
  *at++ = (char)(0x80 | (c & 0x3F));
  return at;
}

/* Passes an escape, behind its backslash, and writes what it stands for, which
   is shorter. Where that ends, NULL for one that is left to others: surrogates,
   above all. */
static char *unescape(struct reader *r, char *at)
{
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *known;
  long c;

  if(r->at == r->end)
    return NULL;
  known = *r->at ? strchr(names, *r->at) : NULL;
  if(known) {
    r->at++;
    *at++ = values[known - names];
    return at;
  }
  if(*r->at != 'u' || r->end - r->at < 5)
    return NULL;
  c = hex4(r->at + 1);
  if(c < 0 || (c >= 0xD800 && c <= 0xDFFF))
    return NULL;
  r->at += 5;
  return write_utf8(at, c);
}

/* Reads on in a string that has an escape where the reader is, and begins at
   `start`, into `out`. Its size, or -1. */
static ptrdiff_t read_escaped(struct reader *r, const char *start, char *out)
{
  char *at = out;

  for(;;) {
    memcpy(at, start, (size_t)(r->at - start));
    at += r->at - start;
    if(*r->at == '"')
      break;
    if(*r->at++ != '\\')
      return -1;
    at = unescape(r, at);
    start = r->at;
    if(!at || !pass_plain(r))
      return -1;
  }
  r->at++;
  return at - out;
}

/* Pushes the string behind a quotation mark. Whether it is one. */
static int push_text(lua_State *L, struct reader *r)
{
  char room[ROOM];
  char *out = room;
  const char *start = r->at;
  ptrdiff_t size;

  if(!pass_plain(r))
    return 0;
  if(*r->at == '"') {
    lua_pushlstring(L, start, (size_t)(r->at++ - start));
    return 1;
  }
  if(r->end - start > ROOM)
    out = lua_newuserdata(L, (size_t)(r->end - start));
  size = read_escaped(r, start, out);
  if(size < 0)
    return 0;
  lua_pushlstring(L, out, (size_t)size);
  if(out != room)
    lua_remove(L, -2);
  return 1;
}

/* Reads a whole number of up to 15 digits. Whether there is one. */
static int read_number(struct reader *r, int64_t *number)
{
  int negative = accept(r, '-');
  const char *start = r->at;
  int64_t n = 0;

  while(r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - start < 16)
    n = n * 10 + (*r->at++ - '0');
  if(r->at == start || r->at - start > 15 || (*start == '0' && n) ||
     (*start == '0' && r->at - start > 1))
    return 0;
  *number = negative ? -n : n;
  return 1;
}

/* Passes a name and the colon behind it. */
static int accept_name(struct reader *r, const char *name)
{
  size_t size = strlen(name);

  if(!accept(r, '"') || (size_t)(r->end - r->at) <= size ||
     memcmp(r->at, name, size) || r->at[size] != '"')
    return 0;
  r->at += size + 1;
  return accept(r, ':');
}

/* Comes to the text of a pair, behind its quotation mark. Whether it is one. */
static int begin_pair(struct reader *r, const struct pair_names *names,
                      int64_t *number)
{
  return accept(r, '{') && accept_name(r, names->number) &&
         read_number(r, number) && accept(r, ',') &&
         accept_name(r, names->text) && accept(r, '"');
}

int push_pair(lua_State *L, const char *json, size_t size,
              const struct pair_names *names)
{
  int top = lua_gettop(L);
  int64_t number;
  struct reader r;

  r.at = json;
  r.end = json + size;
  if(begin_pair(&r, names, &number)) {
    push_int(L, number);
    if(push_text(L, &r) && accept(&r, '}') && !pass_blanks(&r))
      return 1;
  }
  lua_settop(L, top);
  return 0;
}

/* --- a long pair, in pieces ------------------------------------------------- */

struct long_pair {
  struct reader r;
  const char *start; /* of the text, or of what of it was not copied */
  char *out;         /* the text before; NULL until there is an escape */
  size_t size;       /* its bytes, or those from `start` that are the text */
  int64_t number;
};

struct long_pair *long_pair_new(const char *json, size_t size,
                                const struct pair_names *names)
{
  struct long_pair *p = calloc(1, sizeof *p);

  if(!p)
    return NULL;
  p->r.at = json;
  p->r.end = json + size;
  if(!begin_pair(&p->r, names, &p->number)) {
    free(p);
    return NULL;
  }
  p->start = p->r.at;
  return p;
}

void long_pair_free(struct long_pair *p)
{
  if(p)
    free(p->out);
  free(p);
}

static void copy_plain(struct long_pair *p)
{
  size_t n = (size_t)(p->r.at - p->start);

  memcpy(p->out + p->size, p->start, n);
  p->size += n;
  p->start = p->r.at;
}

/* The text has ended: what is behind it. */
static int finish(struct long_pair *p)
{
  if(p->out)
    copy_plain(p);
  else
    p->size = (size_t)(p->r.at - p->start);
  p->r.at++;
  return accept(&p->r, '}') && !pass_blanks(&p->r) ? 1 : -1;
}

/* Passes an escape, which is where the reader is. */
static int pass_escape(struct long_pair *p)
{
  char *end;

  if(!p->out && !(p->out = malloc((size_t)(p->r.end - p->start))))
    return 0;
  copy_plain(p);
  p->r.at++;
  end = unescape(&p->r, p->out + p->size);
  if(!end)
    return 0;
  p->size = (size_t)(end - p->out);
  p->start = p->r.at;
  return 1;
}

int long_pair_read(struct long_pair *p, size_t most)
{
  const char *end = p->r.end;
  const char *limit =
    (size_t)(end - p->r.at) > most ? p->r.at + most : end;

  while(p->r.at < limit) {
    int more;

    p->r.end = limit;
    more = pass_plain(&p->r);
    p->r.end = end;
    if(!more)
      break;
    if(*p->r.at == '"')
      return finish(p);
    if(*p->r.at != '\\' || !pass_escape(p))
      return -1;
  }
  if(p->out)
    copy_plain(p);
  return p->r.at < end ? 0 : -1;
}

void push_long_pair(lua_State *L, const struct long_pair *p)
{
  push_int(L, p->number);
  lua_pushlstring(L, p->out ? p->out : p->start, p->size);
}

/* --- a decoded text ----------------------------------------------------------- */

/* Replaces the number at the top, a float that counts in ones, by an integer, where
   Lua has these. Whether it did. */
static int make_integer(lua_State *L)
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

/* core.json_pair(text, number, string) */
static int core_json_pair(lua_State *L)
{
  struct pair_names names;
  size_t size;
  const char *json = luaL_checklstring(L, 1, &size);

  names.number = luaL_checkstring(L, 2);
  names.text = luaL_checkstring(L, 3);
  return push_pair(L, json, size, &names) ? 2 : 0;
}

static const luaL_Reg functions[] = {
  { "is_utf8", core_is_utf8 },
  { "json_pair", core_json_pair },
  { "json_string", core_json_string },
  { "json_tidy", core_json_tidy },
  { NULL, NULL }
};

void open_json(lua_State *L)
{
  set_functions(L, functions);
}
