/*
 * lua_stream.c - the userdata `daytona.core.Demux` and
 * `daytona.core.Multipart`: bytes that are taken apart while they arrive.
 *
 * Both fill a table of the caller's, which may be used again and again, so that
 * only the strings themselves are garbage.
 */
#include <stdlib.h>
#include <string.h>

#include "core/demux.h"
#include "core/multipart_reader.h"
#include "lua_binding.h"

#define DEMUX_TYPE "daytona.core.Demux"
#define MULTIPART_TYPE "daytona.core.Multipart"

/* --- logs ----------------------------------------------------------------- */

/* What is gathered of a text. */
struct gathered {
  char *data;
  size_t size;
};

struct demux_box {
  struct dt_demux demux;
  char *run;   /* neighbouring spans of one stream, to become one string */
  size_t room;
  struct gathered all[DT_STREAM_STDERR + 1]; /* by stream; at 0 of both */
  size_t whole, next; /* the size of the text, and where to go on in it */
};

/* Makes `run` as large as what one chunk may hold, with what was held back. */
static void reserve_run(lua_State *L, struct demux_box *box, size_t size)
{
  char *run;

  if(size + 2 <= box->room)
    return;
  run = realloc(box->run, size + 2);
  if(!run)
    luaL_error(L, "not enough memory");
  box->run = run;
  box->room = size + 2;
}

/* Adds a stream's number and bytes to the table at index 3, which has n values;
   the new n. */
static int add_run(lua_State *L, int n, enum dt_stream stream,
                   const char *data, size_t size)
{
  lua_pushinteger(L, (lua_Integer)stream);
  lua_rawseti(L, 3, ++n);
  lua_pushlstring(L, data, size);
  lua_rawseti(L, 3, ++n);
  return n;
}

/* Takes all spans into the table at index 3; how many values that made. */
static int take_spans(lua_State *L, struct demux_box *box)
{
  enum dt_stream stream, now = DT_STREAM_NONE;
  const char *data;
  size_t size, length = 0;
  int n = 0;

  while(dt_demux_next(&box->demux, &stream, &data, &size)) {
    if(length && stream != now) {
      n = add_run(L, n, now, box->run, length);
      length = 0;
    }
    now = stream;
    memcpy(box->run + length, data, size);
    length += size;
  }
  if(length)
    n = add_run(L, n, now, box->run, length);
  return n;
}

/* feed(chunk, into) */
static int demux_feed(lua_State *L)
{
  struct demux_box *box = luaL_checkudata(L, 1, DEMUX_TYPE);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);

  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  reserve_run(L, box, size);
  dt_demux_feed(&box->demux, data, size);
  lua_pushinteger(L, take_spans(L, box));
  return 1;
}

/* finish(into) */
static int demux_finish(lua_State *L)
{
  struct demux_box *box = luaL_checkudata(L, 1, DEMUX_TYPE);

  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushvalue(L, 2); /* where take_spans wants it */
  reserve_run(L, box, 0);
  dt_demux_finish(&box->demux);
  lua_pushinteger(L, take_spans(L, box));
  return 1;
}

/* Makes room for all of a text in each, once; and for what `feed` may have held back. */
static void reserve_gathered(lua_State *L, struct demux_box *box, size_t size)
{
  int i;

  luaL_argcheck(L, !box->all[0].data || box->whole == size, 2, "another text");
  box->whole = size;
  for(i = 0; i <= DT_STREAM_STDERR; i++) {
    if(!box->all[i].data && !(box->all[i].data = malloc(size + 2)))
      luaL_error(L, "not enough memory");
  }
}

static void add_gathered(struct gathered *g, const char *data, size_t size)
{
  memcpy(g->data + g->size, data, size);
  g->size += size;
}

/* gather(text, most): feeds as much of a text, the same each time, and keeps what it holds.
   Whether that was the end of it. */
static int demux_gather(lua_State *L)
{
  struct demux_box *box = luaL_checkudata(L, 1, DEMUX_TYPE);
  size_t size, n;
  const char *text = luaL_checklstring(L, 2, &size), *data;
  lua_Number most = luaL_checknumber(L, 3);
  enum dt_stream stream;

  luaL_argcheck(L, most >= 1 && most <= 1e9, 3, "out of range");
  reserve_gathered(L, box, size);
  n = size - box->next;
  if(n > (size_t)most)
    n = (size_t)most;
  dt_demux_feed(&box->demux, text + box->next, n);
  box->next += n;
  if(box->next == size)
    dt_demux_finish(&box->demux);
  while(dt_demux_next(&box->demux, &stream, &data, &n)) {
    add_gathered(&box->all[0], data, n);
    add_gathered(&box->all[stream == DT_STREAM_STDERR ? stream : DT_STREAM_STDOUT],
                 data, n);
  }
  lua_pushboolean(L, box->next == size);
  return 1;
}

/* gathered(stream): what was gathered of a stream, 0: of both. */
static int demux_gathered(lua_State *L)
{
  struct demux_box *box = luaL_checkudata(L, 1, DEMUX_TYPE);
  lua_Integer i = luaL_checkinteger(L, 2);

  luaL_argcheck(L, i >= 0 && i <= DT_STREAM_STDERR, 2, "no stream");
  lua_pushlstring(L, box->all[i].data ? box->all[i].data : "",
                  box->all[i].size);
  return 1;
}

