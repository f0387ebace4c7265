/*
 * lua_pack.c - gzip streams for Lua, by zlib: the userdata `daytona.core.Packer`, and
 * `daytona.core.Unpacker`, which takes one apart.
 */
#define ZLIB_CONST
#include <string.h>
#include <zlib.h>

#include "core/inflate.h"
#include "lua_binding.h"

#define PACKER_TYPE   "daytona.core.Packer"
#define UNPACKER_TYPE "daytona.core.Unpacker"

struct packer_box {
  z_stream *impl; /* &z, or NULL: closed */
  z_stream z;
  int level;
};

static int packer_close(lua_State *L) /* __gc and __close */
{
  struct packer_box *box = luaL_checkudata(L, 1, PACKER_TYPE);

  if(box->impl)
    (void)deflateEnd(box->impl);
  box->impl = NULL;
  return 0;
}

static int packer_tostring(lua_State *L)
{
  struct packer_box *box = luaL_checkudata(L, 1, PACKER_TYPE);

  return push_name(L, PACKER_TYPE, box->impl);
}

static struct packer_box *check_packer(lua_State *L)
{
  struct packer_box *box = luaL_checkudata(L, 1, PACKER_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a finished packer");
  return box;
}

static int check_level(lua_State *L, int i)
{
  lua_Integer level = luaL_checkinteger(L, i);

  luaL_argcheck(L, level >= 0 && level <= 9, i, "a level is 0 to 9");
  return (int)level;
}

/* packer(level) */
static int core_packer(lua_State *L)
{
  int level = check_level(L, 1);
  struct packer_box *box = new_object(L, sizeof *box, PACKER_TYPE);

  if(deflateInit2(&box->z, level, Z_DEFLATED, MAX_WBITS + 16, 8,
                  Z_DEFAULT_STRATEGY) != Z_OK)
    return luaL_error(L, "not enough memory");
  box->impl = &box->z;
  box->level = level;
  return 1;
}

/* Adds to the buffer what `step` makes of the input, until there is no more. */
static void drain(struct packer_box *box, luaL_Buffer *b, int flush, int level)
{
  z_stream *z = box->impl;
  int rc;

  do {
    char *at = luaL_prepbuffer(b);

    z->next_out = (Bytef *)at;
    z->avail_out = LUAL_BUFFERSIZE;
    rc = level == box->level ? deflate(z, flush)
                             : deflateParams(z, level, Z_DEFAULT_STRATEGY);
    luaL_addsize(b, LUAL_BUFFERSIZE - z->avail_out);
    if(level != box->level && rc == Z_OK)
      break;
  } while(flush == Z_FINISH ? rc != Z_STREAM_END : !z->avail_out);
}

/* write(data, level): what there is of the stream by now, maybe nothing */
static int packer_write(lua_State *L)
{
  struct packer_box *box = check_packer(L);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  int level = lua_isnoneornil(L, 3) ? box->level : check_level(L, 3);
  luaL_Buffer b;

  luaL_buffinit(L, &b);
  box->z.next_in = (const Bytef *)data;
  box->z.avail_in = 0;
  if(level != box->level) {
    drain(box, &b, Z_NO_FLUSH, level);
    box->level = level;
  }
  box->z.next_in = (const Bytef *)data;
  box->z.avail_in = (uInt)size;
  drain(box, &b, Z_NO_FLUSH, level);
  luaL_pushresult(&b);
  return 1;
}

/* finish(): the rest of the stream */
static int packer_finish(lua_State *L)
{
  struct packer_box *box = check_packer(L);
  luaL_Buffer b;

  luaL_buffinit(L, &b);
  box->z.avail_in = 0;
  drain(box, &b, Z_FINISH, box->level);
  luaL_pushresult(&b);
  return packer_close(L), 1;
}

static const luaL_Reg packer_methods[] = {
  { "finish", packer_finish },
  { "write", packer_write },
  { NULL, NULL }
};

static const luaL_Reg packer_meta[] = {
  { "__gc", packer_close },
  { "__close", packer_close },
  { "__tostring", packer_tostring },
  { NULL, NULL }
};

struct unpacker_box {
  struct dt_inflate *impl; /* NULL: closed */
};

static int unpacker_close(lua_State *L) /* __gc and __close */
{
  struct unpacker_box *box = luaL_checkudata(L, 1, UNPACKER_TYPE);

  dt_inflate_free(box->impl);
  box->impl = NULL;
  return 0;
}

static int unpacker_tostring(lua_State *L)
{
  struct unpacker_box *box = luaL_checkudata(L, 1, UNPACKER_TYPE);

  return push_name(L, UNPACKER_TYPE, box->impl);
}

/* unpacker() */
static int core_unpacker(lua_State *L)
{
  struct unpacker_box *box = new_object(L, sizeof *box, UNPACKER_TYPE);

  box->impl = dt_inflate_new();
  return box->impl ? 1 : luaL_error(L, "not enough memory");
}

static struct unpacker_box *check_unpacker(lua_State *L)
{
  struct unpacker_box *box = luaL_checkudata(L, 1, UNPACKER_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a closed unpacker");
  return box;
}

static int add_unpacked(void *buffer, const char *data, size_t size)
{
  luaL_addlstring(buffer, data, size);
  return 0;
}

/* write(data): what it unpacks to, maybe nothing; nil, why */
static int unpacker_write(lua_State *L)
{
  struct unpacker_box *box = check_unpacker(L);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  luaL_Buffer b;
  int code;

  luaL_buffinit(L, &b);
  code = dt_inflate_feed(box->impl, data, size, add_unpacked, &b);
  luaL_pushresult(&b);
  if(!code)
    return 1;
  if(code == DT_INFLATE_NOMEM)
    return luaL_error(L, "not enough memory");
  lua_pushnil(L);
  lua_pushliteral(L, "it is no gzip stream, or damaged");
  return 2;
}

/* is_over(): whether the stream ended with what was written last */
static int unpacker_is_over(lua_State *L)
{
  lua_pushboolean(L, dt_inflate_is_over(check_unpacker(L)->impl));
  return 1;
}

static const luaL_Reg unpacker_methods[] = {
  { "close", unpacker_close },
  { "is_over", unpacker_is_over },
  { "write", unpacker_write },
  { NULL, NULL }
};

static const luaL_Reg unpacker_meta[] = {
  { "__gc", unpacker_close },
  { "__close", unpacker_close },
  { "__tostring", unpacker_tostring },
  { NULL, NULL }
};

static const luaL_Reg functions[] = {
  { "packer", core_packer },
  { "unpacker", core_unpacker },
  { NULL, NULL }
};

void open_pack(lua_State *L)
{
  new_type(L, PACKER_TYPE, packer_methods, packer_meta);
  new_type(L, UNPACKER_TYPE, unpacker_methods, unpacker_meta);
  set_functions(L, functions);
}
