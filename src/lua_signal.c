/*
 * lua_signal.c - signals that end a program, turned into what Lua can clean up
 * after. There is one of each signal in a process, so what is here is global.
 *
 * A trap makes SIGTERM, SIGHUP and SIGPIPE what the standalone interpreter makes
 * of Ctrl-C: an error, raised at the next instruction of the main thread. It is
 * the one place of the binding that keeps a lua_State, as the interpreter does.
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
#define TEXT_SIZE 2048
#define SWALLOW   1.0 /* seconds after an interrupt in which one more, that comes
                         between two things to clean up, is the same one */

static const struct {
  int number;
  const char *name;
} trapped[] = { { SIGTERM, "SIGTERM" }, { SIGHUP, "SIGHUP" },
                { SIGPIPE, "SIGPIPE" } };

#define TRAPPED (sizeof trapped / sizeof trapped[0])

/* Set while a trap is: the main thread, and what was there before. */
static lua_State *volatile trap_state;
static struct sigaction before[TRAPPED];
static volatile sig_atomic_t struck; /* the signal that was raised for */

enum { QUIET, HELD, TOLD };

static volatile sig_atomic_t patience;    /* one of these */
static volatile sig_atomic_t interrupted; /* the program was, and cleans up */
static void (*volatile interpreters)(int); /* handler of SIGINT, behind ours */
static double since;                   /* when the program was interrupted */
static char telling[TEXT_SIZE], leaving[TEXT_SIZE];

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
    say(leaving);
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
  if(!sigaction(sig, NULL, &action) && action.sa_handler == SIG_DFL)
    begin_patience();
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

  (void)L;
  if(!handled_by(SIGINT, &action) || action.sa_handler == on_again ||
     action.sa_handler == on_first || (action.sa_flags & SA_SIGINFO))
    return 0;
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

  (void)L;
  if(!handled_by(SIGINT, &action) || action.sa_handler != on_again)
    begin_patience();
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

static const char *name_of(int sig)
{
  size_t i;

  for(i = 0; i < TRAPPED; i++)
    if(trapped[i].number == sig)
      return trapped[i].name;
  return NULL;
}

static void raise_struck(lua_State *L, lua_Debug *ar)
{
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "ended by %s", name_of(struck));
}

static void on_trap(int sig)
{
  lua_State *L = trap_state;

  if(!L || struck || interrupted) {
    on_again(sig);
    return;
  }
  struck = sig;
  lua_sethook(L, raise_struck, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* The state is closed, or the trap is set anew. */
static int untrap(lua_State *L)
{
  size_t i;

  (void)L;
  for(i = 0; trap_state && i < TRAPPED; i++)
    (void)sigaction(trapped[i].number, &before[i], NULL);
  trap_state = NULL;
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

/* core.trap(): a signal that is ignored (nohup) stays so. False where the main
   thread cannot be told: in a coroutine of 5.1. */
static int trap(lua_State *L)
{
  lua_State *main = main_thread(L);
  size_t i;

  lua_pushboolean(L, main != NULL);
  if(!main)
    return 1;
  untrap(L);
  struck = 0;
  lua_newuserdata(L, 1); /* ends it with the state */
  luaL_getmetatable(L, TRAP_TYPE);
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, TRAP_TYPE);
  trap_state = main;
  for(i = 0; i < TRAPPED; i++) {
    set_handler(trapped[i].number, on_trap, &before[i]);
    if(before[i].sa_handler == SIG_IGN)
      (void)sigaction(trapped[i].number, &before[i], NULL);
  }
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
  if(trap_state) {
    dt_engine_hold(e, SIGTERM);
    dt_engine_hold(e, SIGHUP);
  }
}

void hold_raising(sigset_t *mask)
{
  sigset_t set;

  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  if(trap_state) {
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
  }
  pthread_sigmask(SIG_BLOCK, &set, mask);
}

void open_signal(lua_State *L)
{
  static const luaL_Reg functions[] = {
    { "be_patient", be_patient }, { "catches_interrupts", catches_interrupts },
    { "cleaning", cleaning },     { "follow_interrupts", follow_interrupts },
    { "struck", what_struck },    { "tell", tell },
    { "trap", trap },             { NULL, NULL }
  };
  static const luaL_Reg meta[] = { { "__gc", untrap }, { NULL, NULL } };
  static const luaL_Reg none[] = { { NULL, NULL } };

  set_functions(L, functions);
  new_type(L, TRAP_TYPE, none, meta);
}
