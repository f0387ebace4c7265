/*
 * multipart_reader.h - reads a multipart body (the answer of a bulk download)
 * as it arrives, cut anywhere.
 *
 * The caller feeds a chunk and takes events until the reader wants more. Data
 * spans point into the chunk (or into the reader, for a few bytes that looked
 * like the beginning of a boundary); only part headers are copied, and those
 * are capped. What comes in may be hostile: nothing here trusts a length.
 *
 *   dt_multipart_new(&m, content_type, strlen(content_type));
 *   dt_multipart_feed(m, chunk, size);
 *   while((what = dt_multipart_next(m, &event)) > DT_MULTIPART_MORE) ...
 *   ...
 *   code = dt_multipart_finish(m);
 */
#ifndef DAYTONA_MULTIPART_READER_H
#define DAYTONA_MULTIPART_READER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* Cap of the headers of one part, in bytes: a path of 4096 bytes stands there
   twice, once percent-encoded. More is DT_TOO_LARGE. */
#define DT_MULTIPART_HEADER_MAX 65536

enum dt_multipart_what {
  DT_MULTIPART_MORE = 0, /* the chunk is used up */
  DT_MULTIPART_PART,     /* a part begins: its headers */
  DT_MULTIPART_DATA,     /* bytes of it */
  DT_MULTIPART_PART_END, /* it is complete */
  DT_MULTIPART_END       /* the closing boundary; sent once, what follows it
                            is ignored */
};

/* What dt_multipart_next took. Pointers live until the next call. */
struct dt_multipart_event {
  /* PART. Texts are bytes with a length, NULL when absent, never trusted:
     they may hold anything, also NUL or "../". */
  const char *name;
  size_t name_size;
  const char *filename; /* filename*, decoded; else filename, as UTF-8 */
  size_t filename_size;
  const char *type;
  size_t type_size;
  int64_t length;       /* Content-Length, advisory; -1 when absent */

  /* DATA */
  const char *data;
  size_t size;

  /* PART_END: 0 when the part announced a length and had another one. Its
     file changed while it was sent, and should be fetched again. */
  int as_announced;
};

struct dt_multipart;

/* Makes a reader for a body of this Content-Type. DT_OK, DT_NOMEM, or
   DT_PROTOCOL when it is not multipart or has no usable boundary. */
int dt_multipart_new(struct dt_multipart **out, const char *content_type,
                     size_t size);
void dt_multipart_free(struct dt_multipart *m); /* NULL is allowed */

/* Gives the next chunk. It must stay untouched until dt_multipart_next has
   returned DT_MULTIPART_MORE, and only then may the next one be given. */
void dt_multipart_feed(struct dt_multipart *m, const char *data, size_t size);

/* Takes the next event: a dt_multipart_what, or a negative code that stays:
   DT_PROTOCOL (headers that are none), DT_TOO_LARGE, DT_NOMEM. */
int dt_multipart_next(struct dt_multipart *m, struct dt_multipart_event *e);

/* The body is over: DT_OK when the closing boundary was there, the code that
   dt_multipart_next failed with, else DT_TRUNCATED. */
int dt_multipart_finish(const struct dt_multipart *m);

/* A text that says what is wrong, "" when nothing is. */
const char *dt_multipart_message(const struct dt_multipart *m);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
