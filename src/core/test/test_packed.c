/*
 * test_packed.c - answers that come packed (gzip): through libcurl, and carried, cut
 * everywhere.
 */
#define _GNU_SOURCE
#include "../carry.h"
#include "../engine.h"
#include "check.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void test_packed(void);

#define MEGA ((size_t)1024 * 1024)

struct bytes {
  char *data;
  size_t size;
};

/* A gzip stream of `size` bytes, all `c`, behind what is there. */
static void pack(struct bytes *b, char c, size_t size)
{
  char piece[4096], out[4096];
  z_stream z;
  int rc;

  memset(&z, 0, sizeof(z));
  memset(piece, c, sizeof(piece));
  CHECK(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8,
                     Z_DEFAULT_STRATEGY) == Z_OK);
  do {
    if(!z.avail_in) {
      z.avail_in = (uInt)(size < sizeof(piece) ? size : sizeof(piece));
      z.next_in = (Bytef *)piece;
      size -= z.avail_in;
    }
    z.next_out = (Bytef *)out;
    z.avail_out = sizeof(out);
    rc = deflate(&z, size ? Z_NO_FLUSH : Z_FINISH);
    b->data = realloc(b->data, b->size + sizeof(out));
    memcpy(b->data + b->size, out, sizeof(out) - z.avail_out);
    b->size += sizeof(out) - z.avail_out;
  } while(rc != Z_STREAM_END);
  deflateEnd(&z);
}

static void drop(struct bytes *b)
{
  free(b->data);
  b->data = NULL;
  b->size = 0;
}

/* What a peer answered with before: it may be at sending that still, when its client has
   seen enough. To be freed when the peer is closed. */
static struct bytes before[4];

static void put_aside(struct bytes *b)
{
  size_t i = 0;

  while(before[i].data)
    i++;
  before[i] = *b;
  b->data = NULL;
  b->size = 0;
}

/* The same in the place of what is there. */
static void repack(struct bytes *b, char c, size_t size)
{
  if(b->data)
    put_aside(b);
  pack(b, c, size);
}

static int is_all(const struct dt_result *r, char c, size_t size)
{
  size_t i;

  for(i = 0; i < r->body_size && r->body[i] == c; i++)
    ;
  return i == size && r->body_size == size;
}

static struct dt_profile *profile(int wants)
{
  struct dt_profile_options o;
  struct dt_profile *p;

  memset(&o, 0, sizeof(o));
  o.proxy = "";
  o.packed = wants;
  CHECK(dt_profile_new(&p, &o) == DT_OK);
  return p;
}

/* --- carried --------------------------------------------------------------- */

static struct dt_transfer *carried(struct dt_engine *e, struct dt_profile *p,
                                   uint64_t max_bytes)
{
  struct dt_request r;
  struct dt_transfer *t;
  const char *data;
  size_t size;

  memset(&r, 0, sizeof(r));
  r.url = "http://h.example/x";
  r.profile = p;
  r.max_bytes = max_bytes;
  CHECK(dt_carry_start(e, &r, &t, NULL) == DT_OK);
  CHECK(dt_carry_compose(t, 0, &data, &size) == DT_OK);
  CHECK(memmem(data, size, "Accept-Encoding: gzip\r\n", 23) != NULL);
  return t;
}

/* The answer's head and body, cut at `cut`: what became of it, to be freed. */
static struct dt_transfer *answered(struct dt_engine *e, struct dt_profile *p,
                                    const struct bytes *body, size_t cut,
                                    struct dt_result *r)
{
  struct dt_transfer *t = carried(e, p, 100000);
  char head[128];
  size_t n = (size_t)snprintf(head, sizeof(head),
                              "HTTP/1.1 200 OK\r\nContent-Encoding: GZip \r\n"
                              "Content-Length: %zu\r\n\r\n",
                              body->size);

  (void)dt_carry_feed(t, head, n);
  (void)dt_carry_feed(t, body->data, cut);
  if(cut < body->size)
    (void)dt_carry_feed(t, body->data + cut, body->size - cut);
  dt_transfer_result(t, r);
  return t;
}

