/*
 * ws_handshake.c - see ws_handshake.h.
 */
#include "ws_handshake.h"
#include "base64.h"
#include "core.h"
#include "text.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state {
  HEAD,
  COUNTED,     /* a body with a Content-Length, or up to the end */
  CHUNKED,
  FINISHED
};

/* --- keys ----------------------------------------------------------------- */

int dt_ws_make_key(char key[DT_WS_KEY_SIZE + 1])
{
  unsigned char random[16];

  if(RAND_bytes(random, sizeof(random)) != 1)
    return DT_INTERNAL;
  key[dt_base64_encode(DT_BASE64, random, sizeof(random), key)] = 0;
  return DT_OK;
}

int dt_ws_accept_for(const char *key, char accept[DT_WS_ACCEPT_SIZE + 1])
{
  static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char text[DT_WS_KEY_SIZE + sizeof(magic) - 1];
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n;

  memcpy(text, key, DT_WS_KEY_SIZE);
  memcpy(text + DT_WS_KEY_SIZE, magic, sizeof(magic) - 1);
  if(!EVP_Digest(text, sizeof(text), digest, &n, EVP_sha1(), NULL))
    return DT_INTERNAL;
  accept[dt_base64_encode(DT_BASE64, digest, n, accept)] = 0;
  return DT_OK;
}

/* --- the request ---------------------------------------------------------- */

/* Text that grows; `data` is NULL for good once memory ran out. */
struct text {
  char *data;
  size_t size, room;
  int failed;
};

static void put_bytes(struct text *t, const char *s, size_t size)
{
  if(t->failed)
    return;
  if(size > t->room - t->size) {
    size_t room = (t->size + size) * 2;
    char *data = realloc(t->data, room);

    if(!data) {
      t->failed = 1;
      return;
    }
    t->data = data;
    t->room = room;
  }
  memcpy(t->data + t->size, s, size);
  t->size += size;
}

static void put(struct text *t, const char *s)
{
  put_bytes(t, s, strlen(s));
}

static void put_header(struct text *t, const char *name, const char *value)
{
  put(t, name);
  put(t, ": ");
  put(t, value);
  put(t, "\r\n");
}

static int has_name(const char *const *lines, const char *line)
{
  for(; lines && *lines; lines++) {
    if(dt_text_same_name(*lines, line))
      return 1;
  }
  return 0;
}

static int is_ours(const char *line)
{
  static const char *const ours[] = {
    "Connection:", "Upgrade:", "Host:", "Content-Length:",
    "Transfer-Encoding:", "Sec-WebSocket-Key:", "Sec-WebSocket-Version:",
    "Sec-WebSocket-Protocol:", "Sec-WebSocket-Extensions:", NULL
  };

  return has_name(ours, line);
}

static int check_request(const struct dt_ws_request_line *r, const char **what)
{
  const char *const *line;

  for(line = r->headers; line && *line; line++) {
    if(!dt_text_is_header(*line) || is_ours(*line)) {
      *what = "a header";
      return DT_BAD_ARGUMENT;
    }
  }
  if(r->protocols && (!*r->protocols || !dt_text_is_clean(r->protocols))) {
    *what = "the subprotocols";
    return DT_BAD_ARGUMENT;
  }
  return DT_OK;
}

/* The request's lines, and those of the profile that neither it nor we have. */
static void put_lines(struct text *t, const struct dt_ws_request_line *r)
{
  const char *const *line;

  for(line = r->headers; line && *line; line++) {
    put(t, *line);
    put(t, "\r\n");
  }
  for(line = r->profile_headers; line && *line; line++) {
    if(is_ours(*line) || has_name(r->headers, *line))
      continue;
    put(t, *line);
    put(t, "\r\n");
  }
}

int dt_ws_build_request(const struct dt_ws_request_line *r, char **out,
                        size_t *size, const char **what)
{
  struct text t = { NULL, 0, 0, 0 };
  int code = check_request(r, what);

  *out = NULL;
  if(code)
    return code;
  put(&t, "GET ");
  put(&t, r->target);
  put(&t, " HTTP/1.1\r\n");
  put_header(&t, "Host", r->host);
  /* the service compares this spelling of "websocket" */
  put_header(&t, "Upgrade", "websocket");
  put_header(&t, "Connection", "Upgrade");
  put_header(&t, "Sec-WebSocket-Key", r->key);
  put_header(&t, "Sec-WebSocket-Version", "13");
  if(r->protocols)
    put_header(&t, "Sec-WebSocket-Protocol", r->protocols);
  if(r->user_agent && !has_name(r->headers, "User-Agent:") &&
     !has_name(r->profile_headers, "User-Agent:"))
    put_header(&t, "User-Agent", r->user_agent);
  put_lines(&t, r);
  put(&t, "\r\n");
  if(t.failed) {
    free(t.data);
    return DT_NOMEM;
  }
  *out = t.data;
  *size = t.size;
  return DT_OK;
}

/* --- the answer ----------------------------------------------------------- */

void dt_ws_handshake_init(struct dt_ws_handshake *h, const char *key,
                          const char *protocols)
{
  memset(h, 0, sizeof(*h));
  h->message = "";
  h->key = key;
  h->protocols = protocols;
}

