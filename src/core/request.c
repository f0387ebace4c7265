/*
 * request.c - turns the order of a transfer into options of its easy handle.
 * Sends nothing.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <string.h>

#define BUFFER_MEMORY  (16 * 1024L) /* receive buffer: small answers */

/* As many of the 16 KiB that libcurl hands out as fit below what glibc maps and
   unmaps; larger ones leave small caches (bench/README.md has what was measured). */
#define BUFFER_STREAM  (112 * 1024L)
#define BUFFER_UPLOAD  (112 * 1024L)
#define EXPECT_MS      200L /* that a server may take to welcome a large body */

static CURLcode set_connect_time(struct dt_handle *h, long ms)
{
  if(h->connect_ms == ms)
    return CURLE_OK;
  h->connect_ms = ms;
  return curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
}

/* Refused where libcurl still holds the buffer of a transfer that failed early;
   then it has the size it has. */
static void set_buffer_size(struct dt_handle *h, long size)
{
  if(h->buffer_size != size &&
     !curl_easy_setopt(h->easy, CURLOPT_BUFFERSIZE, size))
    h->buffer_size = size;
}

/* HTTP/2 is offered where TLS can agree on it; a transfer then waits for a
   connection in the making that it may share. */
static void set_version(struct dt_handle *h, const struct dt_transfer *t)
{
  int h2 = t->order.origin.tls && !t->profile->http1;

  if(h->tls == h2)
    return;
  curl_easy_setopt(h->easy, CURLOPT_HTTP_VERSION,
                   h2 ? (long)CURL_HTTP_VERSION_2TLS
                      : (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(h->easy, CURLOPT_PIPEWAIT, (long)h2);
  h->tls = h2;
}

/* libcurl uses a connection again only for who wants the same of TLS. Three words
   for "any version that there is" keep those of a line that was given up from who
   comes after. */
static CURLcode set_line(struct dt_handle *h, const struct dt_origin *o)
{
  static const long newest[DT_LINES] = { CURL_SSLVERSION_MAX_NONE,
                                         CURL_SSLVERSION_MAX_DEFAULT,
                                         CURL_SSLVERSION_MAX_TLSv1_3 };

  if(!o->tls || h->line == o->line)
    return CURLE_OK;
  h->line = o->line;
  return curl_easy_setopt(h->easy, CURLOPT_SSLVERSION,
                          CURL_SSLVERSION_DEFAULT | newest[h->line]);
}

/* The method that libcurl would use by itself is left to it. */
static CURLcode set_method(struct dt_handle *h, const char *method,
                           const char *implied)
{
  if(!strcmp(method, implied)) {
    if(!h->custom)
      return CURLE_OK;
    h->custom = 0;
    return curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, NULL);
  }
  h->custom = 1;
  return curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_reader(struct dt_handle *h, struct dt_source *s)
{
  h->dirty = 1;
  curl_easy_setopt(h->easy, CURLOPT_READFUNCTION, dt_source_read);
  curl_easy_setopt(h->easy, CURLOPT_READDATA, s);
  curl_easy_setopt(h->easy, CURLOPT_SEEKFUNCTION, dt_source_seek);
  curl_easy_setopt(h->easy, CURLOPT_SEEKDATA, s);
}

static CURLcode set_memory(struct dt_handle *h, const char *method,
                           struct dt_source *s)
{
  curl_off_t size = s ? (curl_off_t)s->length : 0;

  curl_easy_setopt(h->easy, CURLOPT_POST, 1L);
  curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, size);
  if(size > DT_FIELDS_MAX) {
    curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, NULL);
    set_reader(h, s);
  } else
    curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, size ? s->data : "");
  return set_method(h, method, "POST");
}

static CURLcode set_no_body(struct dt_handle *h, const struct dt_order *o)
{
  if(!strcmp(o->method, "POST") || !strcmp(o->method, "PUT") ||
     !strcmp(o->method, "PATCH"))
    return set_memory(h, o->method, NULL); /* "Content-Length: 0" */
  curl_easy_setopt(h->easy, CURLOPT_HTTPGET, 1L);
  if(o->head)
    curl_easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
  return set_method(h, o->method, o->head ? "HEAD" : "GET");
}

