/*
 * test_ws_handshake.c - the opening of a WebSocket: the request's bytes, and
 * answers of all kinds, cut everywhere.
 */
#include "../base64.h"
#include "../core.h"
#include "../ws_handshake.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_ws_handshake(void);

/* The key of RFC 6455 and what belongs to it. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static void test_keys(void)
{
  char a[DT_WS_KEY_SIZE + 1], b[DT_WS_KEY_SIZE + 1];
  char accept[DT_WS_ACCEPT_SIZE + 1];

  CHECK(dt_ws_accept_for(KEY, accept) == DT_OK && !strcmp(accept, ACCEPT));
  CHECK(dt_ws_make_key(a) == DT_OK && dt_ws_make_key(b) == DT_OK);
  CHECK(strlen(a) == DT_WS_KEY_SIZE && strcmp(a, b));
}

/* --- the request ---------------------------------------------------------- */

static int build(const char *const *headers, const char *protocols,
                 char **out, const char **what)
{
  static const char *const profile[] = {
    "Authorization: Bearer k", "X-Both: profile", "Upgrade: no", NULL
  };
  struct dt_ws_request_line r;
  size_t size;
  char *text;
  int code;

  memset(&r, 0, sizeof(r));
  r.host = "h:1";
  r.target = "/p?q=1";
  r.key = KEY;
  r.protocols = protocols;
  r.user_agent = "ua";
  r.headers = headers;
  r.profile_headers = profile;
  *out = NULL;
  code = dt_ws_build_request(&r, &text, &size, what);
  if(code)
    return code;
  *out = malloc(size + 1);
  memcpy(*out, text, size);
  (*out)[size] = 0;
  free(text);
  return code;
}

static void test_request(void)
{
  static const char *const headers[] = { "x-both: mine", "X-A: 1", NULL };
  const char *what = NULL;
  char *text;

  CHECK(build(headers, "a, b", &text, &what) == DT_OK);
  CHECK(text && !strcmp(text,
    "GET /p?q=1 HTTP/1.1\r\n"
    "Host: h:1\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: " KEY "\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: a, b\r\n"
    "User-Agent: ua\r\n"
    "x-both: mine\r\n"
    "X-A: 1\r\n"
    "Authorization: Bearer k\r\n"
    "\r\n"));
  free(text);
}

static void test_bad_requests(void)
{
  static const char *const injected[] = { "X: a\r\nY: b", NULL };
  static const char *const ours[] = { "sec-websocket-key: mine", NULL };
  const char *what = NULL;
  char *text;

  CHECK(build(injected, NULL, &text, &what) == DT_BAD_ARGUMENT && what);
  CHECK(build(ours, NULL, &text, &what) == DT_BAD_ARGUMENT);
  CHECK(build(NULL, "a\r\n", &text, &what) == DT_BAD_ARGUMENT);
  CHECK(build(NULL, "", &text, &what) == DT_BAD_ARGUMENT);
}

/* --- answers -------------------------------------------------------------- */

/* How an answer ends; `rest` is what was left over for the frames. */
struct outcome {
  int code;
  long status;
  char body[70000];
  size_t body_size;
  size_t rest;
};

static void read_cut(const char *text, size_t size, size_t a, size_t b,
                     const char *protocols, struct outcome *o)
{
  struct dt_ws_handshake h;
  size_t cuts[4], i, used = 0;

  cuts[0] = 0;
  cuts[1] = a;
  cuts[2] = b;
  cuts[3] = size;
  memset(o, 0, sizeof(*o));
  o->rest = size;
  dt_ws_handshake_init(&h, KEY, protocols);
  for(i = 0; i < 3 && !o->code; i++) {
    size_t n = cuts[i + 1] - cuts[i];
    char *copy = malloc(n ? n : 1);

    memcpy(copy, text + cuts[i], n);
    o->code = dt_ws_handshake_feed(&h, copy, n, &used);
    o->rest -= used;
    free(copy);
  }
  if(!o->code)
    o->code = dt_ws_handshake_end(&h);
  o->status = h.status;
  o->body_size = h.body_size;
  if(h.body_size)
    memcpy(o->body, h.body, h.body_size);
  if(o->code < 0)
    CHECK(*h.message != 0);
  dt_ws_handshake_free(&h);
}

static void expect(const char *text, size_t size, const char *protocols,
                   int code, long status, const char *body, size_t rest)
{
  static struct outcome o;
  size_t a, b;

  for(a = 0; a <= size; a++) {
    for(b = a; b <= size; b += size / 40 + 1) {
      read_cut(text, size, a, b, protocols, &o);
      CHECK(o.code == code);
      CHECK(o.status == status);
      CHECK(o.body_size == strlen(body) &&
            !memcmp(o.body, body, o.body_size));
      if(code > 0)
        CHECK(o.rest == rest);
    }
  }
}

#define EXPECT(text, protocols, code, status, body, rest) \
  expect(text, sizeof(text) - 1, protocols, code, status, body, rest)

#define UPGRADE "HTTP/1.1 101 Switching Protocols\r\n" \
  "upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
