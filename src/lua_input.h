/*
 * lua_input.h - waiting for standard input in such a way that no signal that
 * raises an error is missed.
 */
#ifndef DAYTONA_LUA_INPUT_H
#define DAYTONA_LUA_INPUT_H

#include <signal.h>

#include "lua_binding.h"

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* Keeps the signals that raise errors from this thread; *mask becomes its mask
   before. */
void hold_raising(sigset_t *mask);

/* Waits until fd (-1: none) or, if `input`, standard input is readable, a signal
   came or the time is over (below 0: never). Only meanwhile `mask` (NULL: the
   thread's) is the thread's mask. Whether there is input. */
int await_input(lua_State *L, int fd, int input, double seconds,
                const sigset_t *mask);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
