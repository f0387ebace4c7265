/*
 * lua_signal.c - signals that end a program, turned into what Lua can clean up
 * after. There is one of each signal in a process, so what is here is global.
 *
 * A trap makes SIGTERM, SIGHUP and SIGPIPE what the standalone interpreter makes
 * of Ctrl-C: an error, raised at the next instruction of the main thread. Where
 * that thread is known, Ctrl-C's hook is ours, too. It is the one place of the
 * binding that keeps a lua_State, as the interpreter does.
 *
 * What was made and is on its way to its owner (hand_over) is not lost to such an
 * error: it waits for a moment then, or for the next wait.
 *
 * After such an error the program cleans up. A further signal is then held once,
 * and the user told what is going on; the one after that ends the process.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lua_binding.h"
#include "lua_input.h"

#define TRAP_TYPE "daytona.core.Trap"
#define TRAP_KEPT "daytona.core.Trap object"
#define END_TYPE  "daytona.core.End"
#define END_KEPT  "daytona.core.End object"
#define TEXT_SIZE 2048
#define STOP      (LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT)
#define LATER     1009 /* instructions for which an error is held, at most */
#define SWALLOW   1.0 /* seconds after an interrupt in which one more, that comes
                         between two things to clean up, is the same one */

static const struct {
  int number;
  const char *name;
} trapped[] = { { SIGTERM, "SIGTERM" }, { SIGHUP, "SIGHUP" },
                { SIGPIPE, "SIGPIPE" } };

#define TRAPPED (sizeof trapped / sizeof trapped[0])

/* Where signals raise: the main thread, where it is known, and its registry. */
static lua_State *volatile main_state;
static const void *main_registry;

static volatile sig_atomic_t trapping; /* a trap is set, and */
static struct sigaction before[TRAPPED]; /* what was there before */
static volatile sig_atomic_t struck;   /* the signal that was raised for */
static volatile sig_atomic_t due;      /* the one that is to raise */
static volatile sig_atomic_t handing;  /* see hand_over */
static int unheard; /* it has raised in the main thread; nobody has cleaned up */

enum { QUIET, HELD, TOLD };

static volatile sig_atomic_t patience;    /* one of these */
static volatile sig_atomic_t interrupted; /* the program was, and cleans up */
static void (*volatile interpreters)(int); /* handler of SIGINT, behind ours */
static double since;                   /* when the program was interrupted */
static char telling[TEXT_SIZE], leaving[TEXT_SIZE];

/* --- raising ----------------------------------------------------------------- */

#if LUA_VERSION_NUM == 501
extern int luaJIT_setmode(lua_State *L, int index, int mode)
  __attribute__((weak));

#define HOOKS_ARE_SHARED (luaJIT_setmode != NULL)

#define TRACES_MAX 65536 /* as LuaJIT numbers them */

/* What LuaJIT has compiled may stand still for ever in a state that is being closed,
   which is where the rest of a program is cleaned up. No more is compiled from here on,
   and nothing leads into what there is. (All of it at once would be thrown away: in a
   hook LuaJIT crashes then, now and then.) */
static void stop_compiling(lua_State *L)
{
  const int engine_off = 0, trace_flush = 0x205;
  int i;

  if(!HOOKS_ARE_SHARED)
    return;
  luaJIT_setmode(L, 0, engine_off);
  for(i = 1; i < TRACES_MAX; i++)
    luaJIT_setmode(L, i, trace_flush);
}
#else
#define HOOKS_ARE_SHARED  0
#define stop_compiling(L) ((void)(L))
#endif

static const char *name_of(int sig)
{
  size_t i;

  for(i = 0; i < TRAPPED; i++)
    if(trapped[i].number == sig)
      return trapped[i].name;
  return NULL;
}

/* core.at_end(fn): what is called when the state is closed after a signal has
   raised. It is the finalizer of an object that is made then: finalizers run
   from the newest object to the oldest, so what is in flight is there still. */
static int at_end(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "__gc");
  lua_setfield(L, LUA_REGISTRYINDEX, END_TYPE);
  return 0;
}

/* The one before, if there is one, is not the end when it is collected. */
static void make_end(lua_State *L)
{
  lua_getfield(L, LUA_REGISTRYINDEX, END_KEPT);
  if(lua_isuserdata(L, -1)) {
    lua_pushnil(L);
    lua_setmetatable(L, -2);
  }
  lua_pop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, END_TYPE);
  if(lua_istable(L, -1)) {
    lua_newuserdata(L, 1);
    lua_pushvalue(L, -2);
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, END_KEPT);
  }
  lua_pop(L, 1);
}

/* The hook. A coroutine that the main thread has made in the moment between has it,
   too, where each has its own. */
static void stop(lua_State *L, lua_Debug *ar)
{
  int sig = due;

  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  if(!sig || (L != main_state && !HOOKS_ARE_SHARED))
    return;
  due = 0;
  unheard = L == main_state; /* a task tells the loop when it ends */
  stop_compiling(L);
  make_end(L);
  if(sig == SIGINT)
    luaL_error(L, "interrupted!");
  luaL_error(L, "ended by %s", name_of(sig));
}

