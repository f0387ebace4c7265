/*
 * fuzz_multipart_reader.c - libFuzzer target: any body, cut in two ways, is
 * read without harm and tells the same. See `make fuzz`.
 *
 * The first byte of the input says how the rest is cut.
 */
#include "../core.h"
#include "../multipart_reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* A checksum of what was told, and the code in the end. */
struct story {
  uint64_t sum;
  uint64_t parts;
  int code;
};

static void tell(struct story *s, const char *data, size_t size)
{
  size_t i;

  for(i = 0; i < size; i++)
    s->sum = (s->sum ^ (unsigned char)data[i]) * 1099511628211u;
}

static void take(struct dt_multipart *m, struct story *s)
{
  struct dt_multipart_event e;
  int what;

  for(;;) {
    what = dt_multipart_next(m, &e);
    if(what <= DT_MULTIPART_MORE)
      return;
    s->parts += what != DT_MULTIPART_DATA;
    tell(s, e.name, e.name_size);
    tell(s, e.filename, e.filename_size);
    tell(s, e.type, e.type_size);
    tell(s, e.data, e.size);
  }
}

static void read_body(const uint8_t *body, size_t size, size_t chunk,
                      struct story *s)
{
  static const char type[] = "multipart/form-data; boundary=B";
  struct dt_multipart *m;
  size_t at;

  memset(s, 0, sizeof(*s));
  if(dt_multipart_new(&m, type, sizeof(type) - 1))
    abort();
  for(at = 0; at < size; at += chunk) {
    size_t n = size - at < chunk ? size - at : chunk;
    char *copy = malloc(n);

    memcpy(copy, body + at, n);
    dt_multipart_feed(m, copy, n);
    take(m, s);
    free(copy);
  }
  s->code = dt_multipart_finish(m);
  dt_multipart_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  struct story whole, cut;

  if(!size)
    return 0;
  read_body(input + 1, size - 1, size, &whole);
  read_body(input + 1, size - 1, input[0] % 32 + 1, &cut);
  if(whole.sum != cut.sum || whole.parts != cut.parts ||
     whole.code != cut.code)
    abort();
  return 0;
}
