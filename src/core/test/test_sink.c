/*
 * test_sink.c - where answers go: memory, descriptors, queues.
 */
#define _GNU_SOURCE
#include "check.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIG (8 * 1024 * 1024 + 5)

/* /N/STATUS: N bytes, announced; /N/STATUS/chunked: not announced; /N/STATUS/open:
   until the connection is closed. The bytes count from a to z. */
static void measured(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  int status, i;
  long size;

  (void)p;
  (void)n;
  while(peer_read(fd, r)) {
    char *body, head[128];

    if(sscanf(r->head, "GET /%ld/%d", &size, &status) != 2)
      abort();
    body = malloc((size_t)size + 1);
    for(i = 0; i < size; i++)
      body[i] = (char)('a' + i % 26);
    if(contains(r->head, "/chunked"))
      snprintf(head, sizeof(head),
               "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n%lx\r\n",
               status, size);
    else if(contains(r->head, "/open"))
      snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\n\r\n", status);
    else
      snprintf(head, sizeof(head),
               "HTTP/1.1 %d X\r\nContent-Length: %ld\r\n\r\n", status, size);
    peer_send(fd, head);
    peer_send_bytes(fd, body, (size_t)size);
    if(contains(r->head, "/chunked"))
      peer_send(fd, size ? "\r\n0\r\nX-Late: 1\r\n\r\n" : "\r\n");
    free(body);
    free(r->body);
    r->body = NULL;
    if(contains(r->head, "/open"))
      break;
  }
  free(r->body);
  free(r);
}

static int is_measured(const char *data, size_t size, size_t from)
{
  size_t i;

  for(i = 0; i < size; i++) {
    if(data[i] != (char)('a' + (i + from) % 26))
      return 0;
  }
  return 1;
}

static void test_memory(struct dt_engine *e, struct peer *p)
{
  static const char *const paths[] = { "/8388613/200", "/8388613/200/chunked",
                                       "/8388613/404" };
  size_t i;

  for(i = 0; i < 3; i++) {
    struct dt_request r = REQUEST(peer_url(p, paths[i]));
    struct dt_transfer *t;
    struct dt_result result;

    r.max_bytes = BIG;
    t = begin(e, &r);
    result = *finish(e, t);
    CHECK(result.code == DT_OK && result.body_size == BIG);
    CHECK(is_measured(result.body, result.body_size, 0));
    CHECK(!memmem(result.header_block, result.header_size, "X-Late", 6));
    dt_transfer_free(t);
  }
}

static void test_cap(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/1001/200"));
  struct dt_result result;

  r.max_bytes = 1000;
  CHECK(fetch(e, &r, &result) == DT_TOO_LARGE);
  CHECK(result.received == 0); /* the announcement was enough */
  CHECK(result.status == 200);
  r.url = peer_url(p, "/1001/200/chunked");
  CHECK(fetch(e, &r, NULL) == DT_TOO_LARGE);
  r.url = peer_url(p, "/1000/200/chunked");
  CHECK(fetch(e, &r, NULL) == DT_OK);
}

static void test_fd(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/8388613/200"));
  struct dt_result result;
  FILE *f = tmpfile();
  char *data = malloc(BIG);

  r.sink = DT_SINK_FD;
  r.sink_fd = fileno(f);
  CHECK(fetch(e, &r, &result) == DT_OK);
  CHECK(result.received == BIG && result.body_size == 0);
  CHECK(pread(fileno(f), data, BIG, 0) == BIG && is_measured(data, BIG, 0));
  r.max_bytes = BIG - 1;
  CHECK(fetch(e, &r, NULL) == DT_TOO_LARGE);
  fclose(f);
  free(data);
}

static int holds(FILE *f, size_t size)
{
  char *data = malloc(size + 1);
  ssize_t n = pread(fileno(f), data, size + 1, 0);
  int fine = n == (ssize_t)size && is_measured(data, size, 0);

  free(data);
  return fine;
}

/* Two come at once, and neither gets a byte of the other. */
static void test_two_files(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/3000017/200"));
  struct dt_transfer *t[2];
  FILE *f[2];
  int i;

  r.sink = DT_SINK_FD;
  for(i = 0; i < 2; i++) {
    f[i] = tmpfile();
    r.sink_fd = fileno(f[i]);
    t[i] = begin(e, &r);
  }
  for(i = 0; i < 2; i++)
    CHECK(finish(e, t[i])->code == DT_OK && holds(f[i], 3000017));
  for(i = 0; i < 2; i++) {
    dt_transfer_free(t[i]);
    fclose(f[i]);
  }
}