static void ask_to_stop(int sig)
{
  due = sig;
  if(handing)
    lua_sethook(main_state, stop, LUA_MASKCOUNT, LATER);
  else
    lua_sethook(main_state, stop, STOP, 1);
}

static int is_main_state(lua_State *L)
{
  return main_state && lua_topointer(L, LUA_REGISTRYINDEX) == main_registry;
}

/* Whether the program has been asked to stop; what was held is held no more. The
   interpreter's own handler sets a hook of the same form. (LuaJIT has one hook for
   all threads; 5.1 cannot name the main thread to another.) */
int must_stop(lua_State *L)
{
  lua_State *at = L;

  if(is_main_state(L)) {
    handing = 0;
    if(due)
      lua_sethook(main_state, stop, STOP, 1);
    at = main_state;
  }
#ifdef LUA_RIDX_MAINTHREAD
  else {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    at = lua_tothread(L, -1);
    lua_pop(L, 1);
  }
#endif
  return (lua_gethookmask(at) & STOP) == STOP && lua_gethookcount(at) == 1;
}

/* core.hand_over(): a thing that somebody is to end is being returned to its
   caller. Until the next wait, or for a moment, no signal raises. */
static int hand_over(lua_State *L)
{
  if(!is_main_state(L))
    return 0;
  handing = 1;
  if(due) /* and held, for the thing before */
    lua_sethook(main_state, stop, LUA_MASKCOUNT, LATER);
  return 0;
}

/* core.unheard(): whether a signal has raised, since this was asked last. */
static int was_unheard(lua_State *L)
{
  lua_pushboolean(L, unheard && is_main_state(L));
  unheard = 0;
  return 1;
}

/* --- where --------------------------------------------------------------------- */

static void untrap(void)
{
  size_t i;

  for(i = 0; trapping && i < TRAPPED; i++)
    (void)sigaction(trapped[i].number, &before[i], NULL);
  trapping = 0;
}

/* The state is closed. */
static int forget_state(lua_State *L)
{
  if(is_main_state(L)) {
    untrap();
    main_state = NULL;
  }
  return 0;
}

/* The main thread; NULL where that is not known. */
static lua_State *main_thread(lua_State *L)
{
#ifdef LUA_RIDX_MAINTHREAD
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  L = lua_tothread(L, -1);
#else
  if(!lua_pushthread(L))
    return NULL;
#endif
  return L;
}

/* Whether signals raise in this state from now on. */
static int raise_in(lua_State *L)
{
  lua_State *main = main_thread(L);

  if(is_main_state(L))
    return 1;
  if(!main)
    return 0;
  lua_newuserdata(L, 1); /* ends it with the state */
  luaL_getmetatable(L, TRAP_TYPE);
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, TRAP_KEPT);
  main_registry = lua_topointer(L, LUA_REGISTRYINDEX);
  main_state = main;
  return 1;
}

/* --- the second signal, and the third --------------------------------------- */

static void say(const char *text)
{
  size_t size = strlen(text);

  while(size > 0) {
    ssize_t n = write(STDERR_FILENO, text, size);

    if(n <= 0)
      return;
    text += n;
    size -= (size_t)n;
  }
}

static void end_by(int sig)
{
  sigset_t set;

  signal(sig, SIG_DFL);
  sigemptyset(&set);
  sigaddset(&set, sig);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  raise(sig);
}

/* What the one that ends the process says where no deletion has begun. */
static const char UNTOLD[] = "ended before it could clean up: sandboxes that "
  "it made may be left (daytona-lua leftovers)\n";

static void on_again(int sig)
{
  int saved = errno;

  if(sig == SIGPIPE)
    return; /* whoever reads is gone, and it is known */
  if(patience == QUIET && telling[0]) {
    patience = TOLD;
    say(telling);
  }
  else if(patience == QUIET && dt_now() - since < SWALLOW)
    patience = HELD;
  else {
    say(leaving[0] ? leaving : UNTOLD);
    end_by(sig);
  }
  errno = saved;
}

static void set_handler(int sig, void (*handler)(int), struct sigaction *old)
{
  struct sigaction action;

  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  sigfillset(&action.sa_mask);
  (void)sigaction(sig, &action, old);
}

static void begin_patience(void)
{
  since = dt_now();
  patience = QUIET;
  interrupted = 1;
  set_handler(SIGINT, on_again, NULL);
}

/* The interpreter's handler, and no moment in which a further signal ends the
   process: the default action, which it has given back, is taken again. Other
   handlers are left to themselves. */
static void on_first(int sig)
{
  int saved = errno;
  struct sigaction action;

  interpreters(sig);
  if(!sigaction(sig, NULL, &action) && action.sa_handler == SIG_DFL) {
    begin_patience();
    if(main_state && lua_gethook(main_state)) /* its hook: ours takes its place */
      ask_to_stop(sig);
  }
  errno = saved;
}