static int demux_gc(lua_State *L)
{
  struct demux_box *box = luaL_checkudata(L, 1, DEMUX_TYPE);
  int i;

  for(i = 0; i <= DT_STREAM_STDERR; i++) {
    free(box->all[i].data);
    memset(&box->all[i], 0, sizeof box->all[i]);
  }
  free(box->run);
  box->run = NULL;
  box->room = 0;
  return 0;
}

static int demux_tostring(lua_State *L)
{
  return push_name(L, DEMUX_TYPE, luaL_checkudata(L, 1, DEMUX_TYPE));
}

/* demux(keep_unlabelled) */
static int core_demux(lua_State *L)
{
  int keep = lua_toboolean(L, 1);
  struct demux_box *box = new_object(L, sizeof *box, DEMUX_TYPE);

  dt_demux_init(&box->demux, keep);
  return 1;
}

/* --- multipart bodies ----------------------------------------------------- */

struct multipart_box {
  struct dt_multipart *impl;
};

static struct dt_multipart *check_multipart(lua_State *L)
{
  struct multipart_box *box = luaL_checkudata(L, 1, MULTIPART_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a closed multipart reader");
  return box->impl;
}

static void set_text(lua_State *L, const char *key, const char *s, size_t size)
{
  if(!s)
    return;
  lua_pushlstring(L, s, size);
  lua_setfield(L, -2, key);
}

/* Pushes what a part's headers say. */
static void push_part(lua_State *L, const struct dt_multipart_event *e)
{
  lua_createtable(L, 0, 4);
  set_text(L, "name", e->name, e->name_size);
  set_text(L, "filename", e->filename, e->filename_size);
  set_text(L, "type", e->type, e->type_size);
  if(e->length >= 0) {
    push_int(L, e->length);
    lua_setfield(L, -2, "length");
  }
}

/* Adds what happened and its value to the table at index 3, which has n
   values; the new n. */
static int add_event(lua_State *L, int n, int what,
                     const struct dt_multipart_event *e)
{
  static const char *const names[] = { "", "part", "data", "part_end", "end" };

  lua_pushstring(L, names[what]);
  lua_rawseti(L, 3, ++n);
  if(what == DT_MULTIPART_PART)
    push_part(L, e);
  else if(what == DT_MULTIPART_DATA)
    lua_pushlstring(L, e->data, e->size);
  else
    lua_pushboolean(L, what == DT_MULTIPART_END || e->as_announced);
  lua_rawseti(L, 3, ++n);
  return n;
}

static int push_code(lua_State *L, const struct dt_multipart *m, int code)
{
  const char *message = dt_multipart_message(m);

  lua_pushstring(L, dt_code_name(code));
  lua_pushstring(L, *message ? message
                             : "the body ended before its closing boundary");
  return 2;
}

/* feed(chunk, into) */
static int multipart_feed(lua_State *L)
{
  struct dt_multipart *m = check_multipart(L);
  struct dt_multipart_event e;
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  int what, n = 0;

  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  dt_multipart_feed(m, data, size);
  for(;;) {
    what = dt_multipart_next(m, &e);
    if(what <= DT_MULTIPART_MORE)
      break;
    n = add_event(L, n, what, &e);
  }
  lua_pushinteger(L, n);
  return what < 0 ? 1 + push_code(L, m, what) : 1;
}

static int multipart_finish(lua_State *L)
{
  struct dt_multipart *m = check_multipart(L);
  int code = dt_multipart_finish(m);

  if(!code) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  return 1 + push_code(L, m, code);
}

static int multipart_close(lua_State *L) /* close(), __gc and __close */
{
  struct multipart_box *box = luaL_checkudata(L, 1, MULTIPART_TYPE);

  dt_multipart_free(box->impl);
  box->impl = NULL;
  return 0;
}

static int multipart_tostring(lua_State *L)
{
  struct multipart_box *box = luaL_checkudata(L, 1, MULTIPART_TYPE);

  return push_name(L, MULTIPART_TYPE, box->impl);
}

/* multipart(content_type) */
static int core_multipart(lua_State *L)
{
  size_t size;
  const char *type = luaL_checklstring(L, 1, &size);
  struct multipart_box *box = new_object(L, sizeof *box, MULTIPART_TYPE);
  int code = dt_multipart_new(&box->impl, type, size);

  if(code == DT_NOMEM)
    return luaL_error(L, "not enough memory");
  if(!code)
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, dt_code_name(code));
  lua_pushliteral(L, "not a multipart body, or without a usable boundary");
  return 3;
}

/* --- registration --------------------------------------------------------- */

static const luaL_Reg demux_methods[] = {
  { "feed", demux_feed },
  { "finish", demux_finish },
  { "gather", demux_gather },
  { "gathered", demux_gathered },
  { NULL, NULL }
};

static const luaL_Reg demux_meta[] = {
  { "__gc", demux_gc },
  { "__tostring", demux_tostring },
  { NULL, NULL }
};

static const luaL_Reg multipart_methods[] = {
  { "close", multipart_close },
  { "feed", multipart_feed },
  { "finish", multipart_finish },
  { NULL, NULL }
};

static const luaL_Reg multipart_meta[] = {
  { "__gc", multipart_close },
  { "__close", multipart_close },
  { "__tostring", multipart_tostring },
  { NULL, NULL }
};

static const luaL_Reg functions[] = {
  { "demux", core_demux },
  { "multipart", core_multipart },
  { NULL, NULL }
};

void open_stream(lua_State *L)
{
  new_type(L, DEMUX_TYPE, demux_methods, demux_meta);
  new_type(L, MULTIPART_TYPE, multipart_methods, multipart_meta);
  set_functions(L, functions);
}
