/*
 * doorbell.h - tells a host over a unix socket that a descriptor is readable.
 *
 * For hosts that can read sockets they have connected themselves, but cannot
 * watch a descriptor of ours (nginx's Lua). A thread waits for the descriptor
 * and writes one byte; it does nothing else, touches neither the engine nor
 * libcurl, takes no signals and sleeps while nobody has armed it.
 *
 * Not to be made before a fork: the thread would be the parent's alone. The
 * calls belong to one thread.
 */
#ifndef DAYTONA_DOORBELL_H
#define DAYTONA_DOORBELL_H

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

struct dt_doorbell;

/* Makes a doorbell for the descriptor, which is duplicated, and a socket that
   waits for one connection, in a fresh folder that only this user may enter.
   *out is NULL on failure. 0, or -1 with errno. */
int dt_doorbell_new(struct dt_doorbell **out, int fd);

/* Where to connect to. */
const char *dt_doorbell_path(const struct dt_doorbell *d);

/* Takes the connection that was made, removes the path and starts the thread.
   Never blocks. 0, or -1 with errno: there is no connection, or no thread. */
int dt_doorbell_open(struct dt_doorbell *d);

/* Whether the other side still holds its end. Never blocks. */
int dt_doorbell_is_open(const struct dt_doorbell *d);

/* Asks for one byte, as soon as the descriptor is readable or `seconds` have
   passed (negative: no limit). 0, or -1 when the other side has closed. */
int dt_doorbell_arm(struct dt_doorbell *d, double seconds);

/* Ends and joins the thread, closes, removes what is left. NULL is allowed. In
   a child after a fork it only lets go of its copies. */
void dt_doorbell_free(struct dt_doorbell *d);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
