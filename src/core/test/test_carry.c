/*
 * test_carry.c - transfers that somebody else carries: the request's bytes, answers of
 * all kinds cut everywhere, and connections that break. No I/O.
 */
#include "../carry.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_carry(void);

#define URL "http://h.example:8080/p/../q?x=1#frag"

static void request(struct dt_request *r, const char *method)
{
  memset(r, 0, sizeof(*r));
  r->method = method;
  r->url = URL;
  r->connect_timeout = 3;
  r->max_bytes = 100;
  if(!strcmp(method, "POST")) {
    r->body = DT_BODY_MEMORY;
    r->data = "body";
    r->size = 4;
  }
}

static struct dt_transfer *begin(struct dt_engine *e, const char *method)
{
  struct dt_request r;
  struct dt_transfer *t;

  request(&r, method);
  CHECK(dt_carry_start(e, &r, &t, NULL) == DT_OK);
  CHECK(dt_carry_wants(t));
  return t;
}

static void compose(struct dt_transfer *t, int reused)
{
  const char *data;
  size_t size;

  CHECK(dt_carry_compose(t, reused, &data, &size) == DT_OK);
}

/* --- the request ------------------------------------------------------------ */

static void test_head(void)
{
  static const char *const own[] = { "X-Empty:", "X-A: b", NULL };
  static const char *const all[] = { "Authorization: Bearer k", "X-A: no", NULL };
  struct dt_profile_options o;
  struct dt_request r;
  struct dt_engine *e;
  struct dt_transfer *t;
  const char *data;
  size_t size;
  const char *want = "POST /p/../q?x=1 HTTP/1.1\r\nHost: h.example:8080\r\n"
                     "X-Empty:\r\nX-A: b\r\nAuthorization: Bearer k\r\n"
                     "Accept: */*\r\nUser-Agent: ua\r\nContent-Length: 4\r\n\r\n";

  request(&r, "POST");
  memset(&o, 0, sizeof(o));
  o.headers = all;
  o.user_agent = "ua";
  o.proxy = "";
  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  CHECK(dt_profile_new(&r.profile, &o) == DT_OK);
  r.headers = own;
  CHECK(dt_carry_start(e, &r, &t, NULL) == DT_OK);
  CHECK(!strcmp(dt_carry_origin(t), "http://h.example:8080"));
  CHECK(dt_carry_patience(t) > 2.9);
  CHECK(dt_carry_compose(t, 0, &data, &size) == DT_OK);
  CHECK(strstr(data, "Bearer k") != NULL);
  if(size != strlen(want) || memcmp(data, want, size))
    printf("%.*s", (int)size, data);
  CHECK(size == strlen(want) && !memcmp(data, want, size));
  dt_transfer_free(t);
  dt_profile_free(r.profile);
  dt_engine_free(e);
}

static int is_carried(struct dt_engine *e, const struct dt_request *r)
{
  struct dt_transfer *t;
  int carried;

  CHECK(dt_carry_start(e, r, &t, NULL) == DT_OK);
  carried = dt_carry_wants(t);
  dt_transfer_free(t);
  return carried;
}

static void test_which(void)
{
  struct dt_profile_options o;
  struct dt_request r;
  struct dt_engine *e;

  request(&r, "POST");
  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  CHECK(is_carried(e, &r));
  r.sink = DT_SINK_QUEUE;
  CHECK(!is_carried(e, &r));
  request(&r, "POST");
  r.timing = 1;
  CHECK(!is_carried(e, &r));
  request(&r, "POST");
  memset(&o, 0, sizeof(o));
  o.proxy = "http://127.0.0.1:1";
  CHECK(dt_profile_new(&r.profile, &o) == DT_OK);
  CHECK(!is_carried(e, &r));
  dt_profile_free(r.profile);
  memset(&o, 0, sizeof(o));
  o.proxy = "";
  o.insecure = 1;
  CHECK(dt_profile_new(&r.profile, &o) == DT_OK);
  CHECK(is_carried(e, &r));
  r.url = "https://h.example/";
  CHECK(!is_carried(e, &r));
  dt_profile_free(r.profile);
  dt_engine_free(e);
}

/* --- answers ---------------------------------------------------------------- */

struct expected {
  const char *answer;
  enum dt_carry verdict; /* MORE: the connection is cut behind it */
  int code;
  long status;
  const char *body;
};

/* Feeds the answer in two pieces, cut at `at`, or byte by byte. */
static enum dt_carry feed(struct dt_transfer *t, const char *answer, size_t at)
{
  size_t size = strlen(answer), i;
  enum dt_carry verdict = DT_CARRY_MORE;

  if(at <= size) {
    verdict = dt_carry_feed(t, answer, at);
    return verdict || at == size ? verdict
                                 : dt_carry_feed(t, answer + at, size - at);
  }
  for(i = 0; i < size && !verdict; i++)
    verdict = dt_carry_feed(t, answer + i, 1);
  return verdict;
}