void dt_ws_handshake_free(struct dt_ws_handshake *h)
{
  free(h->head);
  free(h->body);
  h->head = h->body = NULL;
}

static int fail(struct dt_ws_handshake *h, int code, const char *message)
{
  h->message = message;
  h->state = FINISHED;
  return code;
}

const char *dt_ws_handshake_header(const struct dt_ws_handshake *h,
                                   const char *name, size_t *size)
{
  const char *line, *end;

  if(!h->headers_at)
    return NULL;
  line = h->head + h->headers_at;
  end = h->head + h->head_size;
  while(line < end) {
    const char *eol = memchr(line, '\n', (size_t)(end - line));
    size_t n = strlen(name);

    if(!eol)
      break;
    if((size_t)(eol - line) > n && line[n] == ':' &&
       !strncasecmp(line, name, n)) {
      for(line += n + 1; line < eol && (*line == ' ' || *line == '\t'); line++)
        ;
      while(eol > line && (unsigned char)eol[-1] <= ' ')
        eol--;
      *size = (size_t)(eol - line);
      return line;
    }
    line = eol + 1;
  }
  return NULL;
}

/* Whether `word` is one of the comma-separated words; as written or, with
   `any_case`, in any case. */
static int has_word(const char *list, size_t size, const char *word,
                    size_t length, int any_case)
{
  const char *end = list + size;

  while(list < end) {
    const char *comma = memchr(list, ',', (size_t)(end - list));
    const char *stop = comma ? comma : end;

    while(list < stop && (*list == ' ' || *list == '\t'))
      list++;
    while(stop > list && (stop[-1] == ' ' || stop[-1] == '\t'))
      stop--;
    if((size_t)(stop - list) == length &&
       (any_case ? !strncasecmp(list, word, length)
                 : !memcmp(list, word, length)))
      return 1;
    list = comma ? comma + 1 : end;
  }
  return 0;
}

static int header_has(const struct dt_ws_handshake *h, const char *name,
                      const char *word)
{
  size_t size;
  const char *value = dt_ws_handshake_header(h, name, &size);

  return value && has_word(value, size, word, strlen(word), 1);
}

/* A 101: is it the upgrade that was asked for? The peer may select none of the
   subprotocols. */
static int check_upgrade(struct dt_ws_handshake *h)
{
  char accept[DT_WS_ACCEPT_SIZE + 1];
  const char *value;
  size_t size;

  if(!header_has(h, "upgrade", "websocket") ||
     !header_has(h, "connection", "upgrade"))
    return fail(h, DT_PROTOCOL, "the peer did not upgrade to WebSocket");
  if(dt_ws_accept_for(h->key, accept))
    return fail(h, DT_INTERNAL, "SHA-1 is not available");
  value = dt_ws_handshake_header(h, "sec-websocket-accept", &size);
  if(!value || size != DT_WS_ACCEPT_SIZE || memcmp(value, accept, size))
    return fail(h, DT_PROTOCOL, "the peer's Sec-WebSocket-Accept is wrong");
  if(dt_ws_handshake_header(h, "sec-websocket-extensions", &size))
    return fail(h, DT_PROTOCOL, "the peer selected an extension unasked");
  value = dt_ws_handshake_header(h, "sec-websocket-protocol", &size);
  if(value && (!h->protocols ||
               !has_word(h->protocols, strlen(h->protocols), value, size, 0)))
    return fail(h, DT_PROTOCOL, "the peer selected a subprotocol unasked");
  h->state = FINISHED;
  return DT_WS_ANSWER_UPGRADED;
}

/* The decimal number, or -1. */
static int64_t read_number(const char *s, size_t size)
{
  int64_t n = 0;
  size_t i;

  if(!size || size > 18)
    return -1;
  for(i = 0; i < size; i++) {
    if(s[i] < '0' || s[i] > '9')
      return -1;
    n = n * 10 + (s[i] - '0');
  }
  return n;
}

/* An answer that is no upgrade: how does its body end? */
static int begin_body(struct dt_ws_handshake *h)
{
  const char *value;
  size_t size;
  int64_t length;

  h->state = COUNTED;
  if(h->status == 204 || h->status == 304) {
    h->state = FINISHED;
    return DT_WS_ANSWER_REFUSED;
  }
  if(header_has(h, "transfer-encoding", "chunked")) {
    h->state = CHUNKED;
    return DT_WS_ANSWER_MORE;
  }
  value = dt_ws_handshake_header(h, "content-length", &size);
  length = value ? read_number(value, size) : -1;
  h->until_close = length < 0;
  h->remaining = length < 0 ? UINT64_MAX : (uint64_t)length;
  return h->remaining ? DT_WS_ANSWER_MORE : DT_WS_ANSWER_REFUSED;
}

