/*
 * test_failure.c - each way in which the world fails, and the code for it.
 */
#define _GNU_SOURCE
#include "../certificates.h"
#include "../profile.h"
#include "check.h"
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_names(void)
{
  CHECK(!strcmp(dt_code_name(DT_OK), "ok"));
  CHECK(!strcmp(dt_code_name(DT_NOMEM), "out_of_memory"));
  CHECK(!strcmp(dt_code_name(DT_CANCELED), "canceled"));
  CHECK(!strcmp(dt_code_name(DT_SOURCE), "source"));
  CHECK(!strcmp(dt_code_name(DT_INTERNAL), "internal"));
  CHECK(!strcmp(dt_code_name(-99), "internal"));
  CHECK(!strcmp(dt_code_name(5), "internal"));
}

/* A port of 127.0.0.1 that nobody listens on. */
static int closed_port(void)
{
  struct sockaddr_in a;
  socklen_t size = sizeof(a);
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  memset(&a, 0, sizeof(a));
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(!bind(fd, (void *)&a, sizeof(a)) &&
        !getsockname(fd, (void *)&a, &size));
  close(fd);
  return ntohs(a.sin_port);
}

static void test_refused(struct dt_engine *e)
{
  char url[64];
  struct dt_request r = REQUEST(url);
  struct dt_result result;

  snprintf(url, sizeof(url), "http://127.0.0.1:%d/", closed_port());
  CHECK(fetch(e, &r, &result) == DT_CONNECT);
  CHECK(result.os_error == ECONNREFUSED);
  CHECK(!result.request_sent && !result.answer_started && !result.reused);
  CHECK(result.status == 0);
}

static void test_unknown_host(struct dt_engine *e)
{
  struct dt_request r = REQUEST("http://nonexistent.invalid/");

  CHECK(fetch(e, &r, NULL) == DT_RESOLVE);
}

/* What the peer says after having read the request, and the code for it. */
struct saying {
  const char *text;
  int code, status, answer_started;
};

