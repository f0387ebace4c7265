/*
 * ws_align.c - see ws_align.h.
 */
#include "ws_align.h"

#include <string.h>

/* What the first bytes of a frame say. */
struct frame {
  int control;
  size_t head;      /* bytes of the header */
  uint64_t payload;
};

/* Reads a frame's header: 1, or 0 when more bytes are needed. */
static int read_head(const unsigned char *p, size_t size, struct frame *f)
{
  size_t i, extra;

  if(size < 2)
    return 0;
  f->control = p[0] >> 3 & 1;
  f->payload = p[1] & 127;
  extra = f->payload < 126 ? 0 : f->payload == 126 ? 2 : 8;
  f->head = 2 + extra + (p[1] & 128 ? 4 : 0);
  if(f->control && extra) { /* no valid one: not for us to keep */
    f->control = 0;
    f->payload = 0;
    f->head = 2;
    return 1;
  }
  if(size < f->head)
    return 0;
  if(extra) {
    for(f->payload = 0, i = 0; i < extra; i++)
      f->payload = f->payload << 8 | p[2 + i];
  }
  return 1;
}

/* How many of these bytes are data frames, up to a control frame or to the
   beginning of a frame that is not clear yet. */
static size_t data_run(struct dt_ws_align *a, const unsigned char *p,
                       size_t size)
{
  struct frame f;
  size_t at = 0;

  for(;;) {
    size_t n = a->left < size - at ? (size_t)a->left : size - at;

    at += n;
    a->left -= n;
    if(at == size || !read_head(p + at, size - at, &f) || f.control)
      return at;
    at += f.head;
    a->left = f.payload;
  }
}

/* Completes what is held with bytes from the input. 1 when it can be handed
   out: a whole control frame, or the header of a data frame. */
static int fill_held(struct dt_ws_align *a, const char **at, size_t *size)
{
  struct frame f;

  for(;;) {
    if(read_head(a->held, a->held_size, &f)) {
      if(!f.control) {
        a->left = f.payload;
        return 1;
      }
      if(a->held_size == f.head + f.payload)
        return 1;
    }
    if(!*size)
      return 0;
    a->held[a->held_size++] = (unsigned char)**at;
    ++*at;
    --*size;
  }
}

int dt_ws_align_next(struct dt_ws_align *a, const char **at, size_t *size,
                     const char **run, size_t *run_size)
{
  if(a->given)
    a->held_size = 0;
  a->given = 0;
  if(!a->held_size) {
    size_t n = data_run(a, (const unsigned char *)*at, *size);

    *run = *at;
    *run_size = n;
    *at += n;
    *size -= n;
    if(n)
      return 1;
    if(!*size)
      return 0;
  }
  if(!fill_held(a, at, size))
    return 0;
  a->given = 1;
  *run = (const char *)a->held;
  *run_size = a->held_size;
  return 1;
}
