/*
 * test_request.c - what a request looks like on the wire, and which requests
 * are refused.
 */
#include "check.h"
#include "peer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Answers with the head of each request. */
static void mirror(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));

  (void)p;
  (void)n;
  while(peer_read(fd, r)) {
    if(!strncmp(r->head, "HEAD", 4))
      peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n");
    else
      peer_answer(fd, 200, r->head);
    free(r->body);
    r->body = NULL;
  }
  free(r->body);
  free(r);
}

/* The head that the peer saw; to be freed. */
static char *head_of(struct dt_engine *e, const struct dt_request *r)
{
  struct dt_transfer *t = begin(e, r);
  struct dt_result result = *finish(e, t);
  char *head = calloc(1, result.body_size + 1);

  CHECK(result.code == DT_OK);
  CHECK(result.status == 200);
  memcpy(head, result.body, result.body_size);
  dt_transfer_free(t);
  return head;
}

/* Whether the request's head has all of the first texts and none of the
   others; both lists end with NULL. */
static void check_head(struct dt_engine *e, const struct dt_request *r,
                       const char *const *with, const char *const *without)
{
  char *head = head_of(e, r);

  for(; with && *with; with++)
    CHECK(contains(head, *with));
  for(; without && *without; without++)
    CHECK(!contains(head, *without));
  free(head);
}

static void test_methods(struct dt_engine *e, struct peer *p)
{
  static const char *const methods[] = { "GET",   "DELETE",  "POST",
                                         "PATCH", "OPTIONS", "PUT", "BREW" };
  static const char *const empty[] = { "Content-Length: 0\r\n", NULL };
  static const char *const size[] = { "Content-Length: 2\r\n", NULL };
  static const char *const no[] = { "Content-Length", "Content-Type",
                                    "Expect", NULL };
  struct dt_request r = REQUEST(peer_url(p, "/a%20b?c=d&e"));
  struct dt_result result;
  size_t i;

  for(i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
    int posts = methods[i][0] == 'P';
    char line[64];
    const char *with[2];

    strcpy(line, methods[i]);
    strcat(line, " /a%20b?c=d&e HTTP/1.1\r\n");
    with[0] = line;
    with[1] = NULL;
    r.method = methods[i];
    r.body = DT_BODY_NONE;
    check_head(e, &r, with, no + posts);
    if(posts)
      check_head(e, &r, empty, NULL);
    r.body = DT_BODY_MEMORY;
    r.data = "{}";
    r.size = 2;
    check_head(e, &r, with, no + 1);
    check_head(e, &r, size, NULL);
  }
  r.body = DT_BODY_NONE;
  r.method = "HEAD";
  r.max_bytes = 10; /* of a body, and there is none */
  CHECK(fetch(e, &r, &result) == DT_OK);
  CHECK(result.body_size == 0 && result.received_total == 70);
}

static void test_headers(struct dt_engine *e, struct peer *p)
{
  static const char *const profile_lines[] = {
    "Authorization: Bearer one", "X-Kept: kept", "X-Nothing:", NULL
  };
  static const char *const lines[] = { "authorization: Bearer two",
                                       "X-Empty: ", "Content-Type: text/x",
                                       "X-Wide: \xc3\xa9\t1", NULL };
  static const char *const of_profile[] = { "Authorization: Bearer one\r\n",
                                            "X-Kept: kept\r\n",
                                            "X-Nothing:\r\n",
                                            "User-Agent: tester/1\r\n", NULL };
  static const char *const of_both[] = { "authorization: Bearer two\r\n",
                                         "X-Kept: kept\r\n", "X-Empty:\r\n",
                                         "X-Nothing:\r\n",
                                         "Content-Type: text/x\r\n",
                                         "X-Wide: \xc3\xa9\t1\r\n", NULL };
  static const char *const gone[] = { "Bearer one", "Expect", NULL };
  struct dt_profile_options o;
  struct dt_profile *profile;
  struct dt_request r = REQUEST(peer_url(p, "/"));
  int i;

  memset(&o, 0, sizeof(o));
  o.headers = profile_lines;
  o.user_agent = "tester/1";
  CHECK(dt_profile_new(&profile, &o) == DT_OK);
  r.method = "POST";
  for(i = 0; i < 2; i++) { /* a used handle is as good as a new one */
    r.profile = profile;
    r.headers = NULL;
    check_head(e, &r, of_profile, NULL);
    r.headers = lines;
    check_head(e, &r, of_both, gone);
    r.profile = NULL;
    r.headers = NULL;
    check_head(e, &r, NULL, of_profile);
  }
  dt_profile_free(profile);
}

