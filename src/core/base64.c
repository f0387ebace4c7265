/*
 * base64.c - see base64.h.
 */
#include "base64.h"

#include <stdint.h>

#define BAD 255

static const char alphabets[2][65] = {
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
};

size_t dt_base64_room(size_t size)
{
  return (size + 2) / 3 * 4;
}

size_t dt_base64_encode(enum dt_base64 kind, const void *data, size_t size,
                        char *to)
{
  const char *digit = alphabets[kind];
  const unsigned char *p = data;
  char *begin = to;

  for(; size >= 3; size -= 3, p += 3) {
    *to++ = digit[p[0] >> 2];
    *to++ = digit[(p[0] & 3) << 4 | p[1] >> 4];
    *to++ = digit[(p[1] & 15) << 2 | p[2] >> 6];
    *to++ = digit[p[2] & 63];
  }
  if(size) {
    unsigned second = size > 1 ? p[1] : 0;

    *to++ = digit[p[0] >> 2];
    *to++ = digit[(p[0] & 3) << 4 | second >> 4];
    if(size > 1)
      *to++ = digit[(second & 15) << 2];
    for(; kind == DT_BASE64 && size < 3; size++)
      *to++ = '=';
  }
  return (size_t)(to - begin);
}

/* The value of a digit in either alphabet, or BAD. */
static unsigned value_of(char c)
{
  static const unsigned char values[256] = {
#define X BAD
#define X16 X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  62, X,  62, X,  63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X,  X,  X,  X,  X,  X,
    X,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X,  X,  X,  X,  63,
    X,  26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X,  X,  X,  X,  X,
    X16, X16, X16, X16, X16, X16, X16, X16
#undef X16
#undef X
  };

  return values[(unsigned char)c];
}

/* Without the padding: at most two "=", and only where they belong. */
static size_t trimmed(const char *text, size_t size)
{
  if(size % 4)
    return size;
  if(size && text[size - 1] == '=')
    size--;
  if(size % 4 == 3 && text[size - 1] == '=')
    size--;
  return size;
}

size_t dt_base64_decode(const char *text, size_t size, char *to)
{
  char *begin = to;
  uint32_t bits = 0;
  unsigned seen = 0; /* the values that came, or-ed: BAD alone has the top bit */
  size_t rest;

  size = trimmed(text, size);
  rest = size % 4;
  for(; size >= 4; size -= 4, text += 4) {
    unsigned a = value_of(text[0]), b = value_of(text[1]);
    unsigned c = value_of(text[2]), d = value_of(text[3]);

    seen |= a | b | c | d;
    *to++ = (char)(a << 2 | b >> 4);
    *to++ = (char)((b & 15) << 4 | c >> 2);
    *to++ = (char)((c & 3) << 6 | d);
  }
  for(; size; size--, text++) {
    seen |= value_of(*text);
    bits = bits << 6 | value_of(*text);
  }
  if(seen & 128)
    return (size_t)-1;
  if(rest == 1 || (rest == 2 && bits & 15) || (rest == 3 && bits & 3))
    return (size_t)-1;
  if(rest == 2) {
    *to++ = (char)(bits >> 4);
  } else if(rest == 3) {
    *to++ = (char)(bits >> 10);
    *to++ = (char)(bits >> 2 & 255);
  }
  return (size_t)(to - begin);
}
