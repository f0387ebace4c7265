/*
 * test_ws_session.c - WebSocket frames, fed by hand: every split point, and
 * every way in which a peer can misbehave.
 */
#include "../core.h"
#include "../ws_session.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_ws_session(void);

#define TEXT 0x81
#define BINARY 0x82
#define CLOSE 0x88
#define PING 0x89
#define PONG 0x8A

struct bytes {
  char data[300000];
  size_t size;
};

static void put(struct bytes *b, const void *data, size_t size)
{
  if(size)
    memcpy(b->data + b->size, data, size);
  b->size += size;
}

static void put_text(struct bytes *b, const char *s)
{
  put(b, s, strlen(s));
}

/* A frame as a server sends it. */
static void frame(struct bytes *b, int first, const void *data, size_t size)
{
  unsigned char head[10] = { 0 };
  size_t n = 2, i;

  head[0] = (unsigned char)first;
  if(size < 126)
    head[1] = (unsigned char)size;
  else if(size < 65536) {
    head[1] = 126;
    head[2] = (unsigned char)(size >> 8);
    head[3] = (unsigned char)size;
    n = 4;
  } else {
    head[1] = 127;
    for(i = 0; i < 8; i++)
      head[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
    n = 10;
  }
  put(b, head, n);
  put(b, data, size);
}

static void frame_text(struct bytes *b, int first, const char *s)
{
  frame(b, first, s, strlen(s));
}

static void close_frame(struct bytes *b, unsigned code, const char *reason)
{
  char data[2 + DT_WS_REASON_MAX];
  size_t n = strlen(reason);

  data[0] = (char)(code >> 8);
  data[1] = (char)code;
  memcpy(data + 2, reason, n);
  frame(b, CLOSE, data, n + 2);
}

/* --- what a session tells ------------------------------------------------- */

static void tell_messages(struct dt_ws_session *s, struct bytes *story)
{
  struct dt_ws_message *m;

  while((m = dt_ws_session_take(s)) != NULL) {
    put_text(story, m->text ? "T(" : "B(");
    put(story, m->data, m->size);
    put_text(story, m->final ? ")" : "+)");
    free(m);
  }
}

/* What the client sent: frames are masked, and told as their first byte in hex
   and what they hold. */
static void tell_output(struct dt_ws_session *s, struct bytes *story)
{
  static struct bytes out;
  const char *data;
  size_t n, at;

  out.size = 0;
  for(;;) {
    n = dt_ws_session_output(s, &data);
    if(!n)
      break;
    CHECK(n != (size_t)-1);
    n = (n + 1) / 2;
    put(&out, data, n);
    dt_ws_session_sent(s, n);
  }
  for(at = 0; at + 6 <= out.size;) {
    const unsigned char *p = (const unsigned char *)out.data + at;
    size_t size = p[1] & 127, i, head = 2;
    char text[16];

    CHECK(p[1] & 128);
    if(size == 126) {
      size = (size_t)p[2] << 8 | p[3];
      head = 4;
    } else if(size == 127) {
      size = (size_t)p[6] << 24 | (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9];
      head = 10;
    }
    sprintf(text, ">%02x(", p[0]);
    put_text(story, text);
    for(i = 0; i < size; i++) {
      char c = (char)(p[head + 4 + i] ^ p[head + i % 4]);

      put(story, &c, 1);
    }
    put_text(story, ")");
    at += head + 4 + size;
  }
  CHECK(at == out.size);
}

static void tell_end(struct dt_ws_session *s, int code, struct bytes *story)
{
  const char *reason;
  size_t size;
  unsigned close;
  char text[40];

  dt_ws_session_closed_by_peer(s, &close, &reason, &size);
  sprintf(text, "%d/%u:", code, close);
  put_text(story, text);
  put(story, reason, size);
  put(story, "", 1);
}

static int feed(struct dt_ws_session *s, const char *data, size_t size)
{
  char *copy = malloc(size ? size : 1);
  int code;

  memcpy(copy, data, size);
  code = dt_ws_session_feed(s, copy, size);
  free(copy);
  return code;
}

static void run_cut(const struct bytes *in, size_t a, size_t b,
                    uint64_t max_message, struct bytes *story)
{
  struct dt_ws_session *s;
  int code;

  story->size = 0;
  CHECK(dt_ws_session_new(&s, max_message, 0) == DT_OK);
  feed(s, in->data, a);
  feed(s, in->data + a, b - a);
  code = feed(s, in->data + b, in->size - b);
  tell_messages(s, story);
  tell_output(s, story);
  tell_end(s, code, story);
  CHECK(dt_ws_session_unsent(s) == 0 || dt_ws_session_closing(s));
  dt_ws_session_free(s);
}

/* The frames must tell this wherever they are cut. */
static void expect(const struct bytes *in, uint64_t max_message,
                   const char *want)
{
  static struct bytes story;
  size_t a, b, step = in->size / 60 + 1;

  for(a = 0; a <= in->size; a += step) {
    for(b = a; b <= in->size; b += step) {
      run_cut(in, a, b, max_message, &story);
      CHECK(!strcmp(story.data, want));
      if(strcmp(story.data, want)) {
        printf("want %s\n got %s\n", want, story.data);
        return;
      }
    }
  }
}

#define FRAMES(statements, max, want) do { \
    static struct bytes b; \
    b.size = 0; \
    statements; \
    expect(&b, max, want); \
  } while(0)

