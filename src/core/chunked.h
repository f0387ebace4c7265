/*
 * chunked.h - takes a chunked body apart (RFC 9112, 7.1), cut anywhere.
 */
#ifndef DAYTONA_CHUNKED_H
#define DAYTONA_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define DT_CHUNKED_TRAILERS (256 * 1024) /* longer ones are malformed */

/* All zero at the beginning. */
struct dt_chunked {
  enum {
    DT_CHUNKED_SIZE,     /* in the line before a chunk, at its size */
    DT_CHUNKED_EXTENSION,/* and behind it */
    DT_CHUNKED_DATA,
    DT_CHUNKED_DATA_END, /* the line end behind a chunk */
    DT_CHUNKED_TRAILER,  /* the body is over, the message not yet */
    DT_CHUNKED_FINISHED,
    DT_CHUNKED_MALFORMED
  } state;
  unsigned digits;
  uint64_t left;         /* of the chunk; or its size, as far as it was read */
  size_t trailer_size, line_size;
};

/* Takes the next part of what came. Returns how much of it was used, and in *data
   and *n the piece of the body that it holds (*n may be 0). To be called until all
   is used, or the state is FINISHED or MALFORMED. */
size_t dt_chunked_feed(struct dt_chunked *c, const char *bytes, size_t size,
                       const char **data, size_t *n);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