#define ACCEPTED UPGRADE "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static void test_upgrades(void)
{
  EXPECT(ACCEPTED "\r\n\x81\x01x", NULL, DT_WS_ANSWER_UPGRADED, 101, "", 3);
  EXPECT(ACCEPTED "\r\n", "a, b", DT_WS_ANSWER_UPGRADED, 101, "", 0);
  EXPECT(ACCEPTED "Sec-WebSocket-Protocol: b\r\n\r\n", "a, b",
         DT_WS_ANSWER_UPGRADED, 101, "", 0);
  EXPECT("HTTP/1.1 100 Continue\r\n\r\n" ACCEPTED "\r\n", NULL,
         DT_WS_ANSWER_UPGRADED, 101, "", 0);
}

static void test_wrong_upgrades(void)
{
  EXPECT(UPGRADE "\r\n", NULL, DT_PROTOCOL, 101, "", 0);
  EXPECT(UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n",
         NULL, DT_PROTOCOL, 101, "", 0);
  EXPECT(ACCEPTED "Sec-WebSocket-Protocol: c\r\n\r\n", "a, b", DT_PROTOCOL,
         101, "", 0);
  EXPECT(ACCEPTED "Sec-WebSocket-Protocol: a\r\n\r\n", NULL, DT_PROTOCOL, 101,
         "", 0);
  EXPECT(ACCEPTED "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", NULL,
         DT_PROTOCOL, 101, "", 0);
  EXPECT("HTTP/1.1 101 Ok\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", NULL,
         DT_PROTOCOL, 101, "", 0);
  EXPECT("SSH-2.0-x\r\n\r\n", NULL, DT_PROTOCOL, 0, "", 0);
  EXPECT("HTTP/1.1 1x1 Ok\r\n\r\n", NULL, DT_PROTOCOL, 0, "", 0);
  EXPECT("\n\n", NULL, DT_PROTOCOL, 0, "", 0);
}

static void test_refusals(void)
{
  EXPECT("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}more", NULL,
         DT_WS_ANSWER_REFUSED, 404, "{}", 4);
  EXPECT("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", NULL,
         DT_WS_ANSWER_REFUSED, 502, "", 0);
  EXPECT("HTTP/1.1 204 No Content\r\n\r\n", NULL, DT_WS_ANSWER_REFUSED, 204,
         "", 0);
  EXPECT("HTTP/1.0 401 No\r\n\r\nsorry", NULL, DT_WS_ANSWER_REFUSED, 401,
         "sorry", 0);
  EXPECT("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n", NULL,
         DT_WS_ANSWER_REFUSED, 403, "abc0123456789", 0);
  EXPECT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlog", NULL,
         DT_WS_ANSWER_REFUSED, 200, "log", 0);
}

static void test_broken_answers(void)
{
  EXPECT("", NULL, DT_RESET, 0, "", 0);
  EXPECT("HTTP/1.1 404 Not Found\r\nContent-Le", NULL, DT_RESET, 0, "", 0);
  EXPECT("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n{}", NULL,
         DT_TRUNCATED, 404, "{}", 0);
  EXPECT("HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", NULL,
         DT_TRUNCATED, 404, "ab", 0);
  EXPECT("HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n"
         "fffffffffffffffff\r\nab", NULL, DT_PROTOCOL, 404, "", 0);
}

/* Endless heads and bodies are cut off at their caps. */
static void test_caps(void)
{
  static char text[DT_WS_HEAD_MAX + 200];
  static struct outcome o;
  static const char head[] = "HTTP/1.1 404 X\r\n\r\n";

  memset(text, 'x', sizeof(text));
  read_cut(text, sizeof(text), 10, 1000, NULL, &o);
  CHECK(o.code == DT_TOO_LARGE);
  memcpy(text, head, sizeof(head) - 1);
  read_cut(text, sizeof(text), 10, 1000, NULL, &o);
  CHECK(o.code == DT_WS_ANSWER_REFUSED && o.body_size == DT_WS_BODY_MAX);
}

static void test_base64(void)
{
  static const char *const pairs[][2] = {
    { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
    { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xbf", "+/+/" }
  };
  static const char *const bad[] = { "Z", "Zh==", "Zm9=", "Zg=", "Zg===", "=",
                                     "Z g=", "Zg==Zg==", "\xff\xff\xff\xff" };
  char text[32];
  size_t i, n;

  for(i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
    size_t plain = strlen(pairs[i][0]), coded = strlen(pairs[i][1]);

    n = dt_base64_encode(DT_BASE64, pairs[i][0], plain, text);
    CHECK(n == coded && n == dt_base64_room(plain) &&
          !memcmp(text, pairs[i][1], n));
    n = dt_base64_decode(pairs[i][1], coded, text);
    CHECK(n == plain && !memcmp(text, pairs[i][0], n));
  }
  n = dt_base64_encode(DT_BASE64_URL, "\xfb\xff\xbf\xff", 4, text);
  CHECK(n == 6 && !memcmp(text, "-_-__w", 6));
  n = dt_base64_decode("-_-__w", 6, text);
  CHECK(n == 4 && !memcmp(text, "\xfb\xff\xbf\xff", 4));
  for(i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    CHECK(dt_base64_decode(bad[i], strlen(bad[i]), text) == (size_t)-1);
}

void test_ws_handshake(void)
{
  test_base64();
  test_keys();
  test_request();
  test_bad_requests();
  test_upgrades();
  test_wrong_upgrades();
  test_refusals();
  test_broken_answers();
  test_caps();
}
