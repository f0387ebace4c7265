/*
 * test_parts.c - the engine's small parts on their own: the chunk queue and
 * the heap of deadlines.
 */
#include "../chunk_queue.h"
#include "../deadlines.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define TOTAL 400000

static void test_bytes_come_out_as_they_went_in(void)
{
  struct dt_chunk_queue q = { NULL, NULL, 0, NULL, 0 };
  char *in = malloc(TOTAL), *out = malloc(TOTAL);
  size_t written = 0, got = 0, i;

  for(i = 0; i < TOTAL; i++)
    in[i] = (char)check_random();
  while(got < TOTAL) {
    size_t n = check_random() % 9000;

    if(n > TOTAL - written)
      n = TOTAL - written;
    CHECK(dt_chunk_queue_append(&q, in + written, n) == 0);
    written += n;
    if(check_random() & 1) {
      n = check_random() % 8000;
      got += dt_chunk_queue_read(&q, out + got, n);
    } else {
      struct dt_chunk *c = dt_chunk_queue_take(&q);

      if(c) {
        memcpy(out + got, dt_chunk_data(c), c->to - c->from);
        got += c->to - c->from;
        dt_chunk_queue_give_back(&q, c);
      }
    }
    CHECK(q.size == written - got);
  }
  CHECK(!memcmp(in, out, TOTAL));
  CHECK(!q.head && !q.tail);
  dt_chunk_queue_append(&q, in, 10);
  dt_chunk_queue_clear(&q);
  CHECK(!q.size && !q.head);
  free(in);
  free(out);
}

static void test_large_chunks_are_used_again(void)
{
  struct dt_chunk_queue q = { NULL, NULL, 0, NULL, 0 };
  static const char data[65536];
  struct dt_chunk *c;
  int i;

  dt_chunk_queue_give_back(&q, NULL);
  CHECK(!dt_chunk_queue_append(&q, data, 10));
  dt_chunk_queue_give_back(&q, dt_chunk_queue_take(&q));
  CHECK(!q.spares); /* a small one */
  CHECK(!dt_chunk_queue_append(&q, data, sizeof(data)));
  c = dt_chunk_queue_take(&q);
  dt_chunk_queue_give_back(&q, c);
  CHECK(q.spares == 1);
  CHECK(!dt_chunk_queue_append(&q, data, 10));
  CHECK(!q.spares || q.head != c); /* not for a few bytes */
  CHECK(!dt_chunk_queue_append(&q, data, sizeof(data)));
  CHECK(!q.spares && q.tail == c);
  for(i = 0; i < 40; i++)
    CHECK(!dt_chunk_queue_append(&q, data, sizeof(data)));
  for(c = dt_chunk_queue_take(&q); c; c = dt_chunk_queue_take(&q))
    dt_chunk_queue_give_back(&q, c);
  CHECK(q.spares > 1 && q.spares < 40);
  dt_chunk_queue_clear(&q);
  CHECK(!q.spares && !q.spare);
}

static void test_deadlines_come_in_order(void)
{
  static struct dt_deadline nodes[500];
  struct dt_deadlines h = { NULL, 0, 0, 0 };
  double last = 0;
  int i, left = 500;

  for(i = 0; i < 500; i++) {
    CHECK(dt_deadlines_reserve(&h) == 0);
    dt_deadlines_set(&h, &nodes[i], check_random() % 1000 + 1);
  }
  for(i = 0; i < 500; i += 3) {
    dt_deadlines_remove(&h, &nodes[i]);
    dt_deadlines_remove(&h, &nodes[i]); /* twice does no harm */
    left--;
  }
  for(i = 1; i < 500; i += 3)
    dt_deadlines_set(&h, &nodes[i], check_random() % 1000 + 1);
  while(dt_deadlines_first(&h)) {
    struct dt_deadline *d = dt_deadlines_first(&h);

    CHECK(d->when >= last);
    last = d->when;
    dt_deadlines_remove(&h, d);
    left--;
  }
  CHECK(left == 0);
  dt_deadlines_free(&h);
}

void test_parts(void);

void test_parts(void)
{
  test_bytes_come_out_as_they_went_in();
  test_large_chunks_are_used_again();
  test_deadlines_come_in_order();
}