static CURLcode set_stream(struct dt_handle *h, const struct dt_order *o)
{
  struct dt_source *s = o->sources;

  set_reader(h, s);
  curl_easy_setopt(h->easy, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(h->easy, CURLOPT_INFILESIZE_LARGE,
                   (curl_off_t)(s->length < 0 ? -1 : s->length));
  if(s->kind == DT_BODY_FD)
    curl_easy_setopt(h->easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_UPLOAD);
  return set_method(h, o->method, "PUT");
}

/* A part without a type: libcurl sends none for a plain field, which means
   text/plain. */
static const char *part_type(const struct dt_part_head *p,
                             const struct dt_source *s)
{
  if(p->type || (s->kind == DT_BODY_MEMORY && !p->filename))
    return p->type;
  return "application/octet-stream";
}

static CURLcode add_part(curl_mime *mime, const struct dt_part_head *p,
                         struct dt_source *s)
{
  curl_mimepart *part = curl_mime_addpart(mime);
  CURLcode rc;

  if(!part)
    return CURLE_OUT_OF_MEMORY;
  rc = curl_mime_name(part, p->name);
  if(!rc && p->filename)
    rc = curl_mime_filename(part, p->filename);
  if(!rc && part_type(p, s))
    rc = curl_mime_type(part, part_type(p, s));
  if(!rc)
    rc = curl_mime_data_cb(part,
                           (curl_off_t)(s->length < 0 ? -1 : s->length),
                           dt_source_read, dt_source_seek, NULL, s);
  return rc;
}

static CURLcode set_mime(struct dt_transfer *t)
{
  struct dt_handle *h = t->flow.handle;
  const struct dt_order *o = &t->order;
  CURLcode rc = CURLE_OK;
  size_t i;

  h->dirty = 1;
  t->mime = curl_mime_init(h->easy);
  if(!t->mime)
    return CURLE_OUT_OF_MEMORY;
  for(i = 0; i < o->nparts && !rc; i++)
    rc = add_part(t->mime, &o->parts[i], &o->sources[i]);
  if(!rc)
    rc = curl_easy_setopt(h->easy, CURLOPT_MIMEPOST, t->mime);
  curl_easy_setopt(h->easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_UPLOAD);
  return rc ? rc : set_method(h, o->method, "POST");
}

static CURLcode set_body(struct dt_transfer *t)
{
  switch(t->order.body) {
  case DT_BODY_MEMORY:
    return set_memory(t->flow.handle, t->order.method, t->order.sources);
  case DT_BODY_FD:
  case DT_BODY_QUEUE:
    return set_stream(t->flow.handle, &t->order);
  case DT_BODY_MULTIPART:
    return set_mime(t);
  default:
    return set_no_body(t->flow.handle, &t->order);
  }
}

/* Signed over the lines of `headers`; where these bring the body's hash, it is
   that which is signed. From 8.14 on libcurl signs no path as it is; the handle
   is reset before it is used again. */
static CURLcode set_signature(struct dt_handle *h, const struct dt_order *o)
{
  CURLcode rc;

  if(!o->sigv4)
    return CURLE_OK;
  h->dirty = 1;
  curl_easy_setopt(h->easy, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_MS);
  curl_easy_setopt(h->easy, CURLOPT_PATH_AS_IS, 0L);
  rc = curl_easy_setopt(h->easy, CURLOPT_AWS_SIGV4, o->sigv4);
  if(!rc)
    rc = curl_easy_setopt(h->easy, CURLOPT_USERNAME, o->user);
  return rc ? rc : curl_easy_setopt(h->easy, CURLOPT_PASSWORD, o->password);
}

/* libcurl's own default is five minutes, which 0 would choose. */
static long connect_ms(const struct dt_order *o)
{
  if(o->connect_timeout <= 0 || o->connect_timeout > 2e6)
    return 2000000000L;
  return (long)(o->connect_timeout * 1e3 + 0.999);
}

int dt_request_apply(struct dt_transfer *t)
{
  struct dt_handle *h = t->flow.handle;
  CURLcode rc;

  h->error[0] = 0;
  set_version(h, t);
  rc = dt_handle_set_url(h, t->order.url);
  if(!rc)
    rc = curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, t->order.headers);
  if(!rc)
    rc = set_line(h, t->origin);
  if(!rc)
    rc = set_connect_time(h, connect_ms(&t->order));
  if(!rc)
    rc = set_body(t);
  if(!rc)
    rc = set_signature(h, &t->order);
  set_buffer_size(h, t->order.sink == DT_SINK_MEMORY ? BUFFER_MEMORY
                                                     : BUFFER_STREAM);
  if(rc == CURLE_OUT_OF_MEMORY)
    return DT_NOMEM;
  if(rc == CURLE_URL_MALFORMAT)
    return DT_BAD_ARGUMENT;
  return rc ? DT_INTERNAL : DT_OK;
}