static const struct saying sayings[] = {
  { "", DT_RESET, 0, 0 },
  { "HTTP/1.1 20", DT_RESET, 0, 0 },
  { "HTTP/1.1 200 OK\r\n", DT_RESET, 0, 1 },
  { "HTTP/1.1 200 OK\r\nContent-Le", DT_RESET, 0, 1 },
  { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", DT_RESET, 0, 1 },
  { "HTTP/1.1 100 Go on\r\n\r\n", DT_RESET, 0, 1 },
  { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", DT_TRUNCATED, 200, 1 },
  { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd", DT_TRUNCATED, 200, 1 },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    DT_TRUNCATED, 200, 1 },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    DT_TRUNCATED, 200, 1 },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", DT_PROTOCOL,
    200, 1 },
  { "SSH-2.0-OpenSSH_9.2\r\n", DT_PROTOCOL, 0, 0 },
  { "garbage", DT_PROTOCOL, 0, 0 },
  { "{\"a\":1}\r\n\r\n", DT_PROTOCOL, 0, 0 },
  { "HTTP/1.1 abc\r\n\r\n", DT_PROTOCOL, 0, 0 },
  { "HTTP/1.1 200 OK\r\n\r\nuntil the end", DT_OK, 200, 1 },
  { "HTTP/1.1 204 Nothing\r\n\r\n", DT_OK, 204, 1 },
  { "HTTP/1.0 502 Bad\r\n\r\n", DT_OK, 502, 1 },
};

static void test_sayings(struct dt_engine *e)
{
  size_t i;

  for(i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
    char *text = strdup(sayings[i].text);
    struct peer *p = peer_open(peer_says, text);
    struct dt_request r = REQUEST(peer_url(p, "/"));
    struct dt_result result;
    int code = fetch(e, &r, &result);

    if(code != sayings[i].code || result.status != sayings[i].status ||
       result.answer_started != sayings[i].answer_started)
      printf("after \"%s\": %s, status %ld, started %d\n", sayings[i].text,
             dt_code_name(code), result.status, result.answer_started);
    CHECK(code == sayings[i].code);
    CHECK(result.status == sayings[i].status);
    CHECK(result.answer_started == sayings[i].answer_started);
    CHECK(result.request_sent);
    peer_close(p);
    free(text);
  }
}

/* Resets at once (1), after the request (2), in the body (3). */
static void reset_script(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  int stage = *(int *)peer_data(p);

  (void)n;
  r->body = NULL;
  if(stage > 1)
    peer_read(fd, r);
  if(stage > 2)
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
  if(stage > 2) /* until the client has read it */
    while(!__atomic_load_n((int *)peer_data(p) + 1, __ATOMIC_ACQUIRE))
      usleep(1000);
  peer_reset(fd);
  free(r->body);
  free(r);
}

static void test_resets(struct dt_engine *e)
{
  static const int codes[] = { DT_RESET, DT_RESET, DT_TRUNCATED };
  int stage[2];

  for(stage[0] = 1; stage[0] <= 3; stage[0]++) {
    struct peer *p;
    struct dt_request r = REQUEST(NULL);
    struct dt_transfer *t;
    int code;

    stage[1] = 0;
    p = peer_open(reset_script, stage);
    r.url = peer_url(p, "/");
    r.sink = DT_SINK_QUEUE;
    t = begin(e, &r);
    wait_for(e, t, DT_EVENT_HEADERS);
    __atomic_store_n(&stage[1], 1, __ATOMIC_RELEASE);
    code = finish(e, t)->code;
    /* On a busy machine it is reset before it is known to be connected. */
    CHECK(code == codes[stage[0] - 1] || (stage[0] == 1 && code == DT_CONNECT));
    dt_transfer_free(t);
    peer_close(p);
  }
}

/* Headers without end: many (1), or one long line (2). */
static void huge_headers(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));
  int i, kind = *(int *)peer_data(p);

  (void)n;
  if(peer_read(fd, r)) {
    peer_send(fd, "HTTP/1.1 200 OK\r\n");
    for(i = 0; i < 100000; i++)
      peer_send(fd, kind == 1 ? "X-Again: again and again and again\r\n"
                              : "X-Again: again and again and again");
  }
  free(r->body);
  free(r);
}

static void test_huge_headers(struct dt_engine *e)
{
  int kind;

  for(kind = 1; kind <= 2; kind++) {
    struct peer *p = peer_open(huge_headers, &kind);
    struct dt_request r = REQUEST(peer_url(p, "/"));
    struct dt_transfer *t;

    t = begin(e, &r);
    CHECK(finish(e, t)->code == DT_PROTOCOL);
    CHECK(contains(finish(e, t)->message, "headers are too long"));
    dt_transfer_free(t);
    peer_close(p);
  }
}

/* Answers a TLS hello with something else. */
static void not_tls(struct peer *p, int fd, int n)
{
  char c;

  (void)p;
  (void)n;
  if(recv(fd, &c, 1, 0) == 1)
    peer_send(fd, "HTTP/1.1 400 this is no TLS\r\n\r\n");
  peer_hold(fd);
}

static void test_no_tls(struct dt_engine *e)
{
  struct peer *p = peer_open(not_tls, NULL);
  char url[64];
  struct dt_request r = REQUEST(url);
  struct dt_result result;

  snprintf(url, sizeof(url), "https://127.0.0.1:%d/", peer_port(p));
  CHECK(fetch(e, &r, &result) == DT_TLS);
  CHECK(!result.request_sent);
  peer_close(p);
}

static int note_text(CURL *easy, curl_infotype type, char *data, size_t size,
                     void *text)
{
  (void)easy;
  if(type == CURLINFO_TEXT)
    strncat(text, data, size < 200 ? size : 200);
  return 0;
}