static void test_cut_everywhere(struct dt_engine *e, struct dt_profile *p)
{
  struct bytes b = { NULL, 0 };
  struct dt_transfer *t;
  struct dt_result r;
  size_t i;

  pack(&b, 'a', 70000);
  for(i = 0; i <= b.size; i++) {
    t = answered(e, p, &b, i, &r);
    CHECK(r.done && r.code == DT_OK && is_all(&r, 'a', 70000));
    CHECK(r.received == 70000 && r.received_total == -1);
    dt_transfer_free(t);
  }
  for(i = 1; i < b.size; i++) { /* an end that is none; nothing at all is an empty body */
    struct bytes part = { b.data, i };

    t = answered(e, p, &part, i / 2, &r);
    CHECK(r.done && r.code == DT_TRUNCATED);
    CHECK(contains(r.message, "packed answer ends before"));
    dt_transfer_free(t);
  }
  free(b.data);
}

static void test_members(struct dt_engine *e, struct dt_profile *p)
{
  struct bytes b = { NULL, 0 };
  struct dt_transfer *t;
  struct dt_result r;
  size_t one;

  pack(&b, 'a', 30000);
  one = b.size;
  pack(&b, 'a', 40000);
  t = answered(e, p, &b, one, &r);
  CHECK(r.code == DT_OK && is_all(&r, 'a', 70000));
  dt_transfer_free(t);
  b.data[one] = 'x'; /* rubbish in the second one's place */
  t = answered(e, p, &b, one, &r);
  CHECK(r.code == DT_PROTOCOL && contains(r.message, "not packed as it says"));
  dt_transfer_free(t);
  free(b.data);
}

static void test_flipped_bits(struct dt_engine *e, struct dt_profile *p)
{
  struct bytes b = { NULL, 0 };
  struct dt_result r;
  size_t i;

  pack(&b, 'a', 5000);
  for(i = 0; i < b.size; i++) {
    struct dt_transfer *t;

    b.data[i] ^= 1;
    t = answered(e, p, &b, b.size, &r);
    CHECK(r.done && (r.code == DT_PROTOCOL || r.code == DT_TRUNCATED ||
                     (i < 10 && is_all(&r, 'a', 5000)))); /* the head has a time */
    dt_transfer_free(t);
    b.data[i] ^= 1;
  }
  free(b.data);
}

/* --- through libcurl -------------------------------------------------------- */

/* What a peer answers with. */
struct answer {
  const char *head;
  struct bytes body;
  int asked; /* whether the last request would take it packed */
};

static void answers(struct peer *p, int fd, int n)
{
  struct answer *a = peer_data(p);
  struct peer_request *r = malloc(sizeof(*r));
  char head[256];

  (void)n;
  while(peer_read(fd, r)) {
    a->asked = contains(r->head, "Accept-Encoding: gzip\r\n");
    snprintf(head, sizeof(head), "%s\r\nContent-Length: %zu\r\n\r\n", a->head,
             a->body.size);
    peer_send(fd, head);
    if(strncmp(r->head, "HEAD", 4))
      peer_send_bytes(fd, a->body.data, a->body.size);
    free(r->body);
    r->body = NULL;
  }
  free(r);
}

#define GZIP "HTTP/1.1 200 OK\r\nContent-Encoding: gzip"

static void expect(struct dt_engine *e, struct peer *p, struct dt_request *r,
                   int code, const char *message)
{
  struct dt_transfer *t;
  const struct dt_result *result;

  r->url = peer_url(p, "/");
  t = begin(e, r);
  result = finish(e, t);
  if(result->code != code || !contains(result->message, message))
    printf("%d %s\n", result->code, result->message);
  CHECK(result->code == code && contains(result->message, message));
  dt_transfer_free(t);
}

static void test_bombs(struct dt_engine *e, struct peer *p, struct answer *a,
                       struct dt_profile *wants)
{
  struct dt_request r = REQUEST(NULL);
  struct dt_result result;

