/*
 * chunked.c - see chunked.h.
 */
#include "chunked.h"

#define DIGITS_MAX 15 /* of a size, which so fits 64 bits well */

static int hex_value(char c)
{
  if(c >= '0' && c <= '9')
    return c - '0';
  if(c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void end_of_size_line(struct dt_chunked *c)
{
  if(!c->digits)
    c->state = DT_CHUNKED_MALFORMED;
  else
    c->state = c->left ? DT_CHUNKED_DATA : DT_CHUNKED_TRAILER;
  c->digits = 0;
}

/* A byte of the line before a chunk. */
static void feed_size(struct dt_chunked *c, char byte)
{
  int digit = hex_value(byte);

  if(byte == '\n')
    end_of_size_line(c);
  else if(c->state == DT_CHUNKED_EXTENSION)
    return;
  else if(digit < 0)
    c->state = c->digits ? DT_CHUNKED_EXTENSION : DT_CHUNKED_MALFORMED;
  else if(c->digits++ < DIGITS_MAX)
    c->left = c->left * 16 + (unsigned)digit;
  else
    c->state = DT_CHUNKED_MALFORMED;
}

/* A byte of the lines behind the last chunk, of which an empty one is the end. */
static void feed_trailer(struct dt_chunked *c, char byte)
{
  if(++c->trailer_size > DT_CHUNKED_TRAILERS)
    c->state = DT_CHUNKED_MALFORMED;
  else if(byte == '\n') {
    if(!c->line_size)
      c->state = DT_CHUNKED_FINISHED;
    c->line_size = 0;
  } else if(byte != '\r')
    c->line_size++;
}

static void feed_data_end(struct dt_chunked *c, char byte)
{
  if(byte == '\n')
    c->state = DT_CHUNKED_SIZE;
  else if(byte != '\r')
    c->state = DT_CHUNKED_MALFORMED;
}

static void feed_byte(struct dt_chunked *c, char byte)
{
  if(c->state == DT_CHUNKED_TRAILER)
    feed_trailer(c, byte);
  else if(c->state == DT_CHUNKED_DATA_END)
    feed_data_end(c, byte);
  else
    feed_size(c, byte);
}

size_t dt_chunked_feed(struct dt_chunked *c, const char *bytes, size_t size,
                       const char **data, size_t *n)
{
  size_t at = 0;

  *data = bytes;
  *n = 0;
  while(at < size && c->state < DT_CHUNKED_FINISHED) {
    if(c->state != DT_CHUNKED_DATA) {
      feed_byte(c, bytes[at++]);
      continue;
    }
    *data = bytes + at;
    *n = size - at < c->left ? size - at : (size_t)c->left;
    c->left -= *n;
    if(!c->left)
      c->state = DT_CHUNKED_DATA_END;
    return at + *n;
  }
  return at;
}
