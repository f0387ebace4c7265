/*
 * inflate.h - takes a gzip stream apart (RFC 1952), cut anywhere, by zlib.
 */
#ifndef DAYTONA_INFLATE_H
#define DAYTONA_INFLATE_H

#include <stddef.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

struct dt_inflate;

/* What is unpacked is given to it piece by piece; it returns 0 to go on. */
typedef int (*dt_inflate_take)(void *user, const char *data, size_t size);

enum {
  DT_INFLATE_NOMEM = 1,
  DT_INFLATE_MALFORMED = 2
};

/* NULL without memory. */
struct dt_inflate *dt_inflate_new(void);
void dt_inflate_free(struct dt_inflate *z); /* NULL ok */

/* Takes the next part. 0, one of the above, or the negative number with which `take`
   gave up. */
int dt_inflate_feed(struct dt_inflate *z, const char *data, size_t size,
                    dt_inflate_take take, void *user);

/* Whether the stream ended where the last part did. */
int dt_inflate_is_over(const struct dt_inflate *z);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
