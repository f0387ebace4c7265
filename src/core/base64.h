/*
 * base64.h - RFC 4648, both alphabets.
 */
#ifndef DAYTONA_BASE64_H
#define DAYTONA_BASE64_H

#include <stddef.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

enum dt_base64 {
  DT_BASE64,    /* + and /, padded with = */
  DT_BASE64_URL /* - and _, not padded */
};

/* Room that the text of `size` bytes needs, without a terminating NUL. */
size_t dt_base64_room(size_t size);

/* Writes the text to `to`; returns its length. */
size_t dt_base64_encode(enum dt_base64 kind, const void *data, size_t size,
                        char *to);

/* Decodes either alphabet, with or without padding, into `to`, which has room
   for size / 4 * 3 + 3 bytes. Returns how many bytes, or (size_t)-1 when the
   text is malformed (also when bits behind its end are not zero). */
size_t dt_base64_decode(const char *text, size_t size, char *to);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
