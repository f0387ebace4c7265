/*
 * ws_handshake.h - the opening of a WebSocket: the request as bytes, and the
 * answer read from bytes. It knows neither sockets nor libcurl.
 */
#ifndef DAYTONA_WS_HANDSHAKE_H
#define DAYTONA_WS_HANDSHAKE_H

#include "chunked.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define DT_WS_KEY_SIZE 24    /* a Sec-WebSocket-Key, and an Accept is 28 */
#define DT_WS_ACCEPT_SIZE 28

/* Caps of an answer. A longer head is DT_TOO_LARGE; of a refusal's body, the
   rest is left unread. */
#define DT_WS_HEAD_MAX 65536
#define DT_WS_BODY_MAX 65536

/* A new random key. DT_OK or DT_INTERNAL. */
int dt_ws_make_key(char key[DT_WS_KEY_SIZE + 1]);

/* The Sec-WebSocket-Accept that belongs to a key. DT_OK or DT_INTERNAL. */
int dt_ws_accept_for(const char *key, char accept[DT_WS_ACCEPT_SIZE + 1]);

struct dt_ws_request_line {
  const char *host;      /* as it stands in the Host header */
  const char *target;    /* path and query */
  const char *key;
  const char *protocols; /* comma-separated, NULL: none */
  const char *user_agent; /* NULL: none */
  const char *const *headers;        /* "Name: value" lines; they win over */
  const char *const *profile_headers; /* these; both may be NULL */
};

/* The request, to be freed by the caller. *what names the culprit when this is
   DT_BAD_ARGUMENT: control characters, or a header that is the handshake's
   own. DT_OK, DT_NOMEM or DT_BAD_ARGUMENT. */
int dt_ws_build_request(const struct dt_ws_request_line *r, char **out,
                        size_t *size, const char **what);

enum dt_ws_answer {
  DT_WS_ANSWER_MORE = 0, /* more bytes are needed */
  DT_WS_ANSWER_UPGRADED, /* frames follow */
  DT_WS_ANSWER_REFUSED   /* an HTTP answer, complete as far as it is wanted */
};

/* Reads the answer. All fields but these are private. */
struct dt_ws_handshake {
  long status;          /* 0 until known */
  const char *message;  /* what is wrong with it */
  char *head;           /* the status line and the headers */
  size_t head_size;
  size_t headers_at;    /* where the first header line begins in `head` */
  char *body;           /* of a refusal */
  size_t body_size;

  const char *key;
  const char *protocols;
  size_t head_room;
  int state;
  int until_close;      /* the body ends with the connection */
  uint64_t remaining;   /* of the body, unless it is chunked */
  struct dt_chunked chunked;
};

/* `key` and `protocols` are what the request had, and must outlive this. */
void dt_ws_handshake_init(struct dt_ws_handshake *h, const char *key,
                          const char *protocols);
void dt_ws_handshake_free(struct dt_ws_handshake *h);

/* Reads on; *used is how many bytes were taken. A dt_ws_answer, or DT_PROTOCOL,
   DT_TOO_LARGE, DT_NOMEM; message says why. */
int dt_ws_handshake_feed(struct dt_ws_handshake *h, const char *data,
                         size_t size, size_t *used);

/* The peer closed: DT_WS_ANSWER_REFUSED when that is how the body ends, else
   DT_RESET (before the end of the headers) or DT_TRUNCATED. */
int dt_ws_handshake_end(struct dt_ws_handshake *h);

/* The value of a header by its name in lower case, NULL when absent. */
const char *dt_ws_handshake_header(const struct dt_ws_handshake *h,
                                   const char *name, size_t *size);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
