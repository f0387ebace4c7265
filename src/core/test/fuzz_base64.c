/*
 * fuzz_base64.c - libFuzzer target: what was encoded decodes to itself; what
 * decodes is what encodes to the text, whatever its alphabet and padding.
 */
#include "../base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void round_trip(enum dt_base64 kind, const uint8_t *data, size_t size)
{
  char *text = malloc(dt_base64_room(size) + 1);
  size_t length = dt_base64_encode(kind, data, size, text), n;
  char *back = malloc(length / 4 * 3 + 3);

  if(length > dt_base64_room(size))
    abort();
  n = dt_base64_decode(text, length, back);
  if(n != size || memcmp(back, data, size))
    abort();
  free(back);
  free(text);
}

/* The text in the plain alphabet, without padding. */
static size_t plain(const uint8_t *text, size_t size, char *to)
{
  size_t i;

  while(size && text[size - 1] == '=')
    size--;
  for(i = 0; i < size; i++)
    to[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : (char)text[i];
  return size;
}

static void decode(const uint8_t *text, size_t size)
{
  char *data = malloc(size / 4 * 3 + 3);
  size_t n = dt_base64_decode((const char *)text, size, data);

  if(n != (size_t)-1) {
    char *again = malloc(dt_base64_room(n) + 1);
    char *same = malloc(size + 1);
    size_t length = plain(text, size, same);
    size_t got = dt_base64_encode(DT_BASE64, data, n, again);

    if(got < length || memcmp(again, same, length))
      abort();
    free(same);
    free(again);
  }
  free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  round_trip(DT_BASE64, input, size);
  round_trip(DT_BASE64_URL, input, size);
  decode(input, size);
  return 0;
}
