/*
 * websocket.h - WebSockets on the engine: a part of its manual, core.h.
 *
 * A WebSocket is opened over a connection that libcurl makes (so TLS, proxies
 * and the profile's options are those of every other request); the opening is
 * ours, and what the server answers instead of an upgrade is kept, so that it
 * can be treated like any other HTTP answer. It lives in its engine like a
 * transfer: the engine's steps move it, and its events are taken from the
 * engine. A quiet one costs nothing.
 *
 * Text messages that are not UTF-8 fail the connection, as RFC 6455 wants. No
 * extensions are offered. Pings are answered without a word.
 *
 * Back-pressure: while more than DT_WS_QUEUE_HIGH bytes of messages wait to be
 * received, nothing is read from the connection; sending more than that is
 * refused until DT_EVENT_WRITABLE.
 */
#ifndef DAYTONA_WEBSOCKET_H
#define DAYTONA_WEBSOCKET_H

#include "core.h"

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define DT_WS_QUEUE_HIGH (1024 * 1024)
#define DT_WS_QUEUE_LOW  (256 * 1024)

struct dt_ws;

struct dt_ws_options {
  const char *url;            /* ws, wss, http or https; percent-encoded */
  const char *const *headers; /* further "Name: value" lines, NULL-terminated;
                                 NULL: none. They win over the profile's. */
  const char *protocols;      /* offered, "a, b"; NULL: none. That the server
                                 selects none of them is no failure. */
  struct dt_profile *profile; /* may be NULL */
  uint64_t max_message;       /* bytes; 0: no cap. A larger message ends the
                                 connection with DT_TOO_LARGE, and 1009. */
  int stream;                 /* 1: messages come in pieces, as they arrive;
                                 the cap does not count */
  double connect_timeout;     /* until connected (with TLS) */
  double open_timeout;        /* until the answer to the opening */
  double timeout;             /* of all, counted from dt_ws_open */
  double idle_timeout;        /* no byte in either direction */
  double ping_interval;       /* at its whole multiples, on the clock of dt_now,
                                 a peer is pinged that was silent for a quarter
                                 of it; if nothing comes until the next one,
                                 DT_IDLE_TIMEOUT. All sockets' pings fall
                                 together: one wake-up serves them. */
  int patient;                /* 1: pings need no answer before anything came
                                 from the peer, which may not read yet */
  double close_timeout;       /* that either side has for its part of closing;
                                 0: 5 s */
};

/* Starts opening; *out must later be freed. Everything in `o` is copied. *what
   (if not NULL) names the culprit of DT_BAD_ARGUMENT: control characters, a
   URL that is none or holds a password, or a header of the opening's own.
   DT_OK, DT_NOMEM, DT_BAD_ARGUMENT, DT_INTERNAL or DT_FORKED. */
int dt_ws_open(struct dt_engine *e, const struct dt_ws_options *o,
               struct dt_ws **out, const char **what);

/* Frees it, cancelling it first if needed. NULL is allowed. */
void dt_ws_free(struct dt_ws *ws);

/* Ends the connection at once, without a close frame: DT_CANCELED, unless it
   is done. Does not block. */
void dt_ws_cancel(struct dt_ws *ws);

/* In the numbers of dt_transfer_id. */
uint64_t dt_ws_id(const struct dt_ws *ws);

/* When, on the clock of dt_now, the first bytes came after the opening, were it
   the answer to a ping; 0: not yet. */
double dt_ws_heard(const struct dt_ws *ws);

/* The events of dt_engine_next_event are for a WebSocket: HEADERS when it is open,
   READABLE when dt_ws_receive has something or the end, WRITABLE when dt_ws_send
   takes messages again after it refused one, DONE. */

struct dt_ws_piece {
  const char *data;
  size_t size;
  int text;  /* 0: binary */
  int final; /* the message ends here; always 1 unless streaming */
};

/* Takes the next message, valid until the next call on this WebSocket. 1: a
   message; 0: none yet; 2: none will come, the connection was closed properly
   (or never opened, see dt_ws_result); a failed one its negative code - after
   all messages that arrived before were handed out. */
int dt_ws_receive(struct dt_ws *ws, struct dt_ws_piece *out);

/* As dt_transfer_hold. */
void dt_ws_hold(struct dt_ws *ws, int on);

/* Queues a message, copied; also before the WebSocket is open. *taken is 1, or
   0 when too much is waiting already (wait for DT_EVENT_WRITABLE and offer it
   again). DT_OK, DT_NOMEM, DT_BAD_ARGUMENT (closing or closed), or the code it
   ended with. Whether text is UTF-8 is the caller's business. */
int dt_ws_send(struct dt_ws *ws, int text, const char *data, size_t size,
               int *taken);

/* Sends a close frame behind what is queued; code 0 for none. Messages that
   come now are dropped. The peer has close_timeout to answer. One that is
   not open yet is cancelled. DT_OK (also when closing already), DT_NOMEM, or
   DT_BAD_ARGUMENT: a code that must not be sent, a reason of more than 123
   bytes. */
int dt_ws_close(struct dt_ws *ws, unsigned code, const char *reason,
                size_t size);

struct dt_ws_result {
  int done;
  int opened;             /* it was open at some time */
  int code;               /* DT_OK: closed with close frames both ways, or the
                             server answered the opening with something else
                             than an upgrade. DT_RESET: the connection ended
                             without a close frame. */
  int os_error;
  const char *message;    /* detail of a failure, "" otherwise; no secrets */
  unsigned close_code;    /* the peer's; 1005: a close frame without one, 1006:
                             no close frame */
  const char *close_reason;
  size_t close_size;
  long status;            /* of the answer to the opening, 0 when none came */
  const char *header_block; /* "Name: value\r\n" lines */
  size_t header_size;
  const char *body;       /* of a refusal, at most 64 KiB */
  size_t body_size;
  uint64_t received;      /* bytes on the wire after the opening */
  uint64_t sent;
  int request_sent;       /* at least a part of the opening left */
  size_t unsent;          /* bytes that dt_ws_send took and that wait, about */
  double seconds;         /* from start to end, or to now */
};

/* Fills *r with what is known so far; pointers live as long as the WebSocket,
   those of the headers and the body once it is open or done. */
void dt_ws_result(const struct dt_ws *ws, struct dt_ws_result *r);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
