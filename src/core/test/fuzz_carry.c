/*
 * fuzz_carry.c - libFuzzer target: whatever bytes a peer sends as the answer to a small
 * request, cut anywhere, are read without harm, within their bounds.
 *
 * The first byte of the input says how it is cut, and what was asked for.
 */
#include "../carry.h"
#include "../engine.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define MOST 500

static struct dt_transfer *begin(struct dt_engine *e, unsigned how)
{
  static const char *const methods[] = { "GET", "HEAD", "POST", "PUT" };
  struct dt_request r = { .url = "http://127.0.0.1:1/" };
  struct dt_transfer *t;
  const char *data;
  size_t size;

  r.method = methods[how % 4];
  r.max_bytes = MOST;
  if(dt_carry_start(e, &r, &t, NULL) || dt_carry_compose(t, how & 4, &data, &size))
    abort();
  return t;
}

static enum dt_carry feed(struct dt_transfer *t, const uint8_t *s, size_t size)
{
  char *copy = malloc(size);
  enum dt_carry verdict;

  memcpy(copy, s, size);
  verdict = dt_carry_feed(t, copy, size);
  free(copy);
  return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  static struct dt_engine *e;
  enum dt_carry verdict = DT_CARRY_MORE;
  struct dt_transfer *t;
  struct dt_result r;
  size_t at = 1, chunk;

  if(!size)
    return 0;
  if(!e && dt_engine_new(&e, NULL))
    abort();
  t = begin(e, input[0]);
  for(chunk = input[0] / 8 + 1u; at < size && verdict == DT_CARRY_MORE; at += chunk)
    verdict = feed(t, input + at, size - at < chunk ? size - at : chunk);
  if(verdict == DT_CARRY_MORE)
    verdict = dt_carry_cut(t);
  dt_transfer_result(t, &r);
  if(verdict == DT_CARRY_MORE || r.done != (verdict != DT_CARRY_BACK) ||
     r.status < 0 || r.status > 999 ||
     r.header_size > DT_HEADERS_MAX || r.body_size > MOST ||
     (verdict == DT_CARRY_KEEP && r.code))
    abort();
  dt_transfer_free(t);
  return 0;
}