static int fits(struct dt_engine *e, const char *method,
                const struct expected *x, size_t at)
{
  struct dt_transfer *t = begin(e, method);
  struct dt_result r;
  enum dt_carry verdict;
  uint64_t id;
  unsigned what;
  int fine;

  compose(t, 0);
  verdict = feed(t, x->answer, at);
  fine = verdict == x->verdict || (verdict == DT_CARRY_CLOSE && at <= strlen(x->answer));
  if(!verdict)
    fine = fine && dt_carry_cut(t) == DT_CARRY_CLOSE;
  dt_transfer_result(t, &r);
  fine = fine && r.done && r.code == x->code && r.request_sent &&
         (r.code || (r.status == x->status && r.body_size == strlen(x->body) &&
                     !memcmp(r.body, x->body, r.body_size)));
  fine = fine && !dt_engine_next_event(e, &id, &what);
  CHECK(!dt_carry_wants(t));
  CHECK(dt_carry_feed(t, "x", 1) == DT_CARRY_CLOSE);
  dt_transfer_free(t);
  return fine;
}

static const struct expected answers[] = {
  { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", DT_CARRY_KEEP, 0, 200, "ab" },
  { "HTTP/1.1 200 OK\nContent-Length: 2\n\nab", DT_CARRY_KEEP, 0, 200, "ab" },
  { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", DT_CARRY_KEEP, 0, 200, "" },
  { "HTTP/1.1 204 No\r\nX: y\r\n\r\n", DT_CARRY_KEEP, 0, 204, "" },
  { "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", DT_CARRY_KEEP, 0, 304, "" },
  { "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hm\r\nContent-Length: 7\r\n\r\n"
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", DT_CARRY_KEEP, 0, 200, "a" },
  { "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 2\r\n\r\nab",
    DT_CARRY_CLOSE, 0, 200, "ab" },
  { "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", DT_CARRY_CLOSE, 0, 200, "ab" },
  { "HTTP/1.0 200 OK\r\nConnection: x, keep-alive\r\nContent-Length: 2\r\n\r\nab",
    DT_CARRY_KEEP, 0, 200, "ab" },
  { "HTTP/1.1 200 OK\r\n\r\nup to the end", DT_CARRY_MORE, 0, 200, "up to the end" },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    "2;x=y\r\nab\r\n0a\r\ncdefghijkl\r\n0\r\nTrailer: z\r\n\r\n",
    DT_CARRY_KEEP, 0, 200, "abcdefghijkl" },
  { "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", DT_CARRY_KEEP, 0, 500, "no" },

  { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", DT_CARRY_MORE, DT_TRUNCATED, 0, "" },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", DT_CARRY_MORE,
    DT_TRUNCATED, 0, "" },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", DT_CARRY_MORE,
    DT_TRUNCATED, 0, "" },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", DT_CARRY_CLOSE,
    DT_PROTOCOL, 0, "" },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc", DT_CARRY_CLOSE,
    DT_PROTOCOL, 0, "" },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1111111111111111\r\n",
    DT_CARRY_CLOSE, DT_PROTOCOL, 0, "" },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", DT_CARRY_CLOSE, DT_PROTOCOL,
    0, "" },
  { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", DT_CARRY_CLOSE,
    DT_PROTOCOL, 0, "" },
  { "HTTP/1.1 101 Switch\r\n\r\n", DT_CARRY_CLOSE, DT_PROTOCOL, 0, "" },
  { "SSH-2.0-OpenSSH_9.2\r\n", DT_CARRY_CLOSE, DT_PROTOCOL, 0, "" },
  { "HTTP/1.1 2x0 OK\r\n\r\n", DT_CARRY_CLOSE, DT_PROTOCOL, 0, "" },
  { "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", DT_CARRY_CLOSE, DT_TOO_LARGE, 0, "" },
  { "HTTP/1.1 200", DT_CARRY_MORE, DT_RESET, 0, "" },
  { "HTTP/1.1 200 OK\r\nX: y\r\n", DT_CARRY_MORE, DT_RESET, 0, "" },
};

static void test_answers(void)
{
  struct dt_engine *e;
  size_t i, at;

  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  for(i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
    for(at = 0; at <= strlen(answers[i].answer) + 1; at++) {
      int fine = fits(e, "POST", &answers[i], at);

      if(!fine)
        printf("cut at %lu of\n%s\n", (unsigned long)at, answers[i].answer);
      CHECK(fine);
    }
  }
  dt_engine_free(e);
}

