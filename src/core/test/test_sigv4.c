/*
 * test_sigv4.c - requests that are signed as AWS has it: what is signed, with
 * what, and that nothing of it stays with the handle.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "peer.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGEST 32
#define HASH_OF_HELLO \
  "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define SIGNED "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token"

static void mirror(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));

  (void)p;
  (void)n;
  while(peer_read(fd, r)) {
    if(!strncmp(r->head, "HEAD", 4))
      peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    else
      peer_answer(fd, 200, r->head);
    free(r->body);
    r->body = NULL;
  }
  free(r->body);
  free(r);
}

/* The head that the peer saw, as text. */
static void head_of(struct dt_engine *e, const struct dt_request *r, char *head,
                    size_t room)
{
  struct dt_transfer *t = begin(e, r);
  struct dt_result result = *finish(e, t);

  CHECK(result.code == DT_OK && result.status == 200);
  snprintf(head, room, "%.*s", (int)result.body_size, (const char *)result.body);
  dt_transfer_free(t);
}

/* The value of a header in it. */
static void value_of(const char *head, const char *name, char *value, size_t room)
{
  const char *line;
  size_t n = strlen(name);

  *value = 0;
  for(line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
    if(!strncasecmp(line + 2, name, n) && line[2 + n] == ':')
      snprintf(value, room, "%.*s", (int)strcspn(line + n + 4, "\r"), line + n + 4);
  }
}

static void to_hex(const unsigned char *bytes, char *text)
{
  size_t i;

  for(i = 0; i < DIGEST; i++)
    sprintf(text + 2 * i, "%02x", bytes[i]);
}

static void sign(unsigned char *key, size_t size, const char *text)
{
  unsigned char out[DIGEST];
  unsigned n;

  HMAC(EVP_sha256(), key, (int)size, (const unsigned char *)text, strlen(text), out, &n);
  memcpy(key, out, DIGEST);
}

/* What the signature must be, of a request with that head. */
static void expected(const char *head, char *signature)
{
  unsigned char hash[DIGEST], key[64] = "AWS4secret/KEY+";
  char host[64], date[32], day[16], canonical[1024], text[1024], hex[65];
  unsigned n;

  value_of(head, "host", host, sizeof(host));
  value_of(head, "x-amz-date", date, sizeof(date));
  snprintf(day, sizeof(day), "%.8s", date);
  snprintf(canonical, sizeof(canonical),
           "PUT\n/b/k\npartNumber=1&uploadId=u\ncontent-type:a/b\nhost:%s\nx-amz-content-sha256:%s\n"
           "x-amz-date:%s\nx-amz-security-token:tok/en=\n\n" SIGNED "\n%s",
           host, HASH_OF_HELLO, date, HASH_OF_HELLO);
  EVP_Digest(canonical, strlen(canonical), hash, &n, EVP_sha256(), NULL);
  to_hex(hash, hex);
  snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s/eu-1/s3/aws4_request\n%s", date, day, hex);
  sign(key, strlen((char *)key), day);
  sign(key, DIGEST, "eu-1");
  sign(key, DIGEST, "s3");
  sign(key, DIGEST, "aws4_request");
  sign(key, DIGEST, text);
  to_hex(key, signature);
}

/* Makes a request one that is signed. */
static void make_signed(struct dt_request *r)
{
  static const char *const lines[] = { "x-amz-security-token: tok/en=",
                                       "x-amz-content-sha256: " HASH_OF_HELLO,
                                       "Content-Type: a/b", NULL };

  r->method = "PUT";
  r->headers = lines;
  r->body = DT_BODY_MEMORY;
  r->data = "hello";
  r->size = 5;
  r->sigv4 = "aws:amz:eu-1:s3";
  r->user = "KEYID";
  r->password = "secret/KEY+";
}

static void test_signature(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/b/k?partNumber=1&uploadId=u"));
  char head[4096], value[512], signature[65];
  int i;

  make_signed(&r);
  for(i = 0; i < 3; i++) { /* a used handle is as good as a new one */
    r.sigv4 = i == 1 ? NULL : "aws:amz:eu-1:s3";
    head_of(e, &r, head, sizeof(head));
    value_of(head, "authorization", value, sizeof(value));
    if(i == 1) {
      CHECK(!value[0]);
      continue;
    }
    expected(head, signature);
    CHECK(contains(value, "Credential=KEYID/"));
    CHECK(contains(value, "SignedHeaders=" SIGNED ","));
    CHECK(contains(value, signature));
    CHECK(!contains(head, "secret"));
  }
}

static void refuse(struct dt_engine *e, const struct dt_request *r, const char *culprit)
{
  struct dt_transfer *t;
  const char *what;

  CHECK(dt_transfer_start(e, r, &t, &what) == DT_BAD_ARGUMENT);
  CHECK(t == NULL && what && !strcmp(what, culprit));
}

static void test_bad_credentials(struct dt_engine *e)
{
  struct dt_request r = REQUEST("http://127.0.0.1:1/");

  make_signed(&r);
  r.user = NULL;
  refuse(e, &r, "credentials");
  r.user = "a:b"; /* libcurl would take it as user and password */
  refuse(e, &r, "credentials");
  r.user = "KEYID";
  r.password = "a\nb";
  refuse(e, &r, "credentials");
  r.password = NULL;
  refuse(e, &r, "credentials");
  r.password = "secret";
  r.sigv4 = "aws:amz:eu\r\n:s3";
  refuse(e, &r, "signature");
}

/* Of a file, which libcurl might ask leave for, and of nothing. */
static void test_other_bodies(struct dt_engine *e, struct peer *p)
{
  struct dt_request r = REQUEST(peer_url(p, "/b/k"));
  char head[4096], value[512];
  FILE *f = tmpfile();

  make_signed(&r);
  CHECK(f && fputs("hello", f) >= 0 && !fflush(f));
  rewind(f);
  r.body = DT_BODY_FD;
  r.fd = fileno(f);
  r.length = 5;
  head_of(e, &r, head, sizeof(head));
  value_of(head, "authorization", value, sizeof(value));
  CHECK(contains(value, "SignedHeaders=" SIGNED ","));
  fclose(f);
  r.method = "HEAD";
  r.body = DT_BODY_NONE;
  head_of(e, &r, head, sizeof(head));
}

/* Older ones leave headers out of what they sign. */
static int signs_headers(void)
{
  unsigned major = 0, minor = 0;

  sscanf(dt_curl_version(), "libcurl/%u.%u", &major, &minor);
  return major > 7 || minor >= 88;
}

void test_sigv4(void);

void test_sigv4(void)
{
  struct dt_engine *e = engine_open(0);
  struct peer *p = peer_open(mirror, NULL);

  if(signs_headers()) {
    test_signature(e, p);
    test_other_bodies(e, p);
  }
  test_bad_credentials(e);
  dt_engine_free(e);
  peer_close(p);
}
