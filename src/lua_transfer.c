/*
 * lua_transfer.c - the userdata `daytona.core.Transfer`: from a request table
 * to a running transfer, and from its results back to Lua values.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lua_binding.h"

/* --- the request ----------------------------------------------------------- */

/* Where a request is being put together. */
struct builder {
  lua_State *L;
  struct transfer_box *box; /* takes the descriptors */
  struct dt_request r;
  const char *refused;      /* culprit of a forbidden character, or NULL */
  const char *undone;       /* a file for which there is no descriptor left */
  int os_error;             /* then */
};

/* A string field that becomes a C string. */
static const char *text_field(struct builder *b, int t, const char *name)
{
  size_t size;
  const char *s = string_field(b->L, t, name, &size);

  if(s && strlen(s) != size)
    b->refused = name;
  return s;
}

/* The io handle at index i, or NULL when it is something else. */
static FILE **to_file(lua_State *L, int i)
{
  FILE **handle = lua_touserdata(L, i);

  if(!handle || !lua_getmetatable(L, i))
    return NULL;
  luaL_getmetatable(L, LUA_FILEHANDLE);
  if(!lua_rawequal(L, -1, -2))
    handle = NULL;
  lua_pop(L, 2);
  return handle;
}

/* There is none left for a duplicate: noted, the request will not be sent. The
   original stands for it until then. */
static int no_descriptor(struct builder *b, const char *name, int original)
{
  b->undone = name;
  b->os_error = errno;
  return original;
}

/* The descriptor behind the Lua file in field `name` of the table at t, as a
   duplicate owned by the box; -1 when there is none. What the file has
   buffered is written, or given back, first. */
static int file_field(struct builder *b, int t, const char *name)
{
  lua_State *L = b->L;
  FILE **handle;
  int fd;

  lua_pushstring(L, name);
  lua_rawget(L, t);
  if(lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return -1;
  }
  handle = to_file(L, -1);
  if(!handle)
    luaL_error(L, "bad field '%s' (file expected, got %s)", name,
               luaL_typename(L, -1));
  if(compat_isclosed(handle))
    luaL_error(L, "bad field '%s' (a closed file)", name);
  lua_pop(L, 1);
  fflush(*handle);
  fd = fcntl(fileno(*handle), F_DUPFD_CLOEXEC, 0);
  if(fd < 0)
    return no_descriptor(b, name, fileno(*handle));
  b->box->fds[b->box->nfds++] = fd;
  return fd;
}

static void set_kind(struct builder *b, enum dt_body_kind *kind,
                     enum dt_body_kind value)
{
  if(*kind != DT_BODY_NONE)
    luaL_error(b->L, "more than one body in a request or part");
  *kind = value;
}

/* A part: the table on top of the stack. */
static void read_part(struct builder *b, struct dt_part *p)
{
  lua_State *L = b->L;
  int t = lua_gettop(L);

  if(!lua_istable(L, t))
    luaL_error(L, "bad field 'parts' (list of tables expected)");
  p->fd = -1;
  p->name = text_field(b, t, "name");
  if(!p->name)
    luaL_error(L, "bad field 'parts' (a part without name)");
  p->filename = text_field(b, t, "filename");
  p->type = text_field(b, t, "type");
  p->length = count_field(L, t, "length", -1);
  p->data = string_field(L, t, "data", &p->size);
  if(p->data)
    set_kind(b, &p->kind, DT_BODY_MEMORY);
  p->fd = file_field(b, t, "file");
  if(p->fd >= 0)
    set_kind(b, &p->kind, DT_BODY_FD);
  if(flag_field(L, t, "queue"))
    set_kind(b, &p->kind, DT_BODY_QUEUE);
  if(p->kind == DT_BODY_NONE)
    luaL_error(L, "part '%s' has no content", p->name);
}

/* The parts, in a userdata that stays on the stack. */
static void read_parts(struct builder *b, int t)
{
  lua_State *L = b->L;
  int i, count = list_field(L, t, "parts");
  struct dt_part *parts;

  if(count < 0)
    return;
  set_kind(b, &b->r.body, DT_BODY_MULTIPART);
  parts = lua_newuserdata(L, ((size_t)count + 1) * sizeof *parts);
  memset(parts, 0, ((size_t)count + 1) * sizeof *parts);
  for(i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    read_part(b, &parts[i]);
    lua_pop(L, 1);
  }
  b->r.parts = parts;
  b->r.nparts = (size_t)count;
}