/* A file that cannot be written, beside one that can; the last bytes count, too. */
static void test_unwritable_file(struct dt_engine *e, struct peer *p)
{
  static const char *const paths[] = { "/3000017/200", "/16/200", "/16/404" };
  struct dt_request r = REQUEST(NULL);
  int i, fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

  if(fd < 0)
    fd = open("/bin/sh", O_RDONLY | O_CLOEXEC);
  for(i = 0; i < 3; i++) {
    FILE *f = tmpfile();
    struct dt_transfer *fine, *bad;

    r.sink = DT_SINK_FD;
    r.url = peer_url(p, "/3000017/200");
    r.sink_fd = fileno(f);
    fine = begin(e, &r);
    r.url = peer_url(p, paths[i]);
    r.sink_fd = fd;
    bad = begin(e, &r);
    if(i < 2) {
      CHECK(finish(e, bad)->code == DT_SINK);
      CHECK(finish(e, bad)->os_error == EBADF);
      CHECK(contains(finish(e, bad)->message, strerror(EBADF)));
    } else
      CHECK(finish(e, bad)->code == DT_OK); /* nothing is written */
    CHECK(finish(e, fine)->code == DT_OK && holds(f, 3000017));
    dt_transfer_free(bad);
    dt_transfer_free(fine);
    fclose(f);
  }
  close(fd);
}

/* Between steps nothing waits for more: what came is in the file, also of what is
   given up then. */
static void test_file_grows(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/8388613/200"));
  struct dt_transfer *t;
  struct dt_result result;
  FILE *f = tmpfile();
  struct stat about;
  double limit = dt_now() + 10;

  r.sink = DT_SINK_FD;
  r.sink_fd = fileno(f);
  t = begin(e, &r);
  do {
    dt_engine_step(e, 1e-9);
    dt_transfer_result(t, &result);
    CHECK(!fstat(fileno(f), &about));
    CHECK((uint64_t)about.st_size == result.received);
  } while(result.received < 1000000 && dt_now() < limit);
  CHECK(result.received >= 1000000);
  dt_transfer_cancel(t);
  CHECK(holds(f, result.received));
  dt_transfer_free(t);
  fclose(f);
}

static void test_full_disk(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/100000/200"));
  struct dt_result result;
  struct dt_transfer *t;
  int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

  r.sink = DT_SINK_FD;
  r.sink_fd = fd;
  t = begin(e, &r);
  result = *finish(e, t);
  CHECK(result.code == DT_SINK && result.os_error == ENOSPC);
  CHECK(contains(result.message, strerror(ENOSPC)));
  dt_transfer_free(t);
  close(fd);
}

/* Answers that are no success never reach the sink. */
static void test_error_bodies(struct dt_engine *e, struct peer *p)
{
  static const enum dt_sink_kind kinds[] = { DT_SINK_FD, DT_SINK_QUEUE };
  struct dt_request r = REQUEST(NULL);
  struct dt_transfer *t;
  struct dt_result result;
  FILE *f = tmpfile();
  const char *data;
  size_t i, size;

  r.sink_fd = fileno(f);
  for(i = 0; i < 2; i++) {
    r.sink = kinds[i];
    r.url = peer_url(p, "/100/404");
    t = begin(e, &r);
    result = *finish(e, t);
    CHECK(result.code == DT_OK && result.status == 404);
    CHECK(result.body_size == 100 && is_measured(result.body, 100, 0));
    if(kinds[i] == DT_SINK_QUEUE)
      CHECK(dt_transfer_read(t, &data, &size) == 2);
    dt_transfer_free(t);
    r.url = peer_url(p, "/1000000/500"); /* the end of a long one is dropped */
    t = begin(e, &r);
    result = *finish(e, t);
    CHECK(result.code == DT_OK && result.status == 500);
    CHECK(result.body_size == 65536 && result.received == 1000000);
    dt_transfer_free(t);
    r.max_bytes = 10;
    CHECK(fetch(e, &r, &result) == DT_OK && result.body_size == 10);
    r.max_bytes = 0;
  }
  CHECK(lseek(fileno(f), 0, SEEK_END) == 0);
  fclose(f);
}

/* Takes all there is; the sum of bytes, or a negative code. *end is set when
   the end was reached. */
static long drain(struct dt_transfer *t, size_t from, int *end)
{
  const char *data;
  size_t size;
  long sum = 0;
  int rc = dt_transfer_read(t, &data, &size);

  while(rc == 1) {
    CHECK(size > 0 && is_measured(data, size, from + (size_t)sum));
    sum += (long)size;
    rc = dt_transfer_read(t, &data, &size);
  }
  *end = rc;
  return sum;
}

