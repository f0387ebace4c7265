/*
 * test_demux.c - the log demultiplexer: every split point of the samples, and
 * random logs against a plain reference.
 */
#include "../demux.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MAX 4096

/* What a log comes apart into: the bytes of each stream, and all bytes in the
   order in which they were handed out. */
struct parts {
  char data[3][LOG_MAX];
  size_t size[3];
};

static void add(struct parts *p, int stream, const char *data, size_t size)
{
  memcpy(p->data[stream] + p->size[stream], data, size);
  p->size[stream] += size;
}

static int same(const struct parts *a, const struct parts *b)
{
  int i;

  for(i = 0; i < 3; i++) {
    if(a->size[i] != b->size[i] || memcmp(a->data[i], b->data[i], a->size[i]))
      return 0;
  }
  return 1;
}

/* The definition, on the whole log. */
static void reference(const char *log, size_t size, int keep, struct parts *p)
{
  int stream = 0;
  size_t i = 0;

  memset(p, 0, sizeof(*p));
  while(i < size) {
    if(size - i >= 3 && (log[i] == 1 || log[i] == 2) && log[i + 1] == log[i] &&
       log[i + 2] == log[i]) {
      stream = log[i];
      i += 3;
    } else {
      if(stream || keep)
        add(p, stream, log + i, 1);
      i++;
    }
  }
}

static void drain(struct dt_demux *d, struct parts *p)
{
  enum dt_stream stream;
  const char *data;
  size_t size;

  while(dt_demux_next(d, &stream, &data, &size)) {
    CHECK(size > 0);
    add(p, (int)stream, data, size);
  }
}

/* Each chunk is fed from a block of its own, so that reading outside of it
   shows. */
static void feed(struct dt_demux *d, const char *data, size_t size,
                 struct parts *p)
{
  char *copy = malloc(size ? size : 1);

  memcpy(copy, data, size);
  dt_demux_feed(d, copy, size);
  drain(d, p);
  free(copy);
}

/* Feeds the log cut at `a` and `b`, and compares. */
static void cut_twice(const char *log, size_t size, size_t a, size_t b,
                      int keep)
{
  static struct parts got, want;
  struct dt_demux d;

  memset(&got, 0, sizeof(got));
  dt_demux_init(&d, keep);
  feed(&d, log, a, &got);
  feed(&d, log + a, b - a, &got);
  feed(&d, log + b, size - b, &got);
  dt_demux_finish(&d);
  drain(&d, &got);
  reference(log, size, keep, &want);
  CHECK(same(&got, &want));
}

static void every_cut(const char *log, size_t size)
{
  size_t a, b;

  for(a = 0; a <= size; a++) {
    for(b = a; b <= size; b++) {
      cut_twice(log, size, a, b, 0);
      cut_twice(log, size, a, b, 1);
    }
  }
}

static void test_samples(void)
{
  static const char *const samples[] = {
    "\1\1\1a\n\1\1\1b\n\2\2\2e\n",
    "\1\1\1\xc3\xa9\n\1\1\1",
    "\1\1\1abc\n\1",
    "\1\1\1abc\n\2\2",
    "lost\1\1\1kept\2\2\2err\n",
    "\1\1\1\1\1\1\1\2\2\2\2\2\2\2x",
    "\2\1\2\1\1\2\2\1\1\1\2\2\2\1\1",
    "\1\1\2\2\2\1\1a\2\2a",
    "no prefix at all",
    "\1\1",
    ""
  };
  size_t i;

  for(i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
    every_cut(samples[i], strlen(samples[i]));
}

/* The two streams of the first sample, spelt out. */
static void test_result(void)
{
  static const char log[] = "\1\1\1a\n\1\1\1b\n\2\2\2e\n";
  static struct parts got;
  struct dt_demux d;
  size_t i;

  memset(&got, 0, sizeof(got));
  dt_demux_init(&d, 0);
  for(i = 0; i < sizeof(log) - 1; i++)
    feed(&d, log + i, 1, &got);
  dt_demux_finish(&d);
  drain(&d, &got);
  CHECK(got.size[1] == 4 && !memcmp(got.data[1], "a\nb\n", 4));
  CHECK(got.size[2] == 2 && !memcmp(got.data[2], "e\n", 2));
}

/* A byte that cannot belong to a prefix is handed out at once. */
static void test_nothing_is_withheld(void)
{
  static struct parts got;
  struct dt_demux d;

  memset(&got, 0, sizeof(got));
  dt_demux_init(&d, 0);
  feed(&d, "\1\1\1prompt> ", 11, &got);
  CHECK(got.size[1] == 8);
  feed(&d, "\1", 1, &got);
  CHECK(got.size[1] == 8);
  feed(&d, "x", 1, &got);
  CHECK(got.size[1] == 10);
}

static void test_random(void)
{
  static const char alphabet[] = "\1\1\1\2\2\2\2\1ab\n\0\3";
  static char log[600];
  static struct parts got, want;
  unsigned round;

  for(round = 0; round < 4000; round++) {
    size_t size = check_random() % sizeof(log), at = 0;
    unsigned kinds = 2 + check_random() % 12;
    struct dt_demux d;
    size_t i;

    for(i = 0; i < size; i++)
      log[i] = alphabet[check_random() % kinds];
    memset(&got, 0, sizeof(got));
    dt_demux_init(&d, round & 1);
    while(at < size) {
      size_t n = 1 + check_random() % (round % 40 + 1);

      if(n > size - at)
        n = size - at;
      feed(&d, log + at, n, &got);
      at += n;
    }
    dt_demux_finish(&d);
    drain(&d, &got);
    reference(log, size, round & 1, &want);
    CHECK(same(&got, &want));
  }
}

void test_demux(void);

void test_demux(void)
{
  test_samples();
  test_result();
  test_nothing_is_withheld();
  test_random();
}
