/*
 * fuzz_answer.c - libFuzzer target: whatever lines and bytes libcurl hands on as an
 * answer, they go where answers go without harm, within their bounds.
 *
 * The first byte of the input says where the answer goes, the second how large it
 * may be and how its body is cut. Lines up to a blank one are headers, the rest is a
 * body, and behind a byte 0xff trailers.
 */
#include "../engine.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* A transfer that waits in its queue, as if it were under way. */
static struct dt_transfer *begin(struct dt_engine *e, int sink, int room)
{
  struct dt_request r = { .url = "http://127.0.0.1:1/" };
  struct dt_transfer *t;

  r.sink = sink ? DT_SINK_QUEUE : DT_SINK_MEMORY;
  r.max_bytes = (uint64_t)room * 4;
  if(dt_transfer_start(e, &r, &t, NULL))
    abort();
  return t;
}

/* Hands a copy of its own on: 1 unless it was refused. */
static int give(size_t (*take)(char *, size_t, size_t, void *), const uint8_t *s,
                size_t size, struct dt_handle *h)
{
  char *copy = malloc(size);
  size_t n;

  memcpy(copy, s, size);
  n = take(copy, 1, size, h);
  free(copy);
  return n == size;
}

static int give_lines(const uint8_t **at, const uint8_t *end,
                      struct dt_transfer *t, struct dt_handle *h)
{
  while(*at < end && !t->answered) {
    const uint8_t *stop = memchr(*at, '\n', (size_t)(end - *at));
    const uint8_t *line = *at;

    *at = stop ? stop + 1 : end;
    if(!give(dt_sink_header, line, (size_t)(*at - line), h))
      return 0;
  }
  return t->answered;
}

static int give_body(const uint8_t **at, const uint8_t *end, size_t chunk,
                     struct dt_handle *h)
{
  while(*at < end && **at != 0xff) {
    const uint8_t *stop = memchr(*at, 0xff, (size_t)(end - *at));
    size_t n = (size_t)((stop ? stop : end) - *at);

    if(n > chunk)
      n = chunk;
    if(!give(dt_sink_body, *at, n, h))
      return 0;
    *at += n;
  }
  return 1;
}

static void check(const struct dt_transfer *t, uint64_t room)
{
  struct dt_result r;
  size_t i, lines = 0;

  dt_transfer_result(t, &r);
  for(i = 0; i < r.header_size; i++)
    lines += r.header_block[i] == '\n';
  if(r.status < 0 || r.status > 999 || r.header_size > DT_HEADERS_MAX ||
     (r.header_size && !lines) || r.received_total < -1 ||
     (t->code && t->code > -1) || (room && r.body_size > room))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  static struct dt_engine *e;
  const uint8_t *at = input + 2, *end = input + size;
  struct dt_transfer *t;
  struct dt_handle h;

  if(size < 2)
    return 0;
  if(!e && dt_engine_new(&e, NULL))
    abort();
  t = begin(e, input[0] & 1, input[1]);
  memset(&h, 0, sizeof(h));
  h.flow = &t->flow;
  if(give_lines(&at, end, t, &h) && give_body(&at, end, input[1] % 16 + 1u, &h))
    while(at < end && give(dt_sink_header, at, 1, &h))
      at++;
  check(t, (uint64_t)input[1] * 4);
  dt_transfer_free(t);
  return 0;
}
