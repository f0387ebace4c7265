/*
 * fuzz_demux.c - libFuzzer target: any log, cut in two ways, is taken apart without
 * harm into the same streams, and nothing of it is lost or made up.
 *
 * The first byte of the input says how the rest is cut.
 */
#include "../demux.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct story {
  uint64_t sum[3]; /* a checksum of each stream */
  size_t bytes;
};

static void take(struct dt_demux *d, struct story *s)
{
  enum dt_stream stream;
  const char *data;
  size_t n, i;

  while(dt_demux_next(d, &stream, &data, &n)) {
    if(!n || stream > DT_STREAM_STDERR)
      abort();
    for(i = 0; i < n; i++)
      s->sum[stream] =
        (s->sum[stream] ^ (unsigned char)data[i]) * 1099511628211u;
    s->bytes += n;
  }
}

static void read_log(const uint8_t *log, size_t size, size_t chunk, int keep,
                     struct story *s)
{
  struct dt_demux d;
  size_t at;

  memset(s, 0, sizeof(*s));
  dt_demux_init(&d, keep);
  for(at = 0; at < size; at += chunk) {
    size_t n = size - at < chunk ? size - at : chunk;
    char *copy = malloc(n);

    memcpy(copy, log + at, n);
    dt_demux_feed(&d, copy, n);
    take(&d, s);
    free(copy);
  }
  dt_demux_finish(&d);
  take(&d, s);
}

/* How many bytes of prefixes there are. */
static size_t prefixes(const uint8_t *log, size_t size)
{
  size_t i, n = 0;

  for(i = 0; i + 2 < size;) {
    int is = (log[i] == 1 || log[i] == 2) && log[i + 1] == log[i] &&
             log[i + 2] == log[i];

    n += is ? 3 : 0;
    i += is ? 3 : 1;
  }
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  struct story whole, cut;

  if(size < 2)
    return 0;
  read_log(input + 1, size - 1, size, 1, &whole);
  read_log(input + 1, size - 1, input[0] % 8 + 1, 1, &cut);
  if(memcmp(&whole, &cut, sizeof(cut)) ||
     whole.bytes + prefixes(input + 1, size - 1) != size - 1)
    abort();
  read_log(input + 1, size - 1, input[0] % 8 + 1, 0, &cut);
  if(cut.sum[1] != whole.sum[1] || cut.sum[2] != whole.sum[2] || cut.sum[0])
    abort();
  return 0;
}