  r.profile = wants;
  a->head = GZIP;
  repack(&a->body, 0, 10 * MEGA);
  CHECK(a->body.size < 20000);
  r.max_bytes = MEGA;
  expect(e, p, &r, DT_TOO_LARGE, "exceeds 1048576 bytes");
  r.url = peer_url(p, "/");
  CHECK(fetch(e, &r, &result) == DT_TOO_LARGE && result.received <= MEGA);
  r.max_bytes = 10 * MEGA;
  expect(e, p, &r, DT_OK, "");
  repack(&a->body, 0, 80 * MEGA);
  r.max_bytes = 0;
  expect(e, p, &r, DT_TOO_LARGE, "many times larger");
}

static void test_refused(struct dt_engine *e, struct peer *p, struct answer *a,
                         struct dt_profile *wants, struct dt_profile *plain)
{
  static const char *const range[] = { "Range: bytes=0-", NULL };
  static const char *const coded[] = { "accept-encoding: gzip, br", NULL };
  struct dt_request r = REQUEST(NULL);

  repack(&a->body, 'a', 1000);
  a->head = GZIP;
  r.profile = plain;
  expect(e, p, &r, DT_PROTOCOL, "packed (gzip), which was not asked for");
  CHECK(!a->asked);
  r.profile = wants;
  r.headers = range;
  expect(e, p, &r, DT_PROTOCOL, "packed (gzip), which was not asked for");
  CHECK(!a->asked);
  r.headers = coded;
  expect(e, p, &r, DT_OK, "");
  r.headers = NULL;
  r.sink = DT_SINK_QUEUE;
  expect(e, p, &r, DT_PROTOCOL, "packed (gzip), which was not asked for");
  r.sink = DT_SINK_MEMORY;
  a->head = "HTTP/1.1 200 OK\r\nContent-Encoding: br";
  expect(e, p, &r, DT_PROTOCOL, "packed in a way that was not asked for");
  CHECK(a->asked);
  a->head = GZIP ", gzip";
  expect(e, p, &r, DT_PROTOCOL, "packed in a way that was not asked for");
  a->head = GZIP "\r\nContent-Encoding: gzip";
  expect(e, p, &r, DT_PROTOCOL, "packed in a way that was not asked for");
  a->head = GZIP;
  r.method = "HEAD";
  expect(e, p, &r, DT_OK, "");
}

static void test_statuses(struct dt_engine *e, struct peer *p, struct answer *a,
                          struct dt_profile *wants, struct dt_profile *plain)
{
  struct dt_request r = REQUEST(peer_url(p, "/"));
  const struct dt_result *result;
  struct dt_transfer *t;

  repack(&a->body, 'a', 1000);
  a->head = "HTTP/1.1 500 X\r\nContent-Encoding: gzip";
  r.profile = wants;
  t = begin(e, &r);
  result = finish(e, t);
  CHECK(result->status == 500 && is_all(result, 'a', 1000));
  dt_transfer_free(t);
  r.profile = plain; /* the status counts, not what cannot be read */
  t = begin(e, &r);
  result = finish(e, t);
  CHECK(result->code == DT_OK && result->status == 500 && !result->body_size);
  dt_transfer_free(t);
  put_aside(&a->body);
  a->head = GZIP;
  r.profile = wants;
  CHECK(fetch(e, &r, NULL) == DT_OK); /* nothing needs no packing */
}

void test_packed(void)
{
  struct answer a = { "", { NULL, 0 }, 0 };
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(answers, &a);
  struct dt_profile *wants = profile(1), *plain = profile(0);
  size_t i;

  e->through_libcurl = 1; /* the other way is carried here, byte by byte */
  test_cut_everywhere(e, wants);
  test_members(e, wants);
  test_flipped_bits(e, wants);
  test_bombs(e, p, &a, wants);
  test_refused(e, p, &a, wants, plain);
  test_statuses(e, p, &a, wants, plain);
  dt_profile_free(wants);
  dt_profile_free(plain);
  dt_engine_free(e);
  peer_close(p);
  drop(&a.body);
  for(i = 0; i < 4; i++)
    drop(&before[i]);
}
