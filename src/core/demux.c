/*
 * demux.c - the log demultiplexer of demux.h. It knows nothing of sockets,
 * text or lines.
 */
#include "demux.h"

#include <stdint.h>
#include <string.h>

#define PREFIX 3

#define REPEAT(byte) (UINT64_MAX / 255 * (byte))

void dt_demux_init(struct dt_demux *d, int keep_unlabelled)
{
  memset(d, 0, sizeof(*d));
  d->keep_unlabelled = keep_unlabelled;
}

void dt_demux_feed(struct dt_demux *d, const char *data, size_t size)
{
  d->at = data;
  d->end = size ? data + size : data;
}

void dt_demux_finish(struct dt_demux *d)
{
  d->finished = 1;
}

/* Points at the next byte 01 or 02, or at `end`. Lines are short as a rule, so
   eight bytes at a time from here beat a call of memchr for each of the two:
   bytes of 0 to 3 are found together, and the two that matter picked out. */
static const char *find_candidate(const char *p, const char *end)
{
  for(;;) {
    const char *stop;

    while(end - p >= 8) {
      uint64_t v;

      memcpy(&v, p, sizeof(v));
      v &= REPEAT(0xFC);
      if((v - REPEAT(0x01)) & ~v & REPEAT(0x80))
        break;
      p += 8;
    }
    stop = end - p >= 8 ? p + 8 : end;
    for(; p < stop; p++) {
      if(*p == 1 || *p == 2)
        return p;
    }
    if(p == end)
      return end;
  }
}

/* How often the byte at `p` is repeated there, at most PREFIX times. */
static unsigned run_length(const char *p, const char *end)
{
  unsigned n = 1;

  while(n < PREFIX && p + n < end && p[n] == *p)
    n++;
  return n;
}

/* Hands out what was held back, as data of the current stream. */
static int release_held(struct dt_demux *d, const char **data, size_t *size)
{
  *data = d->held_by == DT_STREAM_STDOUT ? "\1\1" : "\2\2";
  *size = d->held;
  d->held = 0;
  return d->stream != DT_STREAM_NONE || d->keep_unlabelled;
}

/* Continues the run that the last chunk ended in. 1 when it turned out to be
   data, which is then in *data, *size. */
static int resume_held(struct dt_demux *d, const char **data, size_t *size)
{
  while(d->held < PREFIX && d->at < d->end && *d->at == (char)d->held_by) {
    d->held++;
    d->at++;
  }
  if(d->held == PREFIX) {
    d->stream = d->held_by;
    d->held = 0;
    return 0;
  }
  if(d->at == d->end)
    return 0; /* still undecided: the chunk was all part of it */
  return release_held(d, data, size);
}

/* Finds the end of the data that begins at d->at: *next is where reading goes
   on behind it, *stream who then owns the bytes. */
static const char *data_end(struct dt_demux *d, const char **next,
                            enum dt_stream *stream)
{
  const char *p = d->at;

  for(;;) {
    unsigned n;

    p = find_candidate(p, d->end);
    if(p == d->end) {
      *next = p;
      return p;
    }
    n = run_length(p, d->end);
    if(n == PREFIX) {
      *stream = (enum dt_stream)*p;
      *next = p + n;
      return p;
    }
    if(p + n == d->end) {
      d->held = n;
      d->held_by = (enum dt_stream)*p;
      *next = d->end;
      return p;
    }
    p += n;
  }
}

int dt_demux_next(struct dt_demux *d, enum dt_stream *stream,
                  const char **data, size_t *size)
{
  if(d->held && d->at < d->end) {
    *stream = d->stream;
    if(resume_held(d, data, size))
      return 1;
  }
  while(d->at < d->end) {
    enum dt_stream now = d->stream;
    const char *begin = d->at;
    const char *end = data_end(d, &d->at, &d->stream);

    if(end > begin && (now != DT_STREAM_NONE || d->keep_unlabelled)) {
      *stream = now;
      *data = begin;
      *size = (size_t)(end - begin);
      return 1;
    }
  }
  if(d->finished && d->held) {
    *stream = d->stream;
    return release_held(d, data, size);
  }
  return 0;
}