/* Bytes behind an answer were never asked for: no further request goes that way. */
static void test_more_than_asked(void)
{
  struct dt_engine *e;
  struct dt_transfer *t;

  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  t = begin(e, "POST");
  compose(t, 0);
  CHECK(feed(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", (size_t)-1 / 2) ==
        DT_CARRY_KEEP);
  dt_transfer_free(t);
  t = begin(e, "POST");
  compose(t, 0);
  CHECK(feed(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", 0) ==
        DT_CARRY_CLOSE);
  dt_transfer_free(t);
  dt_engine_free(e);
}

static void test_endless_head(void)
{
  static const char line[] = "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
  struct dt_engine *e;
  struct dt_transfer *t;
  struct dt_result r;
  enum dt_carry verdict;
  int i;

  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  t = begin(e, "GET");
  compose(t, 0);
  verdict = dt_carry_feed(t, "HTTP/1.1 200 OK\r\n", 17);
  for(i = 0; i < 100000 && !verdict; i++)
    verdict = dt_carry_feed(t, line, sizeof(line) - 1);
  dt_transfer_result(t, &r);
  CHECK(verdict == DT_CARRY_CLOSE && r.code == DT_PROTOCOL);
  dt_transfer_free(t);
  t = begin(e, "GET");
  compose(t, 0);
  verdict = DT_CARRY_MORE;
  for(i = 0; i < 100000 && !verdict; i++)
    verdict = dt_carry_feed(t, "HTTP/1.1 200 endless", 20);
  dt_transfer_result(t, &r);
  CHECK(verdict == DT_CARRY_CLOSE && r.code == DT_PROTOCOL);
  dt_transfer_free(t);
  dt_engine_free(e);
}

/* --- connections that break ----------------------------------------------------- */

/* Cut after the request was composed (or not), over a kept connection (or not). */
static enum dt_carry cut(struct dt_engine *e, const char *method, int sent,
                         int reused, const char *answer)
{
  struct dt_transfer *t = begin(e, method);
  struct dt_result r;
  enum dt_carry verdict;

  if(sent)
    compose(t, reused);
  if(answer)
    CHECK(dt_carry_feed(t, answer, strlen(answer)) == DT_CARRY_MORE);
  verdict = dt_carry_cut(t);
  dt_transfer_result(t, &r);
  CHECK(r.done == (verdict == DT_CARRY_CLOSE));
  CHECK(!r.done || r.code == DT_RESET);
  CHECK(r.request_sent == sent);
  dt_transfer_free(t);
  return verdict;
}

static void test_cut(void)
{
  struct dt_engine *e;

  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  CHECK(cut(e, "POST", 0, 0, NULL) == DT_CARRY_BACK);
  CHECK(cut(e, "POST", 1, 0, NULL) == DT_CARRY_CLOSE);
  CHECK(cut(e, "POST", 1, 1, NULL) == DT_CARRY_CLOSE); /* never twice */
  CHECK(cut(e, "GET", 1, 1, NULL) == DT_CARRY_BACK);
  CHECK(cut(e, "GET", 1, 0, NULL) == DT_CARRY_CLOSE);
  CHECK(cut(e, "GET", 1, 1, "HTTP") == DT_CARRY_CLOSE);
  dt_engine_free(e);
}

static void test_ends(void)
{
  struct dt_engine *e;
  struct dt_request r;
  struct dt_transfer *t;
  struct dt_result result;
  struct dt_engine_stats stats;
  const char *data;
  size_t size;

  request(&r, "GET");
  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  t = begin(e, "GET");
  dt_carry_late(t);
  dt_transfer_result(t, &result);
  CHECK(result.code == DT_CONNECT_TIMEOUT && !result.request_sent);
  dt_transfer_free(t);

  t = begin(e, "GET");
  dt_transfer_cancel(t);
  CHECK(dt_carry_compose(t, 0, &data, &size) == DT_CANCELED);
  dt_transfer_free(t);

  r.timeout = 0.001;
  CHECK(dt_carry_start(e, &r, &t, NULL) == DT_OK);
  while(dt_carry_wants(t))
    dt_engine_step(e, 0);
  dt_transfer_result(t, &result);
  CHECK(result.code == DT_TIMEOUT);
  dt_transfer_free(t);

  t = begin(e, "GET");
  dt_engine_free(e);
  CHECK(!dt_carry_wants(t) && dt_carry_cut(t) == DT_CARRY_CLOSE);
  dt_transfer_free(t);

  CHECK(dt_engine_new(&e, NULL) == DT_OK);
  t = begin(e, "GET");
  dt_engine_get_stats(e, &stats);
  CHECK(stats.running == 1 && stats.queued == 0);
  CHECK(dt_carry_cut(t) == DT_CARRY_BACK);
  dt_engine_get_stats(e, &stats);
  CHECK(stats.running == 0 && stats.queued == 1);
  dt_transfer_free(t);
  dt_engine_get_stats(e, &stats);
  CHECK(stats.running == 0 && stats.queued == 0);
  dt_engine_free(e);
}

void test_carry(void)
{
  test_head();
  test_which();
  test_answers();
  test_more_than_asked();
  test_endless_head();
  test_cut();
  test_ends();
}
