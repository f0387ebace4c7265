/*
 * demux.h - takes a session log apart into standard output and standard
 * error, as it arrives.
 *
 * In the log 01 01 01 means "standard output follows" and 02 02 02 "standard
 * error follows"; a prefix may stand at any byte and may be cut anywhere by
 * the transport. The bytes before the first prefix belong to nobody and are
 * dropped unless asked for.
 *
 * Nothing is copied and nothing allocated: the caller feeds a chunk and then
 * takes spans, which point into that chunk (or at a constant, for the one or
 * two bytes that were held back from an earlier chunk because a prefix might
 * have begun there). The time is linear in the bytes, however they are cut.
 *
 *   dt_demux_init(&d, 0);
 *   dt_demux_feed(&d, chunk, size);
 *   while(dt_demux_next(&d, &stream, &data, &n)) ...
 *   ...
 *   dt_demux_finish(&d);
 *   while(dt_demux_next(&d, &stream, &data, &n)) ...
 */
#ifndef DAYTONA_DEMUX_H
#define DAYTONA_DEMUX_H

#include <stddef.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

enum dt_stream {
  DT_STREAM_NONE = 0,  /* before the first prefix */
  DT_STREAM_STDOUT = 1,
  DT_STREAM_STDERR = 2
};

/* All fields are private. */
struct dt_demux {
  const char *at;         /* the unread rest of the chunk */
  const char *end;
  enum dt_stream stream;  /* whose bytes come now */
  enum dt_stream held_by; /* which prefix may have begun before the chunk */
  unsigned held;          /* bytes of it: 0, 1 or 2 */
  int keep_unlabelled;
  int finished;
};

/* Makes `d` ready for a new log. With keep_unlabelled the bytes before the
   first prefix are handed out as DT_STREAM_NONE. */
void dt_demux_init(struct dt_demux *d, int keep_unlabelled);

/* Gives the next chunk. It must stay untouched until dt_demux_next has
   returned 0, and only then may the next one be given. */
void dt_demux_feed(struct dt_demux *d, const char *data, size_t size);

/* The log is over: what was held back is data. */
void dt_demux_finish(struct dt_demux *d);

/* Takes the next span, never an empty one: 1, or 0 when the chunk is used
   up. */
int dt_demux_next(struct dt_demux *d, enum dt_stream *stream,
                  const char **data, size_t *size);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
