/*
 * test_body.c - bodies of requests: memory, descriptors, queues, multipart.
 */
#define _GNU_SOURCE
#include "check.h"
#include "peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIG (3 * 1024 * 1024 + 17)

/* Random bytes, but no "=", which has a meaning in expect_parts. */
static char *noise(size_t size)
{
  char *data = malloc(size);
  size_t i;

  for(i = 0; i < size; i++) {
    data[i] = (char)check_random();
    if(data[i] == '=')
      data[i] = 0;
  }
  return data;
}

/* An open file with these bytes that has no name any more. */
static int file_with(const char *data, size_t size)
{
  FILE *f = tmpfile();
  int fd = dup(fileno(f));

  CHECK(fwrite(data, 1, size, f) == size);
  fclose(f);
  lseek(fd, 0, SEEK_SET);
  return fd;
}

/* The peer echoes: what comes back is what it got. */
static void expect_echo(struct dt_engine *e, struct dt_transfer *t,
                        const char *data, size_t size)
{
  struct dt_result r = *finish(e, t);

  CHECK(r.code == DT_OK && r.status == 200);
  CHECK(r.body_size == size && !memcmp(r.body, data, size));
  dt_transfer_free(t);
}

static void test_memory(struct dt_engine *e, struct peer *p)
{
  static const size_t sizes[] = { 0, 1, 1000, 65536, 65537, BIG };
  struct dt_request r = REQUEST(peer_url(p, "/"));
  char *data = noise(BIG);
  size_t i;

  r.method = "POST";
  r.body = DT_BODY_MEMORY;
  for(i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    struct dt_transfer *t;
    char *copy = malloc(sizes[i] + 1);

    memcpy(copy, data, sizes[i]);
    r.data = copy;
    r.size = sizes[i];
    t = begin(e, &r);
    memset(copy, 0, sizes[i] + 1); /* the transfer has its own */
    free(copy);
    expect_echo(e, t, data, sizes[i]);
  }
  free(data);
}

static void test_counts(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_result result;
  char *data = noise(BIG);

  r.method = "POST";
  r.body = DT_BODY_MEMORY;
  r.data = data;
  r.size = BIG;
  CHECK(fetch(e, &r, &result) == DT_OK);
  CHECK(result.sent == BIG && result.sent_total == BIG);
  CHECK(result.received == BIG && result.received_total == BIG);
  CHECK(result.request_sent && result.answer_started);
  CHECK(result.seconds > 0);
  free(data);
}

static void test_fd(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  char *data = noise(BIG);
  int fd = file_with(data, BIG);

  r.method = "PUT";
  r.body = DT_BODY_FD;
  r.fd = fd;
  r.length = BIG;
  expect_echo(e, begin(e, &r), data, BIG);
  lseek(fd, 1000, SEEK_SET); /* from the current position, chunked */
  r.method = "POST";
  r.length = -1;
  expect_echo(e, begin(e, &r), data + 1000, BIG - 1000);
  lseek(fd, 5, SEEK_SET); /* no more than announced */
  r.length = 20;
  expect_echo(e, begin(e, &r), data + 5, 20);
  close(fd);
  free(data);
}

static void test_fd_failures(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_result result;
  int fd = file_with("short", 5);

  r.method = "PUT";
  r.body = DT_BODY_FD;
  r.fd = fd;
  r.length = 10;
  CHECK(fetch(e, &r, &result) == DT_SOURCE && !result.os_error);
  close(fd);
  fd = open("/tmp", O_RDONLY | O_CLOEXEC); /* cannot be read */
  r.fd = fd;
  r.length = -1;
  CHECK(fetch(e, &r, &result) == DT_SOURCE && result.os_error);
  close(fd);
}

/* Feeds the queue until all was taken; how often it was full. */
static int feed(struct dt_engine *e, struct dt_transfer *t, const char *data,
                size_t size)
{
  int full = 0;

  while(size) {
    size_t n = size < 50000 ? size : 50000;
    size_t taken;

    CHECK(dt_transfer_write(t, data, n, &taken) == DT_OK);
    if(taken) {
      CHECK(taken == n);
      data += n;
      size -= n;
    } else {
      full++;
      CHECK(wait_for(e, t, DT_EVENT_WRITABLE) & DT_EVENT_WRITABLE);
    }
  }
  CHECK(dt_transfer_finish(t) == DT_OK);
  CHECK(dt_transfer_finish(t) == DT_OK);
  return full;
}

static void test_queue(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  char *data = noise(BIG);
  size_t taken;

  r.method = "POST";
  r.body = DT_BODY_QUEUE;
  r.length = -1;
  t = begin(e, &r);
  CHECK(feed(e, t, data, BIG) > 0); /* more than the queue holds */
  CHECK(dt_transfer_write(t, "x", 1, &taken) == DT_BAD_ARGUMENT && !taken);
  expect_echo(e, t, data, BIG);
  r.length = BIG;
  t = begin(e, &r);
  feed(e, t, data, BIG);
  expect_echo(e, t, data, BIG);
  t = begin(e, &r); /* shorter than announced */
  feed(e, t, data, 10);
  CHECK(finish(e, t)->code == DT_SOURCE);
  CHECK(dt_transfer_write(t, "x", 1, &taken) == DT_SOURCE);
  dt_transfer_free(t);
  free(data);
}