static void test_queue(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/8388613/200"));
  struct dt_transfer *t;
  struct dt_result result;
  unsigned seen;
  size_t sum = 0;
  int end = 0, i;

  r.sink = DT_SINK_QUEUE;
  t = begin(e, &r);
  seen = wait_for(e, t, DT_EVENT_HEADERS);
  CHECK(seen & DT_EVENT_HEADERS);
  dt_transfer_result(t, &result);
  CHECK(result.status == 200 && result.received_total == BIG);
  for(i = 0; i < 100; i++) /* nobody reads: the peer has to wait */
    dt_engine_poll(e, 0.001, NULL);
  dt_transfer_result(t, &result);
  CHECK(!result.done && result.received < 2 * 1024 * 1024);
  while(!end) {
    sum += (size_t)drain(t, sum, &end);
    if(!end)
      wait_for(e, t, DT_EVENT_READABLE);
  }
  CHECK(end == 2 && sum == BIG);
  CHECK(finish(e, t)->code == DT_OK);
  dt_transfer_free(t);
}

/* What came before a failure is handed out before the failure is told. */
static void test_failing_queue(struct dt_engine *e)
{
  char text[] = "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nabcdef";
  struct peer *p = peer_open(peer_says, text);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t;
  int end;

  r.sink = DT_SINK_QUEUE;
  t = begin(e, &r);
  CHECK(finish(e, t)->code == DT_TRUNCATED);
  CHECK(drain(t, 0, &end) == 6);
  CHECK(end == DT_TRUNCATED);
  CHECK(drain(t, 0, &end) == 0 && end == DT_TRUNCATED);
  dt_transfer_free(t);
  peer_close(p);
}

static void test_headers(struct dt_engine *e)
{
  char text[] = "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\n"
                "HTTP/1.1 201 Made\r\nX-One: 1\r\nHTTP/x: y\r\n"
                "Content-Length: 0\r\n\r\n";
  struct peer *p = peer_open(peer_says, text);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t = begin(e, &r);
  struct dt_result result = *finish(e, t);

  CHECK(result.code == DT_OK && result.status == 201);
  CHECK(result.header_size == 40 &&
        !memcmp(result.header_block,
                "X-One: 1\r\nHTTP/x: y\r\nContent-Length: 0\r\n", 40));
  dt_transfer_free(t);
  peer_close(p);
}

static void test_progress(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/8388613/200"));
  struct dt_transfer *t;
  struct dt_result result;
  uint64_t last = 0;
  unsigned seen = 0;
  int reports = 0;

  r.progress = 1;
  t = begin(e, &r);
  while(!(seen & DT_EVENT_DONE)) {
    seen = wait_for(e, t, DT_EVENT_PROGRESS);
    dt_transfer_result(t, &result);
    CHECK(result.received >= last);
    reports += result.received > last;
    last = result.received;
  }
  CHECK(result.code == DT_OK && last == BIG);
  CHECK(reports > 0);
  dt_transfer_free(t);
}

/* A budget that is always spent still lets a block through in each step. */
static void test_tiny_budget(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/3000000/200/chunked"));
  struct dt_transfer *t = begin(e, &r);
  uint64_t whose;
  struct dt_result result;
  unsigned what, seen = 0;
  double limit = dt_now() + 30;

  while(!(seen & DT_EVENT_DONE) && dt_now() < limit) {
    CHECK(dt_engine_step(e, 1e-9) == DT_OK);
    while(dt_engine_next_event(e, &whose, &what))
      seen |= what;
  }
  dt_transfer_result(t, &result);
  CHECK(result.code == DT_OK && result.body_size == 3000000);
  dt_transfer_free(t);
}

/* Polls for so long, and takes what there is to report. */
static void poll_for(struct dt_engine *e, double seconds)
{
  double until = dt_now() + seconds;
  uint64_t whose;
  unsigned what;

  while(dt_now() < until) {
    dt_engine_poll(e, until - dt_now(), NULL);
    while(dt_engine_next_event(e, &whose, &what))
      ;
  }
}

/* What libcurl held back while the reader was slow exceeds the cap: it says so
   only where it is told to go on. */
