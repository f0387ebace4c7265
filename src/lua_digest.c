/*
 * lua_digest.c - SHA-256, HMAC-SHA256 (both by the system's libcrypto) and
 * base64 for Lua.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPENSSL_SUPPRESS_DEPRECATED /* see sha256 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "core/base64.h"
#include "lua_binding.h"

#define HASH_TYPE "daytona.core.Sha256"
#define DIGEST_SIZE 32
#define FILE_BLOCK 65536

/* --- SHA-256 -------------------------------------------------------------- */

static int failed(lua_State *L)
{
  return luaL_error(L, "libcrypto has no SHA-256, or no memory");
}

/* By the functions of old where libcrypto has them, which OpenSSL 3 calls
   deprecated: its new ones look for providers first, which costs a program that
   starts more than all that is hashed there. */
static int sha256(const char *s, size_t size, unsigned char *digest)
{
#ifdef OPENSSL_NO_DEPRECATED_3_0
  return EVP_Digest(s, size, digest, NULL, EVP_sha256(), NULL);
#else
  SHA256_CTX c;

  return SHA256_Init(&c) && SHA256_Update(&c, s, size) &&
         SHA256_Final(digest, &c);
#endif
}

static int core_sha256(lua_State *L)
{
  unsigned char digest[DIGEST_SIZE];
  size_t size;
  const char *s = luaL_checklstring(L, 1, &size);

  if(!sha256(s, size, digest))
    return failed(L);
  lua_pushlstring(L, (const char *)digest, sizeof digest);
  return 1;
}

static int core_hmac_sha256(lua_State *L)
{
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n;
  size_t key_size, size;
  const char *key = luaL_checklstring(L, 1, &key_size);
  const char *s = luaL_checklstring(L, 2, &size);

  luaL_argcheck(L, key_size <= 0x7fffffff, 1, "key too long");
  if(!HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)s, size,
           digest, &n))
    return failed(L);
  lua_pushlstring(L, (const char *)digest, n);
  return 1;
}

/* --- SHA-256 of what comes in pieces -------------------------------------- */

struct hash_box {
  EVP_MD_CTX *impl;
};

static EVP_MD_CTX *check_hash(lua_State *L)
{
  struct hash_box *box = luaL_checkudata(L, 1, HASH_TYPE);

  if(!box->impl)
    luaL_error(L, "attempt to use a finished hash");
  return box->impl;
}

static int core_hash(lua_State *L)
{
  struct hash_box *box = new_object(L, sizeof *box, HASH_TYPE);

  box->impl = EVP_MD_CTX_new();
  if(!box->impl || !EVP_DigestInit_ex(box->impl, EVP_sha256(), NULL))
    return failed(L);
  return 1;
}

static int hash_update(lua_State *L)
{
  EVP_MD_CTX *c = check_hash(L);
  size_t size;
  const char *s = luaL_checklstring(L, 2, &size);

  if(!EVP_DigestUpdate(c, s, size))
    return failed(L);
  lua_settop(L, 1);
  return 1;
}

/* read(file, most): takes in up to so many bytes of an open Lua file. */
static int hash_read(lua_State *L)
{
  EVP_MD_CTX *c = check_hash(L);
  FILE *file = check_open_file(L, 2);
  lua_Number most = luaL_optnumber(L, 3, 1e15);
  unsigned char block[FILE_BLOCK];
  lua_Number done = 0;

  errno = 0;
  while(done < most) {
    size_t want = most - done < FILE_BLOCK ? (size_t)(most - done) : FILE_BLOCK;
    size_t n = want ? fread(block, 1, want, file) : 0;

    if(!n)
      break;
    if(!EVP_DigestUpdate(c, block, n))
      return failed(L);
    done += (lua_Number)n;
  }
  if(ferror(file)) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  push_int(L, (int64_t)done);
  return 1;
}

static int hash_gc(lua_State *L)
{
  struct hash_box *box = luaL_checkudata(L, 1, HASH_TYPE);

  EVP_MD_CTX_free(box->impl);
  box->impl = NULL;
  return 0;
}

static int hash_finish(lua_State *L)
{
  EVP_MD_CTX *c = check_hash(L);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n;

  if(!EVP_DigestFinal_ex(c, digest, &n))
    return failed(L);
  hash_gc(L);
  lua_pushlstring(L, (const char *)digest, n);
  return 1;
}

static int hash_tostring(lua_State *L)
{
  struct hash_box *box = luaL_checkudata(L, 1, HASH_TYPE);

  return push_name(L, HASH_TYPE, box->impl);
}

/* --- texts ---------------------------------------------------------------- */

/* The memory for a result that Lua then copies: on the stack or, collectable,
   in a userdata that is pushed. */
static char *room_for(lua_State *L, char *small, size_t small_size, size_t size)
{
  return size <= small_size ? small : lua_newuserdata(L, size);
}

static int core_hex(lua_State *L)
{
  static const char digits[] = "0123456789abcdef";
  char small[256], *text;
  size_t size, i;
  const char *s = luaL_checklstring(L, 1, &size);

  text = room_for(L, small, sizeof small, size * 2);
  for(i = 0; i < size; i++) {
    text[2 * i] = digits[(unsigned char)s[i] >> 4];
    text[2 * i + 1] = digits[(unsigned char)s[i] & 15];
  }
  lua_pushlstring(L, text, size * 2);
  return 1;
}

/* base64(data, url) */
static int core_base64(lua_State *L)
{
  char small[1024], *text;
  size_t size;
  const char *s = luaL_checklstring(L, 1, &size);
  enum dt_base64 kind = lua_toboolean(L, 2) ? DT_BASE64_URL : DT_BASE64;

  text = room_for(L, small, sizeof small, dt_base64_room(size));
  lua_pushlstring(L, text, dt_base64_encode(kind, s, size, text));
  return 1;
}

static int core_unbase64(lua_State *L)
{
  char small[1024], *data;
  size_t size, n;
  const char *text = luaL_checklstring(L, 1, &size);

  data = room_for(L, small, sizeof small, size / 4 * 3 + 3);
  n = dt_base64_decode(text, size, data);
  if(n == (size_t)-1)
    lua_pushnil(L);
  else
    lua_pushlstring(L, data, n);
  return 1;
}

/* --- registration --------------------------------------------------------- */

static const luaL_Reg hash_methods[] = {
  { "finish", hash_finish },
  { "read", hash_read },
  { "update", hash_update },
  { NULL, NULL }
};

static const luaL_Reg hash_meta[] = {
  { "__gc", hash_gc },
  { "__close", hash_gc },
  { "__tostring", hash_tostring },
  { NULL, NULL }
};

static const luaL_Reg functions[] = {
  { "base64", core_base64 },
  { "hash", core_hash },
  { "hex", core_hex },
  { "hmac_sha256", core_hmac_sha256 },
  { "sha256", core_sha256 },
  { "unbase64", core_unbase64 },
  { NULL, NULL }
};

void open_digest(lua_State *L)
{
  new_type(L, HASH_TYPE, hash_methods, hash_meta);
  set_functions(L, functions);
}