static void read_body(struct builder *b, int t)
{
  struct dt_request *r = &b->r;

  r->data = string_field(b->L, t, "body", &r->size);
  if(r->data)
    set_kind(b, &r->body, DT_BODY_MEMORY);
  r->fd = file_field(b, t, "body_file");
  if(r->fd >= 0)
    set_kind(b, &r->body, DT_BODY_FD);
  if(flag_field(b->L, t, "body_queue"))
    set_kind(b, &r->body, DT_BODY_QUEUE);
  r->length = -1;
  if(r->body == DT_BODY_FD || r->body == DT_BODY_QUEUE)
    r->length = count_field(b->L, t, "body_length", -1);
  read_parts(b, t);
}

static void read_sink(struct builder *b, int t)
{
  struct dt_request *r = &b->r;

  r->sink_fd = file_field(b, t, "sink_file");
  if(r->sink_fd >= 0)
    r->sink = DT_SINK_FD;
  if(flag_field(b->L, t, "sink_queue")) {
    if(r->sink == DT_SINK_FD)
      luaL_error(b->L, "more than one sink in a request");
    r->sink = DT_SINK_QUEUE;
  }
  r->max_bytes = (uint64_t)count_field(b->L, t, "max_bytes", 0);
}

static void read_limits(struct builder *b, int t)
{
  b->r.connect_timeout = seconds_field(b->L, t, "connect_timeout");
  b->r.timeout = seconds_field(b->L, t, "timeout");
  b->r.idle_timeout = seconds_field(b->L, t, "idle_timeout");
  b->r.progress = flag_field(b->L, t, "progress");
  b->r.timing = flag_field(b->L, t, "timing");
}

/* The profile's impl; the transfer will hold a reference of its own. */
static void read_profile(struct builder *b, int t)
{
  lua_State *L = b->L;

  lua_pushliteral(L, "profile");
  lua_rawget(L, t);
  if(!lua_isnil(L, -1))
    b->r.profile = check_profile(L, -1);
  lua_pop(L, 1);
}

static void read_signature(struct builder *b, int t)
{
  b->r.sigv4 = text_field(b, t, "sigv4");
  b->r.user = text_field(b, t, "user");
  b->r.password = text_field(b, t, "password");
}

/* How many files the request at t may bring: one in its body and one in its
   sink, or one a part. */
static int count_files(lua_State *L, int t)
{
  int parts = list_field(L, t, "parts");

  if(parts < 0)
    return 2;
  lua_pop(L, 1);
  return parts + 2;
}

void close_transfer(struct transfer_box *box)
{
  struct dt_transfer *t = box->impl;

  box->impl = NULL;
  long_pair_free(box->pair);
  box->pair = NULL;
  box->pair_ready = 0;
  dt_transfer_free(t);
  while(box->nfds > 0)
    close(box->fds[--box->nfds]);
}

struct transfer_box *push_transfer(lua_State *L, int engine, int nfds)
{
  struct transfer_box *box;

  box = new_object(L, sizeof *box + (size_t)nfds * sizeof box->fds[0],
                   TRANSFER_TYPE);
  compat_getanchor(L, engine);
  compat_setanchor(L, -2);
  return box;
}

/* Reads the table at 2; `headers` has room for n pointers. */
static void read_request(struct builder *b, const char **headers, int n)
{
  int bad = 0;

  b->r.method = text_field(b, 2, "method");
  b->r.url = text_field(b, 2, "url");
  if(!b->r.url)
    luaL_error(b->L, "bad field 'url' (string expected, got nil)");
  b->r.headers = strings_field(b->L, 2, "headers", headers, n, &bad);
  if(bad)
    b->refused = "header";
  read_profile(b, 2);
  read_signature(b, 2);
  read_body(b, 2);
  read_sink(b, 2);
  read_limits(b, 2);
}

/* Pushes nil, what was refused and, where that is a file, the system's error. */
static int push_refusal(struct builder *b, int rc)
{
  close_transfer(b->box);
  if(rc == DT_NOMEM)
    return luaL_error(b->L, "not enough memory");
  lua_pushnil(b->L);
  if(b->undone) {
    lua_pushfstring(b->L, "%s: %s", b->undone, strerror(b->os_error));
    lua_pushinteger(b->L, b->os_error);
    return 3;
  }
  lua_pushstring(b->L, rc == DT_BAD_ARGUMENT && b->refused
                         ? b->refused
                         : dt_code_name(rc));
  return 2;
}

