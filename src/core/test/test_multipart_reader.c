/*
 * test_multipart_reader.c - the multipart parser: every split point, near
 * misses of the boundary, hostile headers, random bodies.
 */
#include "../core.h"
#include "../multipart_reader.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_multipart_reader(void);

#define TYPE "multipart/form-data; boundary=B-1"

/* What a body says, as one text: "[name|filename|type|length]data<" and "!"
   where a part differs from its announced length, "." at the end, then the
   code. */
struct story {
  char text[20000];
  size_t size;
};

static void tell(struct story *s, const char *data, size_t size)
{
  if(size > sizeof(s->text) - s->size)
    size = sizeof(s->text) - s->size;
  if(size)
    memcpy(s->text + s->size, data, size);
  s->size += size;
}

static void tell_text(struct story *s, const char *text)
{
  tell(s, text, strlen(text));
}

static void tell_event(struct story *s, int what,
                       const struct dt_multipart_event *e)
{
  char length[32];

  switch(what) {
  case DT_MULTIPART_PART:
    sprintf(length, "|%ld]", (long)e->length);
    tell_text(s, "[");
    tell(s, e->name, e->name_size);
    tell_text(s, "|");
    tell(s, e->filename, e->filename_size);
    tell_text(s, "|");
    tell(s, e->type, e->type_size);
    tell_text(s, length);
    break;
  case DT_MULTIPART_DATA:
    CHECK(e->size > 0);
    tell(s, e->data, e->size);
    break;
  case DT_MULTIPART_PART_END:
    tell_text(s, e->as_announced ? "<" : "!<");
    break;
  case DT_MULTIPART_END:
    tell_text(s, ".");
    break;
  }
}

/* Feeds one chunk, from a block of its own. */
static void feed(struct dt_multipart *m, const char *data, size_t size,
                 struct story *s)
{
  struct dt_multipart_event e;
  char *copy = malloc(size ? size : 1);
  int what;

  memcpy(copy, data, size);
  dt_multipart_feed(m, copy, size);
  for(;;) {
    what = dt_multipart_next(m, &e);
    if(what <= DT_MULTIPART_MORE)
      break;
    tell_event(s, what, &e);
  }
  free(copy);
}

static void finish(struct dt_multipart *m, struct story *s)
{
  char code[16];

  sprintf(code, "%d", dt_multipart_finish(m));
  tell_text(s, code);
  tell(s, "", 1);
  dt_multipart_free(m);
}

static void read_cut(const char *body, size_t size, size_t a, size_t b,
                     struct story *s)
{
  struct dt_multipart *m;

  s->size = 0;
  CHECK(dt_multipart_new(&m, TYPE, strlen(TYPE)) == DT_OK);
  feed(m, body, a, s);
  feed(m, body + a, b - a, s);
  feed(m, body + b, size - b, s);
  finish(m, s);
}

/* The body must tell this story wherever it is cut. */
static void expect(const char *body, size_t size, const char *story)
{
  static struct story s;
  size_t a, b;

  for(a = 0; a <= size; a++) {
    for(b = a; b <= size; b += size > 300 ? 7 : 1) {
      read_cut(body, size, a, b, &s);
      CHECK(strcmp(s.text, story) == 0);
    }
  }
}

#define EXPECT(body, story) expect(body, sizeof(body) - 1, story)

#define FILE_HEAD(name) "Content-Disposition: form-data; name=\"file\"; " \
  "filename=\"" name "\"\r\n"

static void test_bulk_answer(void)
{
  EXPECT("--B-1\r\n"
         "Content-Disposition: form-data; name=\"file\"; filename=\"a\"; "
         "filename*=utf-8''a\r\n"
         "Content-Length: 3\r\n"
         "Content-Type: text/plain\r\n\r\n"
         "abc\r\n"
         "--B-1\r\n"
         "Content-Disposition: form-data; name=\"error\"; filename=\"b\"; "
         "filename*=utf-8''b\r\n"
         "Content-Type: application/json; charset=utf-8\r\n\r\n"
         "{}\r\n"
         "--B-1--\r\n",
         "[file|a|text/plain|3]abc<"
         "[error|b|application/json; charset=utf-8|-1]{}<.0");
}