static void test_messages(void)
{
  FRAMES(frame_text(&b, TEXT, "hello"), 0, "T(hello)0/1006:");
  FRAMES(frame(&b, BINARY, "", 0); frame_text(&b, TEXT, ""), 0,
         "B()T()0/1006:");
  FRAMES(frame_text(&b, 0x01, "one "); frame_text(&b, PING, "now");
         frame_text(&b, 0x00, "two "); frame_text(&b, 0x80, "three"), 0,
         "T(one two three)>8a(now)0/1006:");
  FRAMES(frame_text(&b, 0x01, "\xc3"); frame_text(&b, 0x80, "\xa9"), 0,
         "T(\xc3\xa9)0/1006:");
  FRAMES(frame_text(&b, PONG, "unasked"), 0, "0/1006:");
  FRAMES(frame_text(&b, BINARY, "\xff\xfe"), 0, "B(\xff\xfe)0/1006:");
}

static void test_close(void)
{
  FRAMES(frame_text(&b, TEXT, "x"); close_frame(&b, 1000, "");
         put_text(&b, "ignored"), 0, "T(x)>88(\x03\xe8)0/1000:");
  FRAMES(close_frame(&b, 1011, "{\"exitCode\":3}"), 0,
         ">88(\x03\xf3{\"exitCode\":3})0/1011:{\"exitCode\":3}");
  FRAMES(close_frame(&b, 1001, ""), 0, ">88(\x03\xe9)0/1001:");
  FRAMES(close_frame(&b, 1008, "slow consumer"), 0,
         ">88(\x03\xf0slow consumer)0/1008:slow consumer");
  FRAMES(close_frame(&b, 4000, "\xc3\xa9\xc3\xa9\xe2\x82\xac"), 0,
         ">88(\x0f\xa0\xc3\xa9\xc3\xa9\xe2\x82\xac)0/4000:"
         "\xc3\xa9\xc3\xa9\xe2\x82\xac");
  FRAMES(close_frame(&b, 4008, ""), 0, ">88(\x0f\xa8)0/4008:");
  FRAMES(frame(&b, CLOSE, "", 0), 0, ">88()0/1005:");
  FRAMES(close_frame(&b, 1012, "restart"), 0, ">88(\x03\xea)0/1012:restart");
  FRAMES(close_frame(&b, 1006, ""), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(close_frame(&b, 999, ""), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(close_frame(&b, 1000, "\xff"), 0, ">88(\x03\xef)-12/1006:");
  /* not as the RFC wants it, but the meaning is clear */
  FRAMES(frame(&b, CLOSE, "\x03", 1), 0, ">88()0/1005:");
}

/* After any of these the connection has failed; what came before is kept. */
static void test_breaches(void)
{
  FRAMES(frame_text(&b, TEXT, "x"); frame_text(&b, TEXT, "\xc3("), 0,
         "T(x)>88(\x03\xef)-12/1006:");
  FRAMES(frame_text(&b, TEXT, "\xc3"), 0, ">88(\x03\xef)-12/1006:");
  FRAMES(frame_text(&b, 0xC1, "x"), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(frame_text(&b, 0xA1, "x"), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(frame_text(&b, 0x83, "x"), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(frame_text(&b, 0x8B, "x"), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(frame_text(&b, 0x80, "x"), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(frame_text(&b, 0x01, "x"); frame_text(&b, 0x81, "y"), 0,
         ">88(\x03\xea)-12/1006:");
  FRAMES(put(&b, "\x81\x81" "keyy" "x", 7), 0, ">88(\x03\xea)-12/1006:");
  FRAMES(frame_text(&b, 0x09, "fragment"), 0, ">88()-12/1006:");
  FRAMES(put(&b, "\x89\x7e\x00\x7e", 4), 0, ">88()-12/1006:");
  FRAMES(put(&b, "\x82\x7e\x00\x01x", 5), 0, ">88()-12/1006:");
  FRAMES(put(&b, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10), 0,
         ">88()-12/1006:");
}

static void test_caps(void)
{
  FRAMES(frame_text(&b, TEXT, "1234"); frame_text(&b, BINARY, "12345"), 4,
         "T(1234)>88(\x03\xf1)-13/1006:");
  FRAMES(frame_text(&b, 0x01, "12"); frame_text(&b, 0x00, "34");
         frame_text(&b, 0x80, "5"), 4, ">88(\x03\xf1)-13/1006:");
  /* the claim alone is enough, and costs no memory */
  FRAMES(put(&b, "\x82\x7f\x00\x00\x00\xff\xff\xff\xff\xffx", 11), 1000,
         ">88(\x03\xf1)-13/1006:");
  FRAMES(put(&b, "\x82\x7f\x00\x00\x00\xff\xff\xff\xff\xff" "abc", 13), 0,
         "0/1006:");
}

static void test_long_messages(void)
{
  static char data[200000];
  static struct bytes b, want;
  size_t i;

  for(i = 0; i < sizeof(data); i++)
    data[i] = (char)('a' + i % 26);
  b.size = want.size = 0;
  frame(&b, BINARY, data, 70000);
  frame(&b, 0x02, data, 126);
  frame(&b, 0x80, data, 65536);
  put_text(&want, "B(");
  put(&want, data, 70000);
  put_text(&want, ")B(");
  put(&want, data, 126);
  put(&want, data, 65536);
  put_text(&want, ")0/1006:");
  put(&want, "", 1);
  {
    static struct bytes story;

    run_cut(&b, 5000, 69000, 0, &story);
    CHECK(!strcmp(story.data, want.data));
  }
}

static void test_streaming(void)
{
  static struct bytes b, story;
  struct dt_ws_session *s;

  b.size = story.size = 0;
  frame_text(&b, 0x01, "abcdef");
  frame_text(&b, 0x80, "gh");
  CHECK(dt_ws_session_new(&s, 4, 1) == DT_OK);
  CHECK(feed(s, b.data, 4) == DT_OK);
  tell_messages(s, &story);
  CHECK(feed(s, b.data + 4, b.size - 4) == DT_OK);
  tell_messages(s, &story);
  put(&story, "", 1);
  CHECK(!strcmp(story.data, "T(ab+)T(cdefgh)"));
  dt_ws_session_free(s);
}

static void test_sending(void)
{
  static struct bytes story, data;
  struct dt_ws_session *s;

  CHECK(dt_ws_session_new(&s, 0, 0) == DT_OK);
  CHECK(dt_ws_session_send(s, 1, "text", 4) == DT_OK);
  CHECK(dt_ws_session_send(s, 0, "\0\1", 2) == DT_OK);
  CHECK(dt_ws_session_unsent(s) >= 6);
  CHECK(dt_ws_session_ping(s) == DT_OK);
  data.size = 100000;
  memset(data.data, 'x', data.size);
  CHECK(dt_ws_session_send(s, 0, data.data, data.size) == DT_OK);
  story.size = 0;
  tell_output(s, &story);
  CHECK(story.size == 5 + 9 + 7 + 100005);
  CHECK(!memcmp(story.data, ">89()>81(text)>82(\0\1)>82(xxx", 28));
  CHECK(dt_ws_session_unsent(s) == 0);
  CHECK(!dt_ws_session_closing(s));
  CHECK(dt_ws_session_close(s, 1005, "", 0) == DT_BAD_ARGUMENT);
  CHECK(dt_ws_session_close(s, 0, "x", 1) == DT_BAD_ARGUMENT);
  CHECK(dt_ws_session_close(s, 1000, data.data, 124) == DT_BAD_ARGUMENT);
  CHECK(dt_ws_session_send(s, 1, "last", 4) == DT_OK);
  CHECK(dt_ws_session_close(s, 1000, "bye", 3) == DT_OK);
  CHECK(dt_ws_session_close(s, 1000, "", 0) == DT_BAD_ARGUMENT);
  CHECK(dt_ws_session_closing(s) && !dt_ws_session_close_sent(s));
  CHECK(dt_ws_session_send(s, 1, "late", 4) == DT_BAD_ARGUMENT);
  story.size = 0;
  tell_output(s, &story);
  CHECK(!memcmp(story.data, ">81(last)>88(\x03\xe8" "bye)", 19));
  CHECK(dt_ws_session_close_sent(s));
  dt_ws_session_free(s);
}

static void test_ping_flood(void)
{
  static struct bytes b, story;
  struct dt_ws_session *s;
  unsigned i;

  b.size = story.size = 0;
  for(i = 0; i < 1100; i++)
    frame(&b, PING, "", 0);
  CHECK(dt_ws_session_new(&s, 0, 0) == DT_OK);
  CHECK(!dt_ws_session_flooded(s));
  CHECK(feed(s, b.data, b.size) == DT_OK);
  CHECK(dt_ws_session_flooded(s));
  tell_output(s, &story);
  CHECK(!dt_ws_session_flooded(s));
  dt_ws_session_free(s);
}

/* After our close frame messages may still come; nobody wants them. */
static void test_deafened(void)
{
  static struct bytes b;
  struct dt_ws_session *s;
  const char *reason;
  size_t size;
  unsigned code;

  b.size = 0;
  frame_text(&b, 0x01, "begun");
  CHECK(dt_ws_session_new(&s, 3, 0) == DT_OK);
  b.size = 0;
  frame_text(&b, 0x01, "be");
  CHECK(feed(s, b.data, b.size) == DT_OK);
  dt_ws_session_deafen(s);
  CHECK(dt_ws_session_close(s, 1000, "", 0) == DT_OK);
  b.size = 0;
  frame_text(&b, 0x80, "gun, and long");
  frame_text(&b, BINARY, "more");
  close_frame(&b, 1000, "ok");
  CHECK(feed(s, b.data, b.size) == DT_OK);
  CHECK(!dt_ws_session_has_message(s));
  CHECK(dt_ws_session_closed_by_peer(s, &code, &reason, &size));
  CHECK(code == 1000 && size == 2);
  dt_ws_session_free(s);
}

/* What waits is counted, so that the owner can stop reading. */
static void test_waiting(void)
{
  static struct bytes b;
  struct dt_ws_session *s;

  b.size = 0;
  frame_text(&b, TEXT, "12345");
  CHECK(dt_ws_session_new(&s, 0, 0) == DT_OK);
  CHECK(dt_ws_session_waiting(s) == 0);
  feed(s, b.data, b.size);
  feed(s, b.data, b.size);
  CHECK(dt_ws_session_waiting(s) >= 10);
  free(dt_ws_session_take(s));
  free(dt_ws_session_take(s));
  CHECK(dt_ws_session_waiting(s) == 0);
  CHECK(dt_ws_session_take(s) == NULL);
  dt_ws_session_free(s);
}

static void test_random_bytes(void)
{
  static struct bytes b, one, two;
  unsigned round, i;

  for(round = 0; round < 3000; round++) {
    b.size = 0;
    for(i = check_random() % 6; i > 0; i--)
      frame(&b, (int)(check_random() & 255), "abcdefgh", check_random() % 9);
    for(i = check_random() % 3; i > 0 && b.size; i--)
      b.data[check_random() % b.size] = (char)check_random();
    run_cut(&b, 0, 0, 50, &one);
    run_cut(&b, b.size / 3, b.size / 2, 50, &two);
    CHECK(one.size == two.size && !memcmp(one.data, two.data, one.size));
  }
}

void test_ws_session(void)
{
  test_messages();
  test_close();
  test_breaches();
  test_caps();
  test_long_messages();
  test_streaming();
  test_sending();
  test_ping_flood();
  test_deafened();
  test_waiting();
  test_random_bytes();
}
