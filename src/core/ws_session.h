/*
 * ws_session.h - a WebSocket after its opening: bytes in, messages out, and
 * the other way round. It knows neither sockets nor libcurl; framing, masks
 * and the checks of RFC 6455 are wslay's.
 *
 * Text that is not UTF-8 fails the connection with 1007, as the RFC wants.
 * Pings are answered without being asked to.
 */
#ifndef DAYTONA_WS_SESSION_H
#define DAYTONA_WS_SESSION_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define DT_WS_REASON_MAX 123
#define DT_WS_NO_CODE    1005 /* a close frame without a code */
#define DT_WS_NO_CLOSE   1006 /* the connection ended without a close frame */

/* A message, or a piece of one. */
struct dt_ws_message {
  struct dt_ws_message *next;
  size_t size, room;
  int text;    /* 0: binary */
  int final;   /* the message ends with this piece */
  char data[]; /* `size` bytes */
};

struct dt_ws_session;

/* Messages larger than max_message (0: no cap) fail the connection with 1009;
   with `stream`, messages are handed out in pieces as they come, and the cap
   does not count. DT_OK, DT_NOMEM. */
int dt_ws_session_new(struct dt_ws_session **out, uint64_t max_message,
                      int stream);
void dt_ws_session_free(struct dt_ws_session *s); /* NULL is allowed */

/* Takes bytes that the peer sent, all of them. What follows a close frame or a
   failure is ignored. DT_OK, or how the peer failed: DT_PROTOCOL, DT_TOO_LARGE
   (a close frame that says so is then waiting to be sent), DT_NOMEM. */
int dt_ws_session_feed(struct dt_ws_session *s, const char *data, size_t size);

/* The code of dt_ws_session_feed. */
int dt_ws_session_failure(const struct dt_ws_session *s);

/* The peer failed or closed: what it may still send is of no interest. */
int dt_ws_session_over(const struct dt_ws_session *s);

/* Takes the next message, which the caller frees; NULL when there is none. */
struct dt_ws_message *dt_ws_session_take(struct dt_ws_session *s);

/* Bytes of memory that the messages not yet taken use, and whether there is
   something to take. */
size_t dt_ws_session_waiting(const struct dt_ws_session *s);
int dt_ws_session_has_message(const struct dt_ws_session *s);

/* Drops messages that come from now on. */
void dt_ws_session_deafen(struct dt_ws_session *s);

/* Queues a message, copied; a ping, which overtakes messages; a close frame
   behind all of them (code 0: without a code). DT_OK, DT_NOMEM, or
   DT_BAD_ARGUMENT: closing already, or a code or reason that must not be
   sent. */
int dt_ws_session_send(struct dt_ws_session *s, int text, const char *data,
                       size_t size);
int dt_ws_session_ping(struct dt_ws_session *s);
int dt_ws_session_close(struct dt_ws_session *s, unsigned code,
                        const char *reason, size_t size);

/* The next bytes for the peer: how many, 0 for none, or (size_t)-1 without
   memory. They stay the same until dt_ws_session_sent took some away. */
size_t dt_ws_session_output(struct dt_ws_session *s, const char **data);
void dt_ws_session_sent(struct dt_ws_session *s, size_t size);

/* Bytes queued for the peer, about. */
size_t dt_ws_session_unsent(const struct dt_ws_session *s);

/* The peer pings faster than it takes the answers: stop reading from it until
   this is 0 again. */
int dt_ws_session_flooded(const struct dt_ws_session *s);

/* A close frame was queued by either side. */
int dt_ws_session_closing(const struct dt_ws_session *s);

/* A close frame was received, and what it said; *code is DT_WS_NO_CLOSE as
   long as none was. */
int dt_ws_session_closed_by_peer(const struct dt_ws_session *s,
                                 unsigned *code, const char **reason,
                                 size_t *size);

/* Our close frame has been handed to dt_ws_session_output and taken away. */
int dt_ws_session_close_sent(const struct dt_ws_session *s);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
