/*
 * ws_open.c - from a WebSocket's options to the opening's bytes and a connection
 * in the making. What is said over it is websocket.c's business.
 */
#define _GNU_SOURCE
#include "text.h"
#include "ws.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CLOSE_WAIT   5.0
#define LEAST_BUFFER 1024L

/* --- the options ------------------------------------------------------------ */

/* The http or https URL for a ws or wss one. NULL without memory. */
static char *http_url(const char *url)
{
  size_t size = strlen(url) + 1;
  char *copy = malloc(size + 2);

  if(!copy)
    return NULL;
  if(!strncasecmp(url, "ws:", 3) || !strncasecmp(url, "wss:", 4)) {
    memcpy(copy, "http", 4);
    memcpy(copy + 4, url + 2, size - 2);
  } else {
    memcpy(copy, url, size);
  }
  return copy;
}

static int is_default_port(const struct dt_span *s, size_t size)
{
  const char *port = s->tls ? ":443" : ":80";
  size_t n = strlen(port);

  return size > n && !memcmp(s->host + size - n, port, n);
}

/* Splits the URL into the Host header and the target, both newly allocated.
   DT_OK, DT_NOMEM or DT_BAD_ARGUMENT. */
static int split_url(struct dt_ws *ws, char **host, char **target)
{
  struct dt_span span;
  const char *rest;
  size_t size;

  if(!dt_text_is_clean(ws->url) || strchr(ws->url, ' ') ||
     !dt_origin_parse(ws->url, &span) || span.host[-1] == '@')
    return DT_BAD_ARGUMENT;
  ws->tls = span.tls;
  size = span.size;
  if(is_default_port(&span, size))
    size -= span.tls ? 4 : 3;
  *host = strndup(span.host, size);
  rest = span.host + span.size;
  size = strcspn(rest, "#");
  *target = malloc(size + 2);
  if(!*host || !*target)
    return DT_NOMEM;
  (*target)[0] = '/';
  memcpy(*target + (*rest != '/'), rest, size);
  (*target)[size + (*rest != '/')] = 0;
  return DT_OK;
}

/* The profile's header lines as an array; those that only tell libcurl to
   leave a header out are passed over. NULL without memory. */
static const char **profile_lines(const struct dt_profile *p)
{
  const struct curl_slist *l;
  const char **lines;
  size_t n = 0;

  for(l = p->headers; l; l = l->next)
    n++;
  lines = malloc((n + 1) * sizeof(*lines));
  if(!lines)
    return NULL;
  n = 0;
  for(l = p->headers; l; l = l->next) {
    if(dt_text_is_header(l->data) && !dt_text_is_empty_header(l->data))
      lines[n++] = l->data;
  }
  lines[n] = NULL;
  return lines;
}

/* Writes the opening. */
static int prepare(struct dt_ws *ws, const struct dt_ws_options *o,
                   const char **what)
{
  struct dt_ws_request_line r;
  const char **lines = profile_lines(ws->profile);
  char *host = NULL, *target = NULL;
  int code;

  memset(&r, 0, sizeof(r));
  *what = "url";
  code = split_url(ws, &host, &target);
  if(!code && !lines)
    code = DT_NOMEM;
  if(!code)
    code = dt_ws_make_key(ws->key);
  if(!code) {
    r.host = host;
    r.target = target;
    r.key = ws->key;
    r.protocols = ws->protocols;
    r.user_agent = ws->profile->user_agent;
    r.headers = o->headers;
    r.profile_headers = lines;
    code = dt_ws_build_request(&r, &ws->request, &ws->request_size, what);
  }
  free(lines);
  free(host);
  free(target);
  return code;
}

static double in(const struct dt_ws *ws, double seconds)
{
  return seconds > 0 ? ws->flow.started + seconds : 0;
}

static void set_times(struct dt_ws *ws, const struct dt_ws_options *o)
{
  ws->flow.started = ws->flow.last_activity = ws->last_received = dt_now();
  ws->connect_by = in(ws, o->connect_timeout);
  ws->open_by = in(ws, o->open_timeout);
  ws->end_by = in(ws, o->timeout);
  ws->idle_timeout = o->idle_timeout;
  ws->ping_interval = o->ping_interval;
  ws->patient = o->patient;
  ws->close_timeout = o->close_timeout > 0 ? o->close_timeout : CLOSE_WAIT;
}

static struct dt_ws *ws_new(struct dt_engine *e, const struct dt_ws_options *o)
{
  struct dt_ws *ws = calloc(1, sizeof(*ws));

  if(!ws)
    return NULL;
  dt_flow_init(&ws->flow, &dt_ws_type);
  ws->fd = -1;
  ws->profile = dt_profile_ref(o->profile ? o->profile : e->profile);
  ws->url = http_url(o->url);
  ws->protocols = o->protocols ? strdup(o->protocols) : NULL;
  dt_ws_handshake_init(&ws->answer, ws->key, ws->protocols);
  if(!ws->url || (o->protocols && !ws->protocols) ||
     dt_ws_session_new(&ws->session, o->max_message, o->stream) ||
     dt_deadlines_reserve(&e->deadlines)) {
    dt_ws_free(ws);
    return NULL;
  }
  return ws;
}

int dt_ws_open(struct dt_engine *e, const struct dt_ws_options *o,
               struct dt_ws **out, const char **what)
{
  const char *culprit = NULL;
  struct dt_ws *ws;
  int code;

  *out = NULL;
  if(what)
    *what = NULL;
  if(!dt_engine_is_ours(e))
    return DT_FORKED;
  ws = ws_new(e, o);
  if(!ws)
    return DT_NOMEM;
  code = prepare(ws, o, &culprit);
  if(code) {
    dt_deadlines_release(&e->deadlines);
    dt_ws_free(ws);
    if(what && code == DT_BAD_ARGUMENT)
      *what = culprit;
    return code;
  }
  set_times(ws, o);
  ws->bare = !ws->tls && !ws->profile->tls_proxy;
  e->pipes |= !ws->bare;
  dt_flow_join(&ws->flow, e);
  dt_flow_work(&ws->flow);
  dt_ws_set_deadline(ws);
  dt_engine_sync(e);
  *out = ws;
  return DT_OK;
}

/* --- connecting ------------------------------------------------------------- */

static int apply(struct dt_ws *ws, CURL *easy)
{
  CURLcode rc = dt_handle_set_url(ws->flow.handle, ws->url);

  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
  if(!rc) /* or ALPN might choose HTTP/2 */
    rc = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                          (long)CURL_HTTP_VERSION_1_1);
  if(!rc) /* a proxy must not see an upgrade as a request of its own */
    rc = curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, NULL);
  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
  if(!rc && ws->bare) /* nothing is read through it, mostly */
    rc = curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, LEAST_BUFFER);
  return rc ? -1 : 0;
}

void dt_ws_begin(struct dt_ws *ws)
{
  struct dt_engine *e = ws->flow.engine;

  ws->flow.last_activity = e->now;
  ws->flow.handle = dt_handle_acquire(e, ws->profile, ws->tls);
  if(ws->flow.handle) {
    ws->flow.handle->flow = &ws->flow;
    ws->flow.handle->dirty = 1;
  }
  if(!ws->flow.handle || apply(ws, ws->flow.handle->easy) ||
     dt_multi_add(e, ws->flow.handle)) {
    dt_ws_end(ws, DT_NOMEM, "out of memory");
    return;
  }
  dt_multi_lasting(e, 1);
  ws->state = DT_WS_CONNECTING;
  dt_ws_set_deadline(ws);
}