static void test_bodies(void)
{
  /* empty bodies, no headers, an empty list */
  EXPECT("--B-1\r\n\r\n\r\n--B-1--", "[|||-1]<.0");
  EXPECT("--B-1\r\nContent-Length: 0\r\n\r\n\r\n--B-1--", "[|||0]<.0");
  EXPECT("--B-1--\r\n", ".0");
  /* preamble, epilogue, blanks behind the boundary */
  EXPECT("hello\r\n--B-1 \t\r\n\r\nx\r\n--B-1--\r\nbye\r\n--B-1\r\n",
         "[|||-1]x<.0");
  /* near misses of the boundary are data */
  EXPECT("--B-1\r\n\r\n\r\r\n\r\n-\r\n--\r\n--B-\r\n--B-2\r\n--B-1x\r\n--B-1-"
         "\r\n--B-1-x\r\n--B-1\r\r\n--B-1 x--B-1\r\n--B-1--",
         "[|||-1]\r\r\n\r\n-\r\n--\r\n--B-\r\n--B-2\r\n--B-1x\r\n--B-1-"
         "\r\n--B-1-x\r\n--B-1\r\r\n--B-1 x--B-1<.0");
  /* so are more blanks than anybody sends */
  EXPECT("--B-1\r\n\r\n\r\n--B-1                  \r\n\r\n--B-1--",
         "[|||-1]\r\n--B-1                  \r\n<.0");
}

static void test_lengths(void)
{
  /* a boundary inside the announced length is data */
  EXPECT("--B-1\r\nContent-Length: 16\r\n\r\nab\r\n--B-1--\r\n--x\r\n--B-1--",
         "[|||16]ab\r\n--B-1--\r\n--x<.0");
  /* a file that grew */
  EXPECT("--B-1\r\nContent-Length: 2\r\n\r\nabcd\r\n--B-1--",
         "[|||2]abcd!<.0");
  EXPECT("--B-1\r\nContent-Length: 0\r\n\r\nabcd\r\n--B-1--",
         "[|||0]abcd!<.0");
  EXPECT("--B-1\r\nContent-Length: 2\r\n\r\nab\r\n-\r\n--B-1--",
         "[|||2]ab\r\n-!<.0");
  /* one that shrank swallows what follows; this does not pass unnoticed */
  EXPECT("--B-1\r\nContent-Length: 12\r\n\r\na\r\n--B-1\r\n\r\nb\r\n--B-1--",
         "[|||12]a\r\n--B-1\r\n\r\nb!<.0");
  EXPECT("--B-1\r\nContent-Length: 999\r\n\r\na\r\n--B-1--",
         "[|||999]a\r\n--B-1---11");
  /* lengths that are none are ignored */
  EXPECT("--B-1\r\nContent-Length: -2\r\n\r\nab\r\n--B-1--", "[|||-1]ab<.0");
  EXPECT("--B-1\r\nContent-Length: 99999999999999999999\r\n\r\nab\r\n--B-1--",
         "[|||-1]ab<.0");
  EXPECT("--B-1\r\nContent-Length: \r\n\r\nab\r\n--B-1--", "[|||-1]ab<.0");
}

static void test_cut_short(void)
{
  static const char body[] =
    "--B-1\r\nContent-Length: 3\r\n\r\nabc\r\n--B-1--";
  static struct story s;
  size_t n;

  for(n = 0; n < sizeof(body) - 1; n++) {
    read_cut(body, n, n / 2, n, &s);
    CHECK(s.size >= 4 && strcmp(s.text + s.size - 4, "-11") == 0);
  }
}

static void test_names(void)
{
  /* escapes, spaces, parameters without quotes, any case */
  EXPECT("--B-1\r\ncontent-DISPOSITION:form-data;name=file ;"
         "FileName=\"a \\\"b\\\\c;d\\\".txt\"\r\n\r\n\r\n--B-1--",
         "[file|a \"b\\c;d\".txt||-1]<.0");
  /* a raw Latin-1 byte, and the extended form that wins */
  EXPECT("--B-1\r\n" FILE_HEAD("\xe9") "\r\n\r\n--B-1--",
         "[file|\xc3\xa9||-1]<.0");
  EXPECT("--B-1\r\nContent-Disposition: form-data; name=\"file\"; "
         "filename*=UTF-8'en'%c3%A9%2F%zz%4; filename=\"\xe9\"\r\n\r\n"
         "\r\n--B-1--", "[file|\xc3\xa9/%zz%4||-1]<.0");
  EXPECT("--B-1\r\nContent-Disposition: form-data; filename=\"p\"; "
         "filename*=koi8-r''%c3\r\n\r\n\r\n--B-1--", "[|p||-1]<.0");
  /* unfinished things */
  EXPECT("--B-1\r\nContent-Disposition: form-data; name; filename=\"x\\\r\n"
         "\r\n\r\n--B-1--", "[|x\\||-1]<.0");
  EXPECT("--B-1\r\nContent-Disposition: ;;=; filename*=utf-8'\r\n"
         "\r\n\r\n--B-1--", "[|||-1]<.0");
}