static void test_cap_after_a_pause(struct dt_engine *e, struct peer *p)
{
  static const uint64_t caps[] = { 1060000, 1100000, 1200000 };
  struct dt_request r = REQUEST(peer_url(p, "/1250000/200/open"));
  struct dt_transfer *t;
  double limit;
  size_t i, sum;
  int end;

  r.sink = DT_SINK_QUEUE;
  for(i = 0; i < 3; i++) {
    r.max_bytes = caps[i];
    t = begin(e, &r);
    poll_for(e, 0.2);
    for(end = 0, sum = 0, limit = dt_now() + 10; !end && dt_now() < limit;) {
      poll_for(e, 0.01);
      sum += (size_t)drain(t, sum, &end);
    }
    CHECK(end == DT_TOO_LARGE);
    dt_transfer_free(t);
  }
}

/* The disk is full when a download that the budget had stopped goes on. */
static void test_full_disk_after_a_pause(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/3000000/200/chunked"));
  struct dt_transfer *t;
  uint64_t whose;
  struct dt_result result;
  double limit = dt_now() + 10;
  int fds[2];
  unsigned what, seen = 0;

  CHECK(!pipe(fds));
  r.sink = DT_SINK_FD;
  r.sink_fd = fds[1];
  t = begin(e, &r);
  (void)fcntl(fds[1], F_SETFL, O_NONBLOCK); /* full is an error, too */
  while(!(seen & DT_EVENT_DONE) && dt_now() < limit) {
    dt_engine_step(e, 1e-9);
    while(dt_engine_next_event(e, &whose, &what))
      seen |= what;
  }
  dt_transfer_result(t, &result);
  CHECK(result.code == DT_SINK && result.os_error == EAGAIN);
  dt_transfer_free(t);
  close(fds[0]);
  close(fds[1]);
}

/* Who reads the other end of the pipe goes away: no signal comes of it. */
static void test_broken_pipe(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/3000000/200"));
  struct dt_result result;
  int fds[2];

  CHECK(!pipe(fds));
  close(fds[0]);
  r.sink = DT_SINK_FD;
  r.sink_fd = fds[1];
  CHECK(fetch(e, &r, &result) == DT_SINK && result.os_error == EPIPE);
  close(fds[1]);
}

static void test_two_lengths(struct dt_engine *e)
{
  char twice[] = "HTTP/1.1 200 X\r\nContent-Length: 3\r\n"
                 "content-length:3\r\n\r\nabc";
  char two[] = "HTTP/1.1 200 X\r\nContent-Length: 3\r\n"
               "Content-Length: 4\r\n\r\nabc";
  char none[] = "HTTP/1.1 200 X\r\nContent-Length: 3\r\n"
                "Content-Length: \r\n\r\nabc";
  char *said[] = { twice, two, none };
  size_t i;

  for(i = 0; i < 3; i++) {
    struct peer *p = peer_open(peer_says, said[i]);
    struct dt_request r = REQUEST(peer_url(p, "/"));
    struct dt_transfer *t = begin(e, &r);

    CHECK(finish(e, t)->code == (i ? DT_PROTOCOL : DT_OK));
    /* from 8.22 on libcurl sees it first */
    CHECK(i != 1 ||
          contains(finish(e, t)->message, "two different lengths") ||
          contains(finish(e, t)->message, "Invalid Content-Length"));
    dt_transfer_free(t);
    peer_close(p);
  }
}

/* A whole body, and trailers without end. */
static void endless_trailers(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  int i;

  (void)p;
  (void)n;
  if(peer_read(fd, r)) {
    peer_send(fd, "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n0\r\n");
    for(i = 0; i < 100000; i++)
      peer_send(fd, "X-Again: again and again and again\r\n");
  }
  free(r->body);
  free(r);
}

static void test_trailers(struct dt_engine *e)
{
  struct peer *p = peer_open(endless_trailers, NULL);
  struct dt_request r = REQUEST(peer_url(p, "/"));
  struct dt_transfer *t = begin(e, &r);

  CHECK(finish(e, t)->code == DT_PROTOCOL);
  CHECK(contains(finish(e, t)->message, "are too long")); /* ours, or libcurl's word for headers */
  dt_transfer_free(t);
  peer_close(p);
}

void test_sink(void);

void test_sink(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(measured, NULL);

  test_memory(e, p);
  test_cap(e, p);
  test_fd(e, p);
  test_two_files(e, p);
  test_unwritable_file(e, p);
  test_file_grows(e, p);
  test_full_disk(e, p);
  test_broken_pipe(e, p);
  test_tiny_budget(e, p);
  test_cap_after_a_pause(e, p);
  test_full_disk_after_a_pause(e, p);
  test_error_bodies(e, p);
  test_queue(e, p);
  test_failing_queue(e);
  test_headers(e);
  test_two_lengths(e);
  test_trailers(e);
  test_progress(e, p);
  dt_engine_free(e);
  peer_close(p);
}