static int handled_by(int sig, struct sigaction *action)
{
  return !sigaction(sig, NULL, action) && action->sa_handler != SIG_DFL &&
    action->sa_handler != SIG_IGN;
}

/* core.follow_interrupts(): takes part in Ctrl-C, where it has a handler. */
static int follow_interrupts(lua_State *L)
{
  struct sigaction action;

  if(!handled_by(SIGINT, &action) || action.sa_handler == on_again ||
     action.sa_handler == on_first || (action.sa_flags & SA_SIGINFO))
    return 0;
  if(!main_state)
    (void)raise_in(L);
  interrupted = 0;
  telling[0] = leaving[0] = '\0';
  interpreters = action.sa_handler;
  action.sa_handler = on_first;
  (void)sigaction(SIGINT, &action, NULL);
  return 0;
}

/* core.catches_interrupts(): whether Ctrl-C has a handler that raises. The
   interpreter's gives the signal its default action back before it does. */
static int catches_interrupts(lua_State *L)
{
  struct sigaction action;

  lua_pushboolean(L, handled_by(SIGINT, &action) &&
                       action.sa_handler != on_again);
  return 1;
}

/* core.be_patient(): the program was interrupted and is going to clean up. */
static int be_patient(lua_State *L)
{
  struct sigaction action;
  int held = patience == HELD; /* since the first, which was a trap's */

  (void)L;
  if(!handled_by(SIGINT, &action) || action.sa_handler != on_again)
    begin_patience();
  if(held)
    patience = HELD;
  return 0;
}

static void copy_text(char *to, const char *from, size_t size)
{
  if(size >= TEXT_SIZE)
    size = TEXT_SIZE - 1;
  memcpy(to, from, size);
  to[size] = '\0';
}

/* core.cleaning(telling, leaving): what to say when one is held, and when the
   next one ends the process. Whether one is held that was told nothing. */
static int cleaning(lua_State *L)
{
  size_t tell_size, leave_size;
  const char *tell = luaL_checklstring(L, 1, &tell_size);
  const char *leave = luaL_checklstring(L, 2, &leave_size);
  sigset_t all, mask;

  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &mask);
  copy_text(telling, tell, tell_size);
  copy_text(leaving, leave, leave_size);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  lua_pushboolean(L, patience == HELD);
  return 1;
}

/* core.tell(): tells it now, unless it was told. */
static int tell(lua_State *L)
{
  (void)L;
  if(patience != TOLD && telling[0]) {
    patience = TOLD;
    say(telling);
  }
  return 0;
}

/* --- the trap ---------------------------------------------------------------- */

static void on_trap(int sig)
{
  if(!main_state || struck || interrupted) {
    on_again(sig);
    return;
  }
  struck = sig;
  since = dt_now();
  patience = QUIET;
  ask_to_stop(sig);
}

/* core.trap(): once more after one has raised: for the next. A signal that is ignored (nohup) stays so. False where the main
   thread cannot be told: in a coroutine of 5.1. */
static int trap(lua_State *L)
{
  size_t i;

  untrap();
  trapping = raise_in(L);
  struck = 0;
  interrupted = 0;
  telling[0] = leaving[0] = '\0';
  if(due != SIGINT)
    due = 0;
  for(i = 0; trapping && i < TRAPPED; i++) {
    set_handler(trapped[i].number, on_trap, &before[i]);
    if(before[i].sa_handler == SIG_IGN)
      (void)sigaction(trapped[i].number, &before[i], NULL);
  }
  lua_pushboolean(L, trapping);
  return 1;
}

/* core.struck(): the name of the signal that the trap raised for, or nil. */
static int what_struck(lua_State *L)
{
  lua_pushstring(L, struck ? name_of(struck) : NULL);
  return 1;
}

void hold_signals(struct dt_engine *e)
{
  dt_engine_hold(e, SIGINT);
  if(trapping) {
    dt_engine_hold(e, SIGTERM);
    dt_engine_hold(e, SIGHUP);
  }
}

void hold_raising(sigset_t *mask)
{
  sigset_t set;

  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  if(trapping) {
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
  }
  pthread_sigmask(SIG_BLOCK, &set, mask);
}

void open_signal(lua_State *L)
{
  static const luaL_Reg functions[] = {
    { "at_end", at_end },         { "be_patient", be_patient },
    { "cleaning", cleaning },     { "catches_interrupts", catches_interrupts },
    { "hand_over", hand_over },   { "follow_interrupts", follow_interrupts },
    { "struck", what_struck },    { "tell", tell },
    { "trap", trap },             { "unheard", was_unheard },
    { NULL, NULL }
  };
  static const luaL_Reg meta[] = { { "__gc", forget_state }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };

  set_functions(L, functions);
  new_type(L, TRAP_TYPE, none, meta);
}
