/*
 * fuzz_url.c - libFuzzer target: any URL, header and subprotocol is refused or
 * taken without harm; where an origin was found libcurl finds the same, and an
 * opening is one request, whatever was put into it.
 *
 * The input's lines are: the URL, a header, the subprotocols.
 */
#define _GNU_SOURCE
#include "../ws.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Whether the host is of a kind that libcurl writes as it is. */
static int is_plain(const char *host, size_t size)
{
  size_t i;
  int letters = 0;

  for(i = 0; i < size; i++) {
    letters |= host[i] >= 'g' && host[i] <= 'z';
    if(!strchr("abcdefghijklmnopqrstuvwxyz-", host[i]))
      return 0;
  }
  return size && letters;
}

static void same_host(const char *url)
{
  CURLU *parsed = curl_url();
  struct dt_span span;
  char *host = NULL, *scheme = NULL;
  size_t n;

  if(dt_origin_parse(url, &span)) {
    if(!span.size || span.host < url || memchr(span.host, '/', span.size) ||
       memchr(span.host, '@', span.size))
      abort();
    n = strcspn(span.host, ":/?#");
    if(n <= span.size && is_plain(span.host, n) &&
       !curl_url_set(parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS) &&
       !curl_url_get(parsed, CURLUPART_HOST, &host, 0) &&
       !curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) &&
       (strlen(host) != n || memcmp(host, span.host, n) ||
        strcmp(scheme, span.tls ? "https" : "http")))
      abort();
  }
  curl_free(host);
  curl_free(scheme);
  curl_url_cleanup(parsed);
}

static void open_socket(struct dt_engine *e, const char *url,
                        const char *header, const char *protocols)
{
  const char *headers[] = { header, NULL };
  struct dt_ws_options o;
  struct dt_ws *ws;
  const char *end;

  memset(&o, 0, sizeof(o));
  o.url = url;
  o.headers = *header ? headers : NULL;
  o.protocols = *protocols ? protocols : NULL;
  if(!dt_ws_open(e, &o, &ws, NULL)) {
    end = memmem(ws->request, ws->request_size, "\r\n\r\n", 4);
    if(!end || end + 4 != ws->request + ws->request_size ||
       memchr(ws->request, 0, ws->request_size))
      abort();
    dt_ws_free(ws);
  }
}

static void start(struct dt_engine *e, const char *url, const char *header)
{
  const char *headers[] = { header, NULL };
  struct dt_request r = { .url = url, .headers = headers };
  struct dt_transfer *t;

  if(!dt_transfer_start(e, &r, &t, NULL))
    dt_transfer_free(t);
}

/* The next line, ended where it stands. */
static char *next_line(char **at)
{
  char *line = *at, *stop = strchr(line, '\n');

  *at = stop ? stop + 1 : line + strlen(line);
  if(stop)
    *stop = 0;
  return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  static struct dt_engine *e;
  char *text, *at, *url, *header, *protocols;

  if(!e && dt_engine_new(&e, NULL))
    abort();
  text = malloc(size + 1);
  memcpy(text, input, size);
  text[size] = 0;
  at = text;
  url = next_line(&at);
  header = next_line(&at);
  protocols = next_line(&at);
  same_host(url);
  open_socket(e, url, header, protocols);
  start(e, url, header);
  free(text);
  return 0;
}
