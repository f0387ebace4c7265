/*
 * lua_json_read.c - JSON that is read in C. The object of a number and a text, which is what
 * most answers are, in one go or, when it is long, in pieces; and any long text in pieces, so
 * that a host can do its own work in between. Where these are not sure of themselves they say
 * nil, and the caller goes the ordinary way: what JSON is they do not decide.
 */
#include <stdlib.h>
#include <string.h>

#include "lua_binding.h"

#define ROOM 4096 /* of a string that is made on the stack */
#define LARGE ((size_t)256 * 1024) /* of a string, which takes a while to be made */

/* --- characters ------------------------------------------------------------- */

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

/* Writes a character. Where it ends. */
static char *write_utf8(char *at, long c)
{
  if(c < 0x80) {
    *at++ = (char)c;
    return at;
  }
  if(c < 0x800)
    *at++ = (char)(0xC0 | (c >> 6));
  else {
    if(c < 0x10000)
      *at++ = (char)(0xE0 | (c >> 12));
    else {
      *at++ = (char)(0xF0 | (c >> 18));
      *at++ = (char)(0x80 | ((c >> 12) & 0x3F));
    }
    *at++ = (char)(0x80 | ((c >> 6) & 0x3F));
  }
  *at++ = (char)(0x80 | (c & 0x3F));
  return at;
}

/* Passes a 'u' and its four digits, and a second such escape where the first is half of a
   character. The character, or -1. */