static void refuse(struct dt_engine *e, const struct dt_request *r,
                   const char *culprit)
{
  struct dt_transfer *t;
  const char *what;

  CHECK(dt_transfer_start(e, r, &t, &what) == DT_BAD_ARGUMENT);
  CHECK(t == NULL && what && !strcmp(what, culprit));
  CHECK(dt_transfer_start(e, r, &t, NULL) == DT_BAD_ARGUMENT);
}

static void test_bad_urls_and_methods(struct dt_engine *e)
{
  static const char *const urls[] = { "",          "/x",
                                      "ftp://h/",  "http:///x",
                                      "http://",   "http://h/a b",
                                      "http://h/\r\nX: y", "http://h/\x7f",
                                      "http://h/\xc3\xa9", "file:///etc/passwd",
                                      "http://:80/" };
  static const char *const methods[] = { "", "GE T", "GET\r\n", "G\x01",
                                         "\xc3\xa9" };
  struct dt_request r = REQUEST("http://127.0.0.1:1/");
  size_t i;

  for(i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
    r.method = methods[i];
    refuse(e, &r, "method");
  }
  r.method = NULL;
  for(i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
    r.url = urls[i];
    refuse(e, &r, "URL");
  }
  r.url = NULL;
  refuse(e, &r, "URL");
}

static void test_bad_headers(struct dt_engine *e)
{
  static const char *const lines[] = { "X",        "X y: z",   ": z",
                                       "X: a\r\nY: b", "X: a\nb", "X: \x01",
                                       "X\n: a",   "",         "X: \x7f" };
  struct dt_request r = REQUEST("http://127.0.0.1:1/");
  struct dt_profile_options o;
  struct dt_profile *p;
  size_t i;

  for(i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
    const char *list[2];

    list[0] = lines[i];
    list[1] = NULL;
    r.headers = list;
    refuse(e, &r, "header");
    memset(&o, 0, sizeof(o));
    o.headers = list;
    CHECK(dt_profile_new(&p, &o) == DT_BAD_ARGUMENT && p == NULL);
  }
  memset(&o, 0, sizeof(o));
  o.user_agent = "a\r\nb";
  CHECK(dt_profile_new(&p, &o) == DT_BAD_ARGUMENT);
}

static void test_bad_numbers(struct dt_engine *e)
{
  struct dt_request r = REQUEST("http://127.0.0.1:1/");

  r.timeout = -1;
  refuse(e, &r, "timeout");
  r.timeout = NAN;
  refuse(e, &r, "timeout");
  r.timeout = INFINITY;
  refuse(e, &r, "timeout");
  r.timeout = 1;
  r.idle_timeout = -1;
  refuse(e, &r, "timeout");
  r.idle_timeout = 0;
  r.body = DT_BODY_FD;
  r.fd = -1;
  refuse(e, &r, "body descriptor");
  r.body = DT_BODY_NONE;
  r.sink = DT_SINK_FD;
  r.sink_fd = -1;
  refuse(e, &r, "sink descriptor");
}

static void test_bad_parts(struct dt_engine *e)
{
  struct dt_request r = REQUEST("http://127.0.0.1:1/");
  struct dt_part parts[2];

  memset(parts, 0, sizeof(parts));
  r.body = DT_BODY_MULTIPART;
  refuse(e, &r, "parts");
  r.parts = parts;
  r.nparts = 2;
  parts[0].name = parts[1].name = "n";
  parts[0].kind = parts[1].kind = DT_BODY_QUEUE;
  refuse(e, &r, "parts");
  parts[1].kind = DT_BODY_NONE;
  refuse(e, &r, "part kind");
  parts[1].kind = DT_BODY_MEMORY;
  parts[1].filename = "a\r\nb";
  refuse(e, &r, "part file name");
  parts[1].filename = NULL;
  parts[1].type = "a\nb";
  refuse(e, &r, "part type");
  parts[0].name = NULL;
  refuse(e, &r, "part name");
}

void test_request(void);

void test_request(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(mirror, NULL);

  test_methods(e, p);
  test_headers(e, p);
  test_bad_urls_and_methods(e);
  test_bad_headers(e);
  test_bad_numbers(e);
  test_bad_parts(e);
  dt_engine_free(e);
  peer_close(p);
}