/* Engine:start{...} */
int transfer_start(lua_State *L)
{
  struct dt_engine *e = check_engine(L, 1);
  struct builder b;
  const char *headers[32];
  int rc = DT_BAD_ARGUMENT;

  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  memset(&b, 0, sizeof b);
  b.L = L;
  b.box = push_transfer(L, 1, count_files(L, 2));
  read_request(&b, headers, 32);
  if(!b.refused && !b.undone)
    rc = dt_transfer_start(e, &b.r, &b.box->impl, &b.refused);
  if(rc)
    return push_refusal(&b, rc);
  lua_pushvalue(L, 3);
  push_int(L, (int64_t)dt_transfer_id(b.box->impl));
  return 2;
}

/* --- results --------------------------------------------------------------- */

static struct dt_transfer *check_transfer(lua_State *L)
{
  struct transfer_box *box = luaL_checkudata(L, 1, TRANSFER_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a closed transfer");
  return box->impl;
}

static int transfer_id(lua_State *L)
{
  push_int(L, (int64_t)dt_transfer_id(check_transfer(L)));
  return 1;
}

#define START 200 /* of a long body */

/* result(most): of a good answer that is longer, the status, nil and its start. */
static int transfer_result(lua_State *L)
{
  struct dt_result r;
  lua_Number most = luaL_optnumber(L, 2, 0);

  dt_transfer_result(check_transfer(L), &r);
  if(!r.done) {
    lua_pushnil(L);
    return 1;
  }
  if(r.code == DT_OK) {
    lua_pushinteger(L, (lua_Integer)r.status);
    if(most > 0 && r.status / 100 == 2 && (lua_Number)r.body_size > most) {
      lua_pushnil(L);
      lua_pushlstring(L, r.body, r.body_size < START ? r.body_size : START);
      return 3;
    }
    lua_pushlstring(L, r.body ? r.body : "", r.body_size);
    return 2;
  }
  lua_pushnil(L);
  lua_pushstring(L, dt_code_name(r.code));
  lua_pushstring(L, r.message ? r.message : "");
  lua_pushinteger(L, r.os_error);
  return 4;
}

static int transfer_status(lua_State *L)
{
  struct dt_result r;

  dt_transfer_result(check_transfer(L), &r);
  if(r.status)
    lua_pushinteger(L, (lua_Integer)r.status);
  else
    lua_pushnil(L);
  return 1;
}

static int transfer_header(lua_State *L)
{
  struct dt_result r;

  dt_transfer_result(check_transfer(L), &r);
  return push_header(L, r.header_block, r.header_size);
}

static int transfer_headers(lua_State *L)
{
  struct dt_result r;

  dt_transfer_result(check_transfer(L), &r);
  return push_headers(L, r.header_block, r.header_size);
}

static void push_total(lua_State *L, int64_t total)
{
  if(total < 0)
    lua_pushnil(L);
  else
    push_int(L, total);
}

static int transfer_progress(lua_State *L)
{
  struct dt_result r;

  dt_transfer_result(check_transfer(L), &r);
  push_int(L, (int64_t)r.received);
  push_total(L, r.received_total);
  push_int(L, (int64_t)r.sent);
  push_total(L, r.sent_total);
  return 4;
}

static int transfer_trace(lua_State *L)
{
  struct dt_result r;

  dt_transfer_result(check_transfer(L), &r);
  lua_pushboolean(L, r.request_sent);
  lua_pushboolean(L, r.answer_started);
  lua_pushboolean(L, r.reused);
  lua_pushnumber(L, (lua_Number)r.seconds);
  return 4;
}

static int transfer_timing(lua_State *L)
{
  struct dt_timing timing;

  if(!dt_transfer_timing(check_transfer(L), &timing))
    return 0;
  lua_pushnumber(L, (lua_Number)timing.dns);
  lua_pushnumber(L, (lua_Number)timing.connect);
  lua_pushnumber(L, (lua_Number)timing.tls);
  lua_pushnumber(L, (lua_Number)timing.first_byte);
  lua_pushnumber(L, (lua_Number)timing.total);
  return 5;
}

/* --- streaming and ending -------------------------------------------------- */

static int push_errno(lua_State *L)
{
  int error = errno;

  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  lua_pushinteger(L, error);
  return 3;
}

static int transfer_read(lua_State *L)
{
  struct dt_transfer *t = check_transfer(L);
  struct dt_result r;
  const char *data;
  size_t size;
  int rc = dt_transfer_read(t, &data, &size);

  if(rc == 1) {
    dt_transfer_hold(t, 1);
    lua_pushlstring(L, data, size); /* raises without memory */
    dt_transfer_hold(t, 0);
    return 1;
  }
  if(rc == 2) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushnil(L);
  if(rc == 0)
    return 1;
  dt_transfer_result(t, &r);
  lua_pushstring(L, dt_code_name(rc));
  lua_pushstring(L, r.message ? r.message : "");
  return 3;
}

/* Waits until a descriptor that does not block takes something again, or a
   signal comes. */
static void wait_for_room(int fd)
{
  struct pollfd p;

  p.fd = fd;
  p.events = POLLOUT;
  (void)poll(&p, 1, -1);
}

/* Transfer:pour(file, from): writes what has arrived to the file's descriptor,
   after what Lua has buffered. Signals end it, as it may have to wait for whoever
   reads there. */
static int transfer_pour(lua_State *L)
{
  struct dt_transfer *t = check_transfer(L);
  FILE *file = check_open_file(L, 2);
  lua_Integer first = luaL_checkinteger(L, 3);
  size_t from, size;
  const char *data;
  ssize_t n;

  if(dt_transfer_read(t, &data, &size) != 1)
    return 0;
  dt_transfer_hold(t, 1);
  if(fflush(file))
    return push_errno(L);
  from = (size_t)first;
  luaL_argcheck(L, first >= 0 && from < size, 3, "beyond what has arrived");
  n = write(fileno(file), data + from, size - from);
  if(n < 0 && errno != EINTR && errno != EAGAIN)
    return push_errno(L);
  if(n < 0 && errno == EAGAIN)
    wait_for_room(fileno(file));
  from += n > 0 ? (size_t)n : 0;
  dt_transfer_hold(t, from < size);
  push_int(L, (int64_t)(from < size ? from : 0));
  return 1;
}

static int transfer_write(lua_State *L)
{
  struct dt_transfer *t = check_transfer(L);
  size_t size, taken = 0;
  const char *data = luaL_checklstring(L, 2, &size);
  int rc = dt_transfer_write(t, data, size, &taken);

  if(rc == DT_NOMEM)
    return luaL_error(L, "not enough memory");
  if(rc) {
    lua_pushnil(L);
    lua_pushstring(L, dt_code_name(rc));
    return 2;
  }
  lua_pushboolean(L, taken == size);
  return 1;
}

static int transfer_finish(lua_State *L)
{
  dt_transfer_finish(check_transfer(L));
  return 0;
}

static int transfer_cancel(lua_State *L)
{
  dt_transfer_cancel(check_transfer(L));
  return 0;
}

static int transfer_close(lua_State *L) /* close(), __gc and __close */
{
  struct transfer_box *box = luaL_checkudata(L, 1, TRANSFER_TYPE);

  close_transfer(box);
  return 0;
}

static int transfer_tostring(lua_State *L)
{
  struct transfer_box *box = luaL_checkudata(L, 1, TRANSFER_TYPE);

  if(!box->impl)
    return push_name(L, TRANSFER_TYPE, NULL);
  lua_pushfstring(L, "%s: %d", TRANSFER_TYPE, (int)dt_transfer_id(box->impl));
  return 1;
}

static const luaL_Reg methods[] = {
  { "cancel", transfer_cancel },
  { "close", transfer_close },
  { "finish", transfer_finish },
  { "header", transfer_header },
  { "headers", transfer_headers },
  { "id", transfer_id },
  { "pour", transfer_pour },
  { "progress", transfer_progress },
  { "read", transfer_read },
  { "result", transfer_result },
  { "status", transfer_status },
  { "trace", transfer_trace },
  { "timing", transfer_timing },
  { "write", transfer_write },
  { NULL, NULL }
};

static const luaL_Reg meta[] = {
  { "__gc", transfer_close },
  { "__close", transfer_close },
  { "__tostring", transfer_tostring },
  { NULL, NULL }
};

void open_transfer(lua_State *L)
{
  new_type(L, TRANSFER_TYPE, methods, meta);
}