static long pass_hex(struct reader *r)
{
  long c = r->end - r->at < 5 ? -1 : hex4(r->at + 1), low;

  if(c < 0)
    return -1;
  r->at += 5;
  if(c < 0xD800 || c > 0xDFFF)
    return c;
  if(c > 0xDBFF || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
    return -1;
  low = hex4(r->at + 2);
  if(low < 0xDC00 || low > 0xDFFF)
    return -1;
  r->at += 6;
  return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

/* Passes an escape, behind its backslash, and writes what it stands for, which
   is shorter. Where that ends, NULL for one that is left to others: half a character,
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
  c = *r->at == 'u' ? pass_hex(r) : -1;
  return c < 0 ? NULL : write_utf8(at, c);
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

/* --- a string, in pieces ----------------------------------------------------- */

/* What is read of a string: its bytes from `start` on, behind what of it was copied, as
   what has an escape is. */
struct json_text {
  struct reader r;
  const char *start;
  char *room; /* for copies, as large as all that was to be read when it was made */
  size_t copied;
  size_t size; /* of all of it, when it has ended */
};

/* The string begins where the reader is, behind a quotation mark. */
static void begin_text(struct json_text *t)
{
  t->start = t->r.at;
  t->copied = 0;
}

static void copy_plain(struct json_text *t)
{
  size_t n = (size_t)(t->r.at - t->start);

  memcpy(t->room + t->copied, t->start, n);
  t->copied += n;
  t->start = t->r.at;
}

/* Passes the quotation mark at its end. */
static int end_text(struct json_text *t)
{
  if(t->copied)
    copy_plain(t);
  t->size = t->copied ? t->copied : (size_t)(t->r.at - t->start);
  t->r.at++;
  return 1;
}

/* Passes an escape, which is where the reader is. */
static int pass_escape(struct json_text *t)
{
  char *end;

  if(!t->room && !(t->room = malloc((size_t)(t->r.end - t->start))))
    return 0;
  copy_plain(t);
  t->r.at++;
  end = unescape(&t->r, t->room + t->copied);
  if(!end)
    return 0;
  t->copied = (size_t)(end - t->room);
  t->start = t->r.at;
  return 1;
}

/* Reads on in `most` bytes: 1 when it has ended, 0 when there is more, -1 when it is
   none after all. */
static int read_text(struct json_text *t, size_t most)
{
  const char *end = t->r.end;
  const char *limit =
    (size_t)(end - t->r.at) > most ? t->r.at + most : end;

  while(t->r.at < limit) {
    int more;

    t->r.end = limit;
    more = pass_plain(&t->r);
    t->r.end = end;
    if(!more)
      break;
    if(*t->r.at == '"')
      return end_text(t);
    if(*t->r.at != '\\' || !pass_escape(t))
      return -1;
  }
  if(t->copied)
    copy_plain(t);
  return t->r.at < end ? 0 : -1;
}

static void push_string(lua_State *L, const struct json_text *t)
{
  lua_pushlstring(L, t->copied ? t->room : t->start, t->size);
}

/* --- a long pair, in pieces ------------------------------------------------- */

struct long_pair {
  struct json_text text;
  int64_t number;
};

struct long_pair *long_pair_new(const char *json, size_t size,
                                const struct pair_names *names)
{
  struct long_pair *p = calloc(1, sizeof *p);

  if(!p)
    return NULL;
  p->text.r.at = json;
  p->text.r.end = json + size;
  if(!begin_pair(&p->text.r, names, &p->number)) {
    free(p);
    return NULL;
  }
  begin_text(&p->text);
  return p;
}

void long_pair_free(struct long_pair *p)
{
  if(p)
    free(p->text.room);
  free(p);
}

int long_pair_read(struct long_pair *p, size_t most)
{
  int read = read_text(&p->text, most);

  if(read > 0 && !(accept(&p->text.r, '}') && !pass_blanks(&p->text.r)))
    return -1;
  return read;
}

int is_large(const struct long_pair *p)
{
  return p->text.size > LARGE;
}

void push_long_pair(lua_State *L, const struct long_pair *p)
{
  push_int(L, p->number);
  push_string(L, &p->text);
}

/* --- any value, in pieces ---------------------------------------------------- */

#define READER_TYPE "daytona.core.JsonReader"

#define MOST_DEPTH 1000
#define VALUE_COST 64 /* of a value, in bytes of a string */
#define NUMBER_SIZE 64

enum state { BEFORE_VALUE, IN_VALUE, BEFORE_NAME, IN_NAME, BEHIND_VALUE, OVER, BROKEN };

/* Its anchor holds what it reads from, what a null becomes, the value that it makes, a name
   that waits for its value, and behind these the tables that it is in. */
enum anchored { SOURCE = 1, A_NULL, WHOLE, WAITING, TABLES };

struct json_reader {
  struct json_text text;
  const struct transfer_box *transfer; /* that the text is of; NULL: of a string */
  enum state state;
  int fresh;                 /* nothing stands yet in the table it is in */
  int ready;                 /* a large string was read, and is to be made */
  int depth;                 /* of the tables it is in */
  int count[MOST_DEPTH + 1]; /* items of each that is a list; -1: an object */
};

/* The stack of all that follows: the reader, its anchor, the table that it is in, and a
   name. */
enum place { THIS = 1, ANCHOR, TABLE, NAME };

static int is_in_list(const struct json_reader *j)
{
  return j->depth && j->count[j->depth] >= 0;
}

/* Puts the value at the top where it belongs. */
static void put_value(lua_State *L, struct json_reader *j)
{
  if(!j->depth)
    lua_rawseti(L, ANCHOR, WHOLE);
  else if(is_in_list(j))
    lua_rawseti(L, TABLE, ++j->count[j->depth]);
  else {
    lua_pushvalue(L, NAME);
    lua_insert(L, -2);
    lua_rawset(L, TABLE);
  }
  j->state = j->depth ? BEHIND_VALUE : OVER;
}

/* Goes into a new table. */
static int open_table(lua_State *L, struct json_reader *j, int count)
{
  if(j->depth == MOST_DEPTH)
    return 0;
  lua_newtable(L);
  lua_pushvalue(L, -1);
  put_value(L, j);
  lua_pushvalue(L, -1);
  lua_rawseti(L, ANCHOR, TABLES + j->depth);
  lua_replace(L, TABLE);
  j->count[++j->depth] = count;
  j->fresh = 1;
  j->state = count < 0 ? BEFORE_NAME : BEFORE_VALUE;
  return 1;
}

/* Leaves the table it is in. */
static int close_table(lua_State *L, struct json_reader *j)
{
  lua_pushnil(L);
  lua_rawseti(L, ANCHOR, TABLES + --j->depth);
  if(j->depth)
    lua_rawgeti(L, ANCHOR, TABLES + j->depth - 1);
  else
    lua_pushnil(L);
  lua_replace(L, TABLE);
  j->fresh = 0;
  j->state = j->depth ? BEHIND_VALUE : OVER;
  return 1;
}

static int pass_word(struct reader *r, const char *word)
{
  size_t size = strlen(word);

  if((size_t)(r->end - r->at) < size || memcmp(r->at, word, size))
    return 0;
  r->at += size;
  return 1;
}

/* Passes digits. How many. */
static ptrdiff_t pass_digits(struct reader *r)
{
  const char *start = r->at;

  while(r->at < r->end && *r->at >= '0' && *r->at <= '9')
    r->at++;
  return r->at - start;
}

/* Passes a character of a set, if one is there. */
static int pass_one(struct reader *r, const char *set)
{
  if(r->at == r->end || !*r->at || !strchr(set, *r->at))
    return 0;
  r->at++;
  return 1;
}

/* Passes a number as JSON has it. Whether it is one. */
static int pass_number(struct reader *r)
{
  pass_one(r, "-");
  if(!pass_one(r, "0") && !pass_digits(r))
    return 0;
  if(pass_one(r, ".") && !pass_digits(r))
    return 0;
  if(!pass_one(r, "eE"))
    return 1;
  pass_one(r, "+-");
  return pass_digits(r) > 0;
}

static int take_number(lua_State *L, struct json_reader *j)
{
  const char *start = j->text.r.at;
  size_t size;
  lua_Number number;

  if(!pass_number(&j->text.r))
    return 0;
  size = (size_t)(j->text.r.at - start);
  if(size > NUMBER_SIZE)
    return 0;
  lua_pushlstring(L, start, size);
  if(!lua_isnumber(L, -1)) /* where another sign than a point is expected */
    return 0;
  number = lua_tonumber(L, -1);
  lua_pop(L, 1);
  if(number - number != 0)
    return 0;
  lua_pushnumber(L, number);
  (void)make_integer(L);
  put_value(L, j);
  return 1;
}

/* A null keeps its place in a list only. */
static int take_null(lua_State *L, struct json_reader *j)
{
  if(!pass_word(&j->text.r, "null"))
    return 0;
  if(j->depth && !is_in_list(j))
    lua_pushnil(L);
  else
    lua_rawgeti(L, ANCHOR, A_NULL);
  put_value(L, j);
  return 1;
}

static int take_boolean(lua_State *L, struct json_reader *j, const char *word)
{
  if(!pass_word(&j->text.r, word))
    return 0;
  lua_pushboolean(L, *word == 't');
  put_value(L, j);
  return 1;
}

static int begin_string(struct json_reader *j, enum state state)
{
  j->text.r.at++;
  begin_text(&j->text);
  j->state = state;
  return 1;
}

/* Passes the sign that ends the table it is in, where that may end here. */
static int at_end(struct json_reader *j, char sign)
{
  if(*j->text.r.at != sign)
    return 0;
  j->text.r.at++;
  return 1;
}

static int begin_value(lua_State *L, struct json_reader *j)
{
  if(j->fresh && is_in_list(j) && at_end(j, ']'))
    return close_table(L, j);
  j->fresh = 0;
  switch(*j->text.r.at) {
  case '"':
    return begin_string(j, IN_VALUE);
  case '{':
    j->text.r.at++;
    return open_table(L, j, -1);
  case '[':
    j->text.r.at++;
    return open_table(L, j, 0);
  case 'n':
    return take_null(L, j);
  case 't':
    return take_boolean(L, j, "true");
  case 'f':
    return take_boolean(L, j, "false");
  default:
    return take_number(L, j);
  }
}

static int begin_name(lua_State *L, struct json_reader *j)
{
  if(j->fresh && at_end(j, '}'))
    return close_table(L, j);
  j->fresh = 0;
  return *j->text.r.at == '"' && begin_string(j, IN_NAME);
}

static int pass_value(lua_State *L, struct json_reader *j)
{
  int list = is_in_list(j);

  if(at_end(j, list ? ']' : '}'))
    return close_table(L, j);
  j->state = list ? BEFORE_VALUE : BEFORE_NAME;
  return at_end(j, ',');
}

/* Reads on in a string, as read_text. Before a large one is made there is more. */
static int read_string(lua_State *L, struct json_reader *j, size_t most)
{
  int read = j->ready ? 1 : read_text(&j->text, most);

  if(read <= 0)
    return read;
  j->ready = !j->ready && j->text.size > LARGE;
  if(j->ready)
    return 0;
  push_string(L, &j->text);
  if(j->state == IN_VALUE) {
    put_value(L, j);
    return 1;
  }
  lua_replace(L, NAME);
  j->state = BEFORE_VALUE;
  return accept(&j->text.r, ':') ? 1 : -1;
}

/* One step on. Whether it is JSON. */
static int step(lua_State *L, struct json_reader *j)
{
  if(!pass_blanks(&j->text.r))
    return 0;
  if(j->state == BEFORE_VALUE)
    return begin_value(L, j);
  if(j->state == BEFORE_NAME)
    return begin_name(L, j);
  return pass_value(L, j);
}

/* Reads what costs as much as `most` bytes of a string: 1 when all is read, 0 when there is
   more, -1 when it is not JSON, or such as is left to others. */
static int read_value(lua_State *L, struct json_reader *j, size_t most)
{
  const char *start = j->text.r.at;
  size_t made = 0, spent = 0;

  while(j->state != OVER) {
    if(spent >= most)
      return 0;
    if(j->state == IN_VALUE || j->state == IN_NAME) {
      int read = read_string(L, j, most - spent);

      if(read <= 0)
        return read;
      made += j->text.size;
    } else if(!step(L, j))
      return -1;
    made += VALUE_COST;
    spent = made + (size_t)(j->text.r.at - start);
  }
  return pass_blanks(&j->text.r) ? -1 : 1;
}

/* Reader:read(most): true and the value; false when there is more, and whether a large
   string is next; nil when it is not JSON. */
static int reader_read(lua_State *L)
{
  struct json_reader *j = luaL_checkudata(L, THIS, READER_TYPE);
  lua_Number most = luaL_checknumber(L, 2);
  int read;

  luaL_argcheck(L, most >= 1 && most <= 1e9, 2, "out of range");
  lua_settop(L, 1);
  if(j->state == BROKEN || (j->transfer && !j->transfer->impl))
    return 0;
  compat_getanchor(L, THIS);
  lua_pushnil(L);
  if(j->depth) {
    lua_rawgeti(L, ANCHOR, TABLES + j->depth - 1);
    lua_replace(L, TABLE);
  }
  lua_rawgeti(L, ANCHOR, WAITING);
  luaL_checkstack(L, 8, "no room");
  read = read_value(L, j, (size_t)most);
  if(read < 0) {
    j->state = BROKEN;
    return 0;
  }
  lua_pushboolean(L, read);
  if(read) {
    lua_rawgeti(L, ANCHOR, WHOLE);
    return 2;
  }
  lua_pushvalue(L, NAME);
  lua_rawseti(L, ANCHOR, WAITING);
  lua_pushboolean(L, j->ready);
  return 2;
}

static int reader_gc(lua_State *L)
{
  struct json_reader *j = luaL_checkudata(L, 1, READER_TYPE);

  free(j->text.room);
  memset(j, 0, sizeof *j);
  j->state = OVER;
  return 0;
}

/* Where the text of argument 1 is; NULL when a transfer has none. */
static const char *source_of(lua_State *L, struct transfer_box **box,
                             size_t *size)
{
  struct dt_result r;

  *box = NULL;
  if(lua_type(L, 1) == LUA_TSTRING)
    return lua_tolstring(L, 1, size);
  *box = luaL_checkudata(L, 1, TRANSFER_TYPE);
  if(!(*box)->impl)
    return NULL;
  dt_transfer_result((*box)->impl, &r);
  *size = r.body_size;
  return r.done && !r.code ? r.body : NULL;
}

/* core.json_reader(source, null) */
static int core_json_reader(lua_State *L)
{
  struct transfer_box *box;
  struct json_reader *j;
  const char *text;
  size_t size;

  lua_settop(L, 2);
  text = source_of(L, &box, &size);
  if(!text)
    return 0;
  j = new_object(L, sizeof *j, READER_TYPE);
  j->text.r.at = text;
  j->text.r.end = text + size;
  j->transfer = box;
  lua_createtable(L, TABLES + 4, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, SOURCE);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, A_NULL);
  compat_setanchor(L, -2);
  return 1;
}

static const luaL_Reg functions[] = {
  { "json_pair", core_json_pair },
  { "json_reader", core_json_reader },
  { NULL, NULL }
};

static const luaL_Reg reader_methods[] = {
  { "read", reader_read },
  { NULL, NULL }
};

static const luaL_Reg reader_meta[] = {
  { "__gc", reader_gc },
  { NULL, NULL }
};

void open_json_read(lua_State *L)
{
  new_type(L, READER_TYPE, reader_methods, reader_meta);
  set_functions(L, functions);
}
