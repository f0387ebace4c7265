/*
 * ws.h - a WebSocket's insides, shared by its own files only.
 *
 * websocket.c    what is received and sent, the end, the user's calls
 * ws_open.c      from its options to a connection in the making
 * ws_timing.c    its deadlines, and pings
 * ws_handshake.c the opening and its answer, as bytes
 * ws_session.c   messages and frames, as bytes (ws_align.c helps it)
 */
#ifndef DAYTONA_WS_H
#define DAYTONA_WS_H

#include "engine.h"
#include "websocket.h"
#include "ws_handshake.h"
#include "ws_session.h"

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

enum dt_ws_state {
  DT_WS_NEW,
  DT_WS_CONNECTING,
  DT_WS_OPENING, /* sending the opening, or reading the answer */
  DT_WS_OPEN,
  DT_WS_DONE
};

struct dt_ws {
  struct dt_flow flow;
  enum dt_ws_state state;
  struct dt_profile *profile;
  int fd;                   /* -1 when it is not ours to watch */
  unsigned interest;
  int tls;
  int bare; /* nothing lies between it and its socket */
  int own;  /* the socket is ours, libcurl has no part in it any more */

  /* the opening */
  char *url;       /* http or https */
  char *protocols; /* may be NULL */
  char key[DT_WS_KEY_SIZE + 1];
  char *request;
  size_t request_size, request_done;
  struct dt_ws_handshake answer;
  int opened;

  /* messages */
  struct dt_ws_session *session;
  struct dt_ws_message *held; /* the one that the user looks at */
  int holding;                /* and will look at again */
  int refused;                /* a message was: report when there is room */
  int paused;                 /* not reading */
  int blocked;                /* the connection takes no more bytes now */
  int mute;                   /* nor ever again; there may be some to read */
  uint64_t received, sent;

  /* deadlines, 0: none */
  double connect_by, open_by, end_by, close_by;
  double idle_timeout, ping_interval, close_timeout;
  double last_received;
  double pinged; /* when the ping was sent that nothing came after */
  double heard;  /* when the first bytes after the opening came */
  int patient;

  /* the end */
  int code;
  int os_error;
  char message[CURL_ERROR_SIZE];
};

static inline struct dt_ws *dt_ws_of(struct dt_flow *f)
{
  return DT_OF(f, struct dt_ws, flow);
}

/* --- websocket.c --- */

extern const struct dt_flow_type dt_ws_type;

/* Ends it, unless it has ended, and posts DONE; the message is copied. */
void dt_ws_end(struct dt_ws *ws, int code, const char *message);

/* Ends it if there is a reason to. The peer's close frame is answered first, and its
   failures wait for the close frame that tells it about them, unless `now`. */
void dt_ws_check_end(struct dt_ws *ws, int now);

/* Does what the connection allows now. May end it. */
void dt_ws_work(struct dt_ws *ws);

/* --- ws_open.c --- */

/* Gives a new one to libcurl, to be connected. May end it. */
void dt_ws_begin(struct dt_ws *ws);

/* --- ws_timing.c --- */

/* To be called whenever something changed that a deadline hangs on. */
void dt_ws_set_deadline(struct dt_ws *ws);

/* A deadline has come. */
void dt_ws_expire(struct dt_flow *f);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
