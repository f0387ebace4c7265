/*
 * failure.c - the names of codes, and what libcurl's codes mean at the stage
 * that a transfer had reached.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *dt_code_name(int code)
{
  static const char *const names[] = {
    "ok",      "out_of_memory",   "bad_argument", "timeout",
    "connect_timeout", "idle_timeout", "canceled", "resolve",
    "connect", "tls",             "reset",        "truncated",
    "protocol", "too_large",      "sink",         "source",
    "forked",  "internal"
  };

  if(code > 0 || -code >= (int)(sizeof(names) / sizeof(names[0])))
    return "internal";
  return names[-code];
}

/* libcurl reads no longer lines of headers. */
#define LINE_MAX_SIZE (100 * 1024)

/* CURLE_TOO_LARGE of libcurl 8.6.0, which may be newer than its headers here. */
#define TOO_LARGE 100

/* Until 8.6.0 libcurl says "out of memory" of too long a line of the headers, too.
   It is not true then: there is memory for a line. */
static int is_long_line(const struct dt_transfer *t, CURLcode rc)
{
  void *volatile line; /* or the compiler believes in it without trying */

  if(rc != CURLE_OUT_OF_MEMORY || !t->answer_started || t->answered ||
     curl_version_info(CURLVERSION_NOW)->version_num >= 0x080600)
    return 0;
  line = malloc(LINE_MAX_SIZE);
  free(line);
  return line != NULL;
}

static int are_long_headers(const struct dt_transfer *t, CURLcode rc)
{
  return (int)rc == TOO_LARGE || is_long_line(t, rc) ||
         strstr(t->flow.handle->error, "Too large response headers") != NULL;
}

/* A proxy that was asked for a tunnel and refused. */
static int proxy_refused(const struct dt_transfer *t)
{
  long status = 0;

  curl_easy_getinfo(t->flow.handle->easy, CURLINFO_HTTP_CONNECTCODE, &status);
  return !t->request_sent && status >= 300;
}

/* The connection broke while data was on its way. */
static int broken_code(const struct dt_transfer *t)
{
  if(strstr(t->flow.handle->error, "chunk"))
    return DT_PROTOCOL;
  if(proxy_refused(t))
    return DT_CONNECT;
  return t->answered ? DT_TRUNCATED : DT_RESET;
}

/* What a failure to connect means; DT_INTERNAL when it is none. */
static int connect_code(CURLcode rc)
{
  switch(rc) {
  case CURLE_URL_MALFORMAT:
    return DT_BAD_ARGUMENT;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
    return DT_RESOLVE;
  case CURLE_COULDNT_CONNECT:
  case CURLE_INTERFACE_FAILED:
  case CURLE_PROXY:
    return DT_CONNECT;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_ENGINE_NOTFOUND:
  case CURLE_SSL_ENGINE_SETFAILED:
  case CURLE_SSL_ENGINE_INITFAILED:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_SHUTDOWN_FAILED:
  case CURLE_SSL_CRL_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
  case CURLE_SSL_INVALIDCERTSTATUS:
  case CURLE_SSL_CLIENTCERT:
  case CURLE_USE_SSL_FAILED:
    return DT_TLS;
  default:
    return DT_INTERNAL;
  }
}

int dt_connect_failure(CURL *easy, CURLcode rc)
{
  long status = 0;

  curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
  switch(rc) {
  case CURLE_OUT_OF_MEMORY:
    return DT_NOMEM;
  case CURLE_OPERATION_TIMEDOUT:
    return DT_CONNECT_TIMEOUT;
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
    return status >= 300 ? DT_CONNECT : DT_RESET;
  default:
    return connect_code(rc);
  }
}