/* "HTTP/1.1 101 Switching Protocols": takes the status. */
static int read_status(struct dt_ws_handshake *h)
{
  const char *eol = memchr(h->head, '\n', h->head_size);
  int64_t status = -1;

  if(eol - h->head >= 13 && !memcmp(h->head, "HTTP/1.", 7) &&
     h->head[8] == ' ' && (unsigned char)h->head[12] <= ' ')
    status = read_number(h->head + 9, 3);
  if(status < 100)
    return fail(h, DT_PROTOCOL, "the peer's answer is not HTTP");
  h->status = (long)status;
  h->headers_at = (size_t)(eol + 1 - h->head);
  return DT_OK;
}

/* The blank line was read. */
static int head_complete(struct dt_ws_handshake *h)
{
  int code = read_status(h);

  if(code)
    return code;
  if(h->status == 101)
    return check_upgrade(h);
  if(h->status < 200) { /* an interim answer: the real one follows */
    h->status = 0;
    h->head_size = h->headers_at = 0;
    return DT_WS_ANSWER_MORE;
  }
  return begin_body(h);
}

/* Makes room for so many bytes more of the head. DT_OK or a code. */
static int grow(struct dt_ws_handshake *h, size_t size)
{
  size_t room = h->head_room ? h->head_room : 1024;
  char *head;

  if(size > DT_WS_HEAD_MAX - h->head_size)
    return fail(h, DT_TOO_LARGE, "the peer's headers are too long");
  while(room < h->head_size + size)
    room *= 2;
  if(room == h->head_room)
    return DT_OK;
  head = realloc(h->head, room);
  if(!head)
    return fail(h, DT_NOMEM, "out of memory");
  h->head = head;
  h->head_room = room;
  return DT_OK;
}

static int blank_line_ends(const struct dt_ws_handshake *h)
{
  size_t n = h->head_size;

  return (n >= 4 && !memcmp(h->head + n - 4, "\r\n\r\n", 4)) ||
         (n >= 2 && !memcmp(h->head + n - 2, "\n\n", 2));
}

/* Takes at most one line of the head. */
static int feed_head(struct dt_ws_handshake *h, const char *data, size_t size,
                     size_t *used)
{
  const char *eol = memchr(data, '\n', size);
  size_t n = eol ? (size_t)(eol + 1 - data) : size;
  int code = grow(h, n);

  *used = n;
  if(code)
    return code;
  memcpy(h->head + h->head_size, data, n);
  h->head_size += n;
  return eol && blank_line_ends(h) ? head_complete(h) : DT_WS_ANSWER_MORE;
}

/* Keeps bytes of the body. REFUSED when the cap is reached. */
static int keep_body(struct dt_ws_handshake *h, const char *data, size_t size)
{
  size_t room = DT_WS_BODY_MAX - h->body_size;

  if(!h->body)
    h->body = malloc(DT_WS_BODY_MAX);
  if(!h->body)
    return fail(h, DT_NOMEM, "out of memory");
  if(size > room)
    size = room;
  memcpy(h->body + h->body_size, data, size);
  h->body_size += size;
  return size == room ? DT_WS_ANSWER_REFUSED : DT_WS_ANSWER_MORE;
}

/* Takes bytes of a body that is as long as was announced. */
static int feed_body(struct dt_ws_handshake *h, const char *data, size_t size,
                     size_t *used)
{
  int result;

  if(size > h->remaining)
    size = (size_t)h->remaining;
  *used = size;
  h->remaining -= size;
  result = keep_body(h, data, size);
  return result || h->remaining ? result : DT_WS_ANSWER_REFUSED;
}

/* Takes bytes of a chunked body. Trailers are not waited for. */
static int feed_chunked(struct dt_ws_handshake *h, const char *bytes,
                        size_t size, size_t *used)
{
  const char *data;
  size_t n;
  int result;

  *used = dt_chunked_feed(&h->chunked, bytes, size, &data, &n);
  result = n ? keep_body(h, data, n) : DT_WS_ANSWER_MORE;
  if(result)
    return result;
  if(h->chunked.state == DT_CHUNKED_MALFORMED)
    return fail(h, DT_PROTOCOL, "the peer's chunked body is malformed");
  return h->chunked.state >= DT_CHUNKED_TRAILER ? DT_WS_ANSWER_REFUSED
                                                : DT_WS_ANSWER_MORE;
}

int dt_ws_handshake_feed(struct dt_ws_handshake *h, const char *data,
                         size_t size, size_t *used)
{
  size_t at = 0;
  int result = DT_WS_ANSWER_MORE;

  while(at < size && result == DT_WS_ANSWER_MORE && h->state != FINISHED) {
    size_t n = 1;

    switch(h->state) {
    case HEAD:
      result = feed_head(h, data + at, size - at, &n);
      break;
    case CHUNKED:
      result = feed_chunked(h, data + at, size - at, &n);
      break;
    default:
      result = feed_body(h, data + at, size - at, &n);
    }
    at += n;
  }
  *used = at;
  if(result)
    h->state = FINISHED;
  return result;
}

int dt_ws_handshake_end(struct dt_ws_handshake *h)
{
  if(h->state == HEAD)
    return fail(h, DT_RESET, "the peer closed before it answered");
  if(h->state == COUNTED && h->until_close)
    return DT_WS_ANSWER_REFUSED;
  return fail(h, DT_TRUNCATED, "the peer's answer was cut short");
}
