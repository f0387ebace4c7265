/*
 * ws_align.h - keeps control frames whole on their way to wslay.
 *
 * wslay skips the code of a close frame in front of every piece of it that
 * arrives, and so takes a reason that came in two pieces for bad UTF-8. Here
 * bytes as they come are turned into runs of data frames, cut anywhere, and
 * control frames in one piece each. Nothing is judged: what is no frame goes
 * through as it is.
 */
#ifndef DAYTONA_WS_ALIGN_H
#define DAYTONA_WS_ALIGN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define DT_WS_HEAD_ROOM    14  /* of any frame */
#define DT_WS_CONTROL_ROOM (6 + 125)

/* All zero is the beginning of a connection. All fields are private. */
struct dt_ws_align {
  uint64_t left; /* payload of the present data frame that has not come */
  unsigned char held[DT_WS_CONTROL_ROOM]; /* the beginning of a frame */
  size_t held_size;
  int given;     /* `held` was handed out */
};

/* Takes the next run from the bytes [*at, *at + *size), which move on. 1 and
   the run, which lives until the next call; 0 when there is none yet. */
int dt_ws_align_next(struct dt_ws_align *a, const char **at, size_t *size,
                     const char **run, size_t *run_size);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