/* The transfer stands still while nothing is written, and goes on after. */
static void test_slow_queue(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  size_t taken;
  int i;

  r.method = "POST";
  r.body = DT_BODY_QUEUE;
  r.length = -1;
  t = begin(e, &r);
  for(i = 0; i < 5; i++) {
    dt_engine_poll(e, 0.01, NULL);
    dt_engine_poll(e, 0.01, NULL);
    CHECK(dt_transfer_write(t, "word ", 5, &taken) == DT_OK && taken == 5);
  }
  dt_engine_poll(e, 0.01, NULL);
  CHECK(dt_transfer_finish(t) == DT_OK);
  expect_echo(e, t, "word word word word word ", 25);
  r.body = DT_BODY_NONE;
  t = begin(e, &r);
  CHECK(dt_transfer_write(t, "x", 1, &taken) == DT_BAD_ARGUMENT);
  finish(e, t);
  dt_transfer_free(t);
}

/* Checks the echoed multipart body against the parts, in which "=B=" stands
   for the boundary that its first line names. */
static void expect_parts(struct dt_engine *e, struct dt_transfer *t,
                         const char *pattern, size_t size)
{
  struct dt_result r = *finish(e, t);
  char *want = malloc(size * 2 + 1000), *at = want;
  const char *end = memchr(r.body, '\r', r.body_size);
  size_t boundary = end ? (size_t)(end - r.body) : 0;
  size_t i;

  CHECK(r.code == DT_OK && boundary > 2);
  for(i = 0; i < size; i++) {
    if(i + 3 <= size && !memcmp(pattern + i, "=B=", 3)) {
      memcpy(at, r.body, boundary);
      at += boundary;
      i += 2;
    } else
      *at++ = pattern[i];
  }
  CHECK(r.body_size == (size_t)(at - want));
  CHECK(r.body_size == (size_t)(at - want) &&
        !memcmp(want, r.body, r.body_size));
  free(want);
  dt_transfer_free(t);
}

static const char field[] =
  "=B=\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n"
  "/a b/\"c\"\r\n";
static const char file_head[] =
  "=B=\r\nContent-Disposition: form-data; name=\"file\"; "
  "filename=\"r\xc3\xa9p %22x%22.bin\"\r\n"
  "Content-Type: application/octet-stream\r\n\r\n";
static const char typed[] =
  "\r\n=B=\r\nContent-Disposition: form-data; name=\"j\"\r\n"
  "Content-Type: application/json\r\n\r\n{}\r\n=B=--\r\n";

static void test_multipart(struct dt_engine *e, struct peer *p,
                           enum dt_body_kind kind, int64_t length)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_part parts[3];
  char *data = noise(BIG), *want = malloc(BIG + 1000);
  size_t size = sizeof(field) - 1;
  struct dt_transfer *t;

  memset(parts, 0, sizeof(parts));
  parts[0].name = "path";
  parts[0].kind = parts[2].kind = DT_BODY_MEMORY;
  parts[0].data = "/a b/\"c\"";
  parts[0].size = 8;
  parts[1].name = "file";
  parts[1].filename = "r\xc3\xa9p \"x\".bin";
  parts[1].kind = kind;
  parts[1].data = data;
  parts[1].size = BIG;
  parts[1].fd = file_with(data, BIG);
  parts[1].length = length;
  parts[2].name = "j";
  parts[2].type = "application/json";
  parts[2].data = "{}";
  parts[2].size = 2;
  r.method = "POST";
  r.body = DT_BODY_MULTIPART;
  r.parts = parts;
  r.nparts = 3;
  t = begin(e, &r);
  if(kind == DT_BODY_QUEUE)
    feed(e, t, data, BIG);
  memcpy(want, field, size);
  memcpy(want + size, file_head, sizeof(file_head) - 1);
  size += sizeof(file_head) - 1;
  memcpy(want + size, data, BIG);
  size += BIG;
  memcpy(want + size, typed, sizeof(typed) - 1);
  size += sizeof(typed) - 1;
  expect_parts(e, t, want, size);
  close(parts[1].fd);
  free(want);
  free(data);
}

static void test_short_part(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_part part;
  int fd = file_with("short", 5);

  memset(&part, 0, sizeof(part));
  part.name = "file";
  part.kind = DT_BODY_FD;
  part.fd = fd;
  part.length = 100;
  r.method = "POST";
  r.body = DT_BODY_MULTIPART;
  r.parts = &part;
  r.nparts = 1;
  CHECK(fetch(e, &r, NULL) == DT_SOURCE);
  close(fd);
}

void test_body(void);

void test_body(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(peer_echo, NULL);

  test_memory(e, p);
  test_counts(e, p);
  test_fd(e, p);
  test_fd_failures(e, p);
  test_queue(e, p);
  test_slow_queue(e, p);
  test_multipart(e, p, DT_BODY_MEMORY, 0);
  test_multipart(e, p, DT_BODY_FD, BIG);
  test_multipart(e, p, DT_BODY_FD, -1);
  test_multipart(e, p, DT_BODY_QUEUE, BIG);
  test_multipart(e, p, DT_BODY_QUEUE, -1);
  test_short_part(e, p);
  test_memory(e, p); /* a handle that carried streams is as good as new */
  dt_engine_free(e);
  peer_close(p);
}