/* What libcurl says of the authorities it would trust. */
static void note_trust(struct peer *p, const char *file, const char *path,
                       char *text)
{
  struct dt_profile_options o;
  struct dt_profile *profile;
  CURL *easy = curl_easy_init();
  char url[64];

  memset(&o, 0, sizeof(o));
  o.ca_file = file;
  o.ca_path = path;
  CHECK(dt_profile_new(&profile, &o) == DT_OK);
  CHECK(dt_profile_apply(profile, easy) == CURLE_OK);
  snprintf(url, sizeof(url), "https://127.0.0.1:%d/", peer_port(p));
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
  curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, note_text);
  curl_easy_setopt(easy, CURLOPT_DEBUGDATA, text);
  *text = 0;
  CHECK(curl_easy_perform(easy) != CURLE_OK);
  curl_easy_cleanup(easy);
  dt_profile_free(profile);
}

/* A file with a certificate in it, which has ended long ago. */
static void write_bundle(char *path)
{
  const char *text = dt_certificates_nobody;
  int fd = mkstemp(path);

  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

/* Who names authorities trusts these, and not the system's beside them. */
static void test_trust(void)
{
  struct peer *p = peer_open(not_tls, NULL);
  char *text = malloc(100000), path[] = "/tmp/bundle.XXXXXX";

  write_bundle(path);
  note_trust(p, path, NULL, text);
  CHECK(!contains(text, "/etc/ssl") && contains(text, path));
  unlink(path);
  note_trust(p, "/dev/null", NULL, text);
  CHECK(!contains(text, "/etc/ssl") && contains(text, "/dev/null"));
  note_trust(p, NULL, "/dev", text);
  CHECK(!contains(text, "/etc/ssl") && contains(text, "CApath: /dev"));
  free(text);
  peer_close(p);
}

/* Passwords in proxies appear in no message; URLs may hold none. */
static void test_no_secrets(struct dt_engine *e)
{
  static const char *const proxies[] = {
    "http://user:hunter2@127.0.0.1:1", "gopher://user:hunter2@127.0.0.1:1",
    "http://user:hunter2@nonexistent.invalid:1",
    "http://user:hunter2@127.0.0.1:99999", "http://user:hunt/er2@[::1"
  };
  static const char *const urls[] = { "http://user:hunter2@127.0.0.1:1/",
                                      "http://user:hunter2@127.0.0.1:99999/",
                                      "http://user:hunter2@nonexistent.invalid/",
                                      "http://user:hunter2@[::1/" };
  struct dt_profile_options o;
  struct dt_request r = REQUEST("http://127.0.0.1:1/");
  struct dt_transfer *t;
  const char *what;
  size_t i;

  memset(&o, 0, sizeof(o));
  for(i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
    o.proxy = proxies[i];
    CHECK(dt_profile_new(&r.profile, &o) == DT_OK);
    t = begin(e, &r);
    CHECK(finish(e, t)->code < 0);
    CHECK(*finish(e, t)->message);
    CHECK(!contains(finish(e, t)->message, "hunt"));
    dt_transfer_free(t);
    dt_profile_free(r.profile);
  }
  r.profile = NULL;
  for(i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
    r.url = urls[i];
    CHECK(dt_transfer_start(e, &r, &t, &what) == DT_BAD_ARGUMENT);
    CHECK(!strcmp(what, "URL"));
  }
}

/* A proxy that refuses the tunnel: nothing was sent. */
static void test_proxy_refuses(struct dt_engine *e)
{
  char text[] = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
  struct peer *p = peer_open(peer_says, text);
  struct dt_profile_options o;
  struct dt_request r = REQUEST("https://example.invalid/");
  struct dt_result result;

  memset(&o, 0, sizeof(o));
  o.proxy = peer_url(p, "");
  CHECK(dt_profile_new(&r.profile, &o) == DT_OK);
  CHECK(fetch(e, &r, &result) == DT_CONNECT);
  CHECK(result.status == 0);
  dt_profile_free(r.profile);
  peer_close(p);
}

void test_failure(void);

void test_failure(void)
{
  struct dt_engine *e = engine_open(0);

  test_names();
  test_refused(e);
  test_unknown_host(e);
  test_sayings(e);
  test_resets(e);
  test_huge_headers(e);
  test_no_tls(e);
  test_trust();
  test_no_secrets(e);
  test_proxy_refuses(e);
  dt_engine_free(e);
}