static void test_bad_headers(void)
{
  static char big[DT_MULTIPART_HEADER_MAX + 100];
  static struct story s;

  EXPECT("--B-1\r\nno colon\r\n\r\n", "-12");
  EXPECT("--B-1\r\nA: b\r\n folded: c\r\n\r\n", "-12");
  EXPECT("--B-1\r\nA: b\nC: d\r\n\r\n", "-12");
  memset(big, 'x', sizeof(big));
  memcpy(big, "--B-1\r\nA: ", 10);
  read_cut(big, sizeof(big), 5, 1000, &s);
  CHECK(strcmp(s.text, "-13") == 0);
}

static int made(const char *type)
{
  struct dt_multipart *m;
  int code = dt_multipart_new(&m, type, strlen(type));

  CHECK((code == DT_OK) == (m != NULL));
  dt_multipart_free(m);
  return code;
}

static void test_content_types(void)
{
  CHECK(made("multipart/form-data; boundary=DAYTONA-FILE-BOUNDARY") == DT_OK);
  CHECK(made("Multipart/Mixed;charset=x; BOUNDARY=\"a b\"") == DT_OK);
  CHECK(made("multipart/form-data") == DT_PROTOCOL);
  CHECK(made("multipart/form-data; boundary=") == DT_PROTOCOL);
  CHECK(made("multipart/form-data; boundary=\"\r\n\"") == DT_PROTOCOL);
  CHECK(made("application/json") == DT_PROTOCOL);
  CHECK(made("") == DT_PROTOCOL);
}

/* --- random bodies -------------------------------------------------------- */

/* Appends a random body and the story it must tell. Parts without a length
   never hold "B", so that no delimiter stands in them by accident. */
static void make_body(struct story *body, struct story *want)
{
  static const char alphabet[] = "\r\r\n\n--BB11ab";
  unsigned parts = check_random() % 4, i;

  for(i = 0; i < parts; i++) {
    unsigned size = check_random() % 60, k, counted = check_random() & 1;
    char data[64], head[64];

    for(k = 0; k < size; k++) {
      data[k] = alphabet[check_random() % (sizeof(alphabet) - 1)];
      if(data[k] == 'B' && !counted)
        data[k] = '-';
    }
    sprintf(head, "Content-Length: %u\r\n", size);
    tell_text(body, "--B-1\r\n");
    if(counted)
      tell_text(body, head);
    tell_text(body, "\r\n");
    tell(body, data, size);
    tell_text(body, "\r\n");
    sprintf(head, "[|||%d]", counted ? (int)size : -1);
    tell_text(want, head);
    tell(want, data, size);
    tell_text(want, "<");
  }
  tell_text(body, "--B-1--\r\n");
  tell_text(want, ".0");
  tell(want, "", 1);
}

static void read_chunked(const struct story *body, unsigned most,
                         struct story *s)
{
  struct dt_multipart *m;
  size_t at = 0;

  s->size = 0;
  CHECK(dt_multipart_new(&m, TYPE, strlen(TYPE)) == DT_OK);
  while(at < body->size) {
    size_t n = 1 + check_random() % most;

    if(n > body->size - at)
      n = body->size - at;
    feed(m, body->text + at, n, s);
    at += n;
  }
  finish(m, s);
}

static int same(const struct story *a, const struct story *b)
{
  return a->size == b->size && !memcmp(a->text, b->text, a->size);
}

static void test_random(void)
{
  static struct story body, want, got, again;
  unsigned round;

  for(round = 0; round < 5000; round++) {
    unsigned k;

    body.size = want.size = 0;
    make_body(&body, &want);
    read_chunked(&body, 1 + round % 50, &got);
    CHECK(same(&got, &want));
    /* damaged, it must still tell one story, however it is cut */
    for(k = check_random() % 5; k > 0; k--)
      body.text[check_random() % body.size] = "\r\nB- :x"[check_random() % 7];
    read_chunked(&body, 1 + round % 50, &got);
    read_chunked(&body, 10000, &again);
    CHECK(same(&got, &again));
  }
}

void test_multipart_reader(void)
{
  test_bulk_answer();
  test_bodies();
  test_lengths();
  test_cut_short();
  test_names();
  test_bad_headers();
  test_content_types();
  test_random();
}
