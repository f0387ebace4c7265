/*
 * inflate.c - see inflate.h.
 */
#define ZLIB_CONST
#include "inflate.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_ONLY (MAX_WBITS + 16)
#define PIECE     (16 * 1024)

struct dt_inflate {
  z_stream z;
  int over; /* a member has ended, and nothing came behind it */
  char piece[PIECE];
};

struct dt_inflate *dt_inflate_new(void)
{
  struct dt_inflate *z = malloc(sizeof(*z));

  if(!z)
    return NULL;
  z->z.zalloc = Z_NULL;
  z->z.zfree = Z_NULL;
  z->z.opaque = Z_NULL;
  z->z.next_in = Z_NULL;
  z->z.avail_in = 0;
  z->z.avail_out = PIECE;
  z->over = 0;
  if(inflateInit2(&z->z, GZIP_ONLY) != Z_OK) {
    free(z);
    return NULL;
  }
  return z;
}

void dt_inflate_free(struct dt_inflate *z)
{
  if(z)
    (void)inflateEnd(&z->z);
  free(z);
}

/* Unpacks as much as fits into one piece. */
static int step(struct dt_inflate *z, dt_inflate_take take, void *user)
{
  size_t n;
  int rc, code;

  z->z.next_out = (Bytef *)z->piece;
  z->z.avail_out = PIECE;
  rc = inflate(&z->z, Z_NO_FLUSH);
  n = PIECE - z->z.avail_out;
  code = n ? take(user, z->piece, n) : 0;
  if(code)
    return code;
  if(rc == Z_MEM_ERROR)
    return DT_INFLATE_NOMEM;
  z->over = rc == Z_STREAM_END;
  return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR
           ? 0
           : DT_INFLATE_MALFORMED;
}

int dt_inflate_feed(struct dt_inflate *z, const char *data, size_t size,
                    dt_inflate_take take, void *user)
{
  int code = 0;

  z->z.next_in = (const Bytef *)data;
  z->z.avail_in = (uInt)size;
  while(!code && (z->z.avail_in || !z->z.avail_out)) {
    if(z->over && !z->z.avail_in)
      break;
    if(z->over && inflateReset(&z->z) != Z_OK) /* another member follows */
      return DT_INFLATE_MALFORMED;
    code = step(z, take, user);
  }
  return code;
}

int dt_inflate_is_over(const struct dt_inflate *z)
{
  return z->over;
}
