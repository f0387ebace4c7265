/*
 * lua_binding.h - what the files of the binding share: the userdata types and
 * the reading of fields. The binding checks and converts; it never touches a
 * socket, never calls Lua, and keeps no lua_State
 * (but for a trap of signals, see lua_signal.c).
 *
 * Each userdata is allocated, zeroed and given its metatable before anything
 * is acquired, and has one idempotent closer (close, __gc, __close). A NULL
 * `impl` marks a closed object.
 */
#ifndef DAYTONA_LUA_BINDING_H
#define DAYTONA_LUA_BINDING_H

#include "core/core.h"
#include "lua_compat.h"

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define ENGINE_TYPE "daytona.core.Engine"
#define CALL_TYPE "daytona.core.Call"
#define PROFILE_TYPE "daytona.core.Profile"
#define TRANSFER_TYPE "daytona.core.Transfer"
#define DOORBELL_TYPE "daytona.core.Doorbell"
#define WEBSOCKET_TYPE "daytona.core.WebSocket"

struct engine_box {
  struct dt_engine *impl;
};

struct profile_box {
  struct dt_profile *impl;
};

/* Its anchor (see lua_compat.h) is its engine's. */
struct transfer_box {
  struct dt_transfer *impl;
  struct long_pair *pair; /* what is being read of its answer, or NULL */
  int pair_ready;         /* it was read to its end */
  int nfds;  /* duplicates of the descriptors of Lua's files, ours to close */
  int fds[]; /* so that closing such a file never hits a stranger's */
};

/* Pushes a zeroed userdata of `size` bytes with the metatable of `type`. */
void *new_object(lua_State *L, size_t size, const char *type);

/* Makes the metatable of a type: methods are its __index. Pushes nothing. */
void new_type(lua_State *L, const char *type, const luaL_Reg *methods,
              const luaL_Reg *meta);

/* Pushes "type: address", or "type: closed" for NULL. Returns 1. */
int push_name(lua_State *L, const char *type, const void *live);

/* Pushes an integer where Lua has 64-bit ones, else a float. */
void push_int(lua_State *L, int64_t n);

/* Fields of the table at absolute index `t`, read raw. What they point at is
   owned by that table. nil gives the default; a wrong type raises. */
const char *string_field(lua_State *L, int t, const char *name, size_t *size);
double seconds_field(lua_State *L, int t, const char *name);
int64_t count_field(lua_State *L, int t, const char *name, int64_t none);
int flag_field(lua_State *L, int t, const char *name);

/* Pushes a field of type table and returns its length; or -1, nothing pushed. */
int list_field(lua_State *L, int t, const char *name);

/* The strings of a list field as a NULL-terminated array, in `room` (of `n`
   pointers) or, when they are more, in a userdata that stays on the stack. NULL
   when the field is nil. *bad is set to 1 when one of them holds a NUL. */
const char *const *strings_field(lua_State *L, int t, const char *name,
                                 const char **room, int n, int *bad);

/* Of the "Name: value" lines of a block: pushes the value of the header whose
   name is argument 2, or nil; pushes all as a table. Both return 1. */
int push_header(lua_State *L, const char *block, size_t size);
int push_headers(lua_State *L, const char *block, size_t size);

/* What core.unique gives is made of: the first upvalue of those who call this.
   Writes up to UNIQUE_SIZE bytes and returns where they end; may raise. */
struct names {
  long pid;
  uint64_t last;
  char prefix[16];
};
#define UNIQUE_SIZE 40
char *write_unique(lua_State *L, struct names *names, char *at);

/* The stream of the Lua file that is an argument, NULL of a closed one; or raises on a
   closed one. */
FILE *check_file(lua_State *L, int arg);
FILE *check_open_file(lua_State *L, int arg);

/* core.json_command */
int json_command(lua_State *L);

/* Replaces the number at the top, a float that counts in ones, by an integer, where
   Lua has these. Whether it did. */
int make_integer(lua_State *L);

/* Pushes the number and the string of a JSON object that has just these two
   fields, in this order, and is of the plainest form; or nothing, and 0. */
struct pair_names {
  const char *number, *text;
};
int push_pair(lua_State *L, const char *json, size_t size,
              const struct pair_names *names);

/* The same of a long one, in pieces, from `json` that has to stay. NULL when it does not
   begin so, or without memory. Its owner frees it. */
struct long_pair;
struct long_pair *long_pair_new(const char *json, size_t size,
                                const struct pair_names *names);
void long_pair_free(struct long_pair *p);

/* Reads on in `most` bytes: 1 when all is read, 0 when there is more, -1 when it is
   no such pair after all. */
int long_pair_read(struct long_pair *p, size_t most);

/* Whether its text, of which all is read, takes a while to be made a string. */
int is_large(const struct long_pair *p);

/* Pushes both, when all is read. */
void push_long_pair(lua_State *L, const struct long_pair *p);

/* lua_engine.c, lua_exchange.c, lua_transfer.c, lua_carry.c, lua_websocket.c,
   lua_doorbell.c: register their types, or methods of them. */
void open_call(lua_State *L);
void open_engine(lua_State *L);
void open_transfer(lua_State *L);
void open_carry(lua_State *L);
void open_websocket(lua_State *L);
void open_doorbell(lua_State *L);

/* lua_stream.c, lua_digest.c, lua_pack.c, lua_json.c, lua_json_read.c, lua_tty.c, lua_file.c, lua_signal.c,
   lua_input.c:
   register their types, and add their functions to the module's table on top of the stack. */
void open_stream(lua_State *L);
void open_digest(lua_State *L);
void open_pack(lua_State *L);
void open_json(lua_State *L);
void open_json_read(lua_State *L);
void open_tty(lua_State *L);
void open_file(lua_State *L);
void open_signal(lua_State *L);
void open_input(lua_State *L);
void set_functions(lua_State *L, const luaL_Reg *list);

/* core.call, Engine:start, Engine:open and Engine:doorbell. */
int call_new(lua_State *L);
int transfer_start(lua_State *L);
int websocket_open(lua_State *L);
int doorbell_new(lua_State *L);

/* Pushes a transfer's userdata, with room for `nfds` descriptors, that keeps the
   engine at index `engine`. */
struct transfer_box *push_transfer(lua_State *L, int engine, int nfds);

/* Frees what the box holds. */
void close_transfer(struct transfer_box *box);

/* Whether the standalone interpreter has been told by Ctrl-C to stop its main
   thread. */
int must_stop(lua_State *L);

/* Keeps the signals that raise errors from this thread until the next poll. */
void hold_signals(struct dt_engine *e);

/* The live engine or profile at index i; a closed one raises. */
struct dt_engine *check_engine(lua_State *L, int i);
struct dt_profile *check_profile(lua_State *L, int i);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