/* What libcurl's verdict means where it was the first connection's. */
static int verdict_code(const struct dt_transfer *t, CURLcode rc)
{
  if(are_long_headers(t, rc))
    return DT_PROTOCOL;
  switch(rc) {
  case CURLE_OK:
    return t->answered ? DT_OK : DT_RESET;
  case CURLE_OUT_OF_MEMORY:
    return DT_NOMEM;
  case CURLE_OPERATION_TIMEDOUT:
    return t->request_sent ? broken_code(t) : DT_CONNECT_TIMEOUT;
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_SEND_FAIL_REWIND:
  case CURLE_RECV_ERROR:
  case CURLE_PARTIAL_FILE:
  case CURLE_HTTP2_STREAM:
  case CURLE_HTTP3:
  case CURLE_QUIC_CONNECT_ERROR:
    return broken_code(t);
  case CURLE_HTTP2:
    return t->answered ? DT_TRUNCATED : DT_PROTOCOL;
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_BAD_CONTENT_ENCODING:
    return DT_PROTOCOL;
  case CURLE_FILESIZE_EXCEEDED:
    return DT_TOO_LARGE;
  default:
    return connect_code(rc);
  }
}

/* These say that the request has not left. */
static int is_unsent_code(int code)
{
  return code == DT_RESOLVE || code == DT_CONNECT || code == DT_TLS ||
         code == DT_CONNECT_TIMEOUT;
}

/* A kept connection broke without a byte of an answer, libcurl was to send the
   request again, and could not even connect. */
static int is_resend_failure(const struct dt_transfer *t, CURLcode rc)
{
  return t->request_sent && is_unsent_code(verdict_code(t, rc));
}

/* Has all of the answer come, as far as libcurl and its headers tell? */
static int is_whole(const struct dt_transfer *t)
{
  uint64_t came = t->coding == DT_PLAIN ? t->received : t->packed_size;

  if(t->recv_paused || !dt_link_alone(&t->flow.work))
    return 0; /* libcurl keeps some of it */
  return t->announced < 0 || t->order.head || came == (uint64_t)t->announced;
}

/* Over HTTP/2 a service may answer, and close the stream in order, before it has
   read the request's body (RFC 9113, 8.1). libcurl 7.88 fails with the next piece of
   that body then; it does so without a text only where the stream's end had come,
   and was none that says what is wrong. */
static int is_early_answer(const struct dt_transfer *t, CURLcode rc)
{
  return rc == CURLE_HTTP2_STREAM && t->answered && !*t->flow.handle->error &&
         is_whole(t);
}

int dt_failure_code(const struct dt_transfer *t, CURLcode rc)
{
  if(t->code)
    return t->code; /* a callback knew better */
  if((rc == CURLE_OK && t->answered) || is_early_answer(t, rc))
    return DT_OK;
  if(is_resend_failure(t, rc))
    return broken_code(t);
  return verdict_code(t, rc);
}

/* libcurl's text. Some of its messages quote a URL or a proxy setting, which
   may hold a password: then only the general text is kept. */
static const char *curl_text(const struct dt_transfer *t, CURLcode rc)
{
  const char *text = t->flow.handle->error;

  return *text && !strchr(text, '@') ? text : curl_easy_strerror(rc);
}

void dt_failure_message(const struct dt_transfer *t, int code, CURLcode rc,
                        char *text, size_t size)
{
  switch(code) {
  case DT_OK:
    text[0] = 0;
    return;
  case DT_NOMEM:
    snprintf(text, size, "out of memory");
    return;
  case DT_TOO_LARGE:
    dt_sink_excess(t, text, size);
    return;
  case DT_SINK:
    snprintf(text, size, "the answer could not be written: %s",
             strerror(t->os_error));
    return;
  case DT_SOURCE:
    if(t->os_error)
      snprintf(text, size, "the body could not be read: %s",
               strerror(t->os_error));
    else
      snprintf(text, size, "the body is shorter than announced");
    return;
  default:
    break;
  }
  if(code == DT_PROTOCOL && t->odd)
    snprintf(text, size, "%s", t->odd);
  else if(code == DT_PROTOCOL && are_long_headers(t, rc))
    snprintf(text, size, DT_HEADERS_TOO_LONG);
  else if(code == DT_RESET && (rc == CURLE_OK || t->code))
    snprintf(text, size, "the connection was closed before the answer");
  else if(is_resend_failure(t, rc))
    snprintf(text, size, "the connection was closed before the answer (%s)",
             curl_text(t, rc));
  else
    snprintf(text, size, "%s", curl_text(t, rc));
}
