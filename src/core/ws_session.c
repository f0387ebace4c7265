/*
 * ws_session.c - see ws_session.h.
 *
 * wslay is used without its buffering of messages: it would allocate whatever
 * length a frame's header claims. The pieces are collected here.
 */
#include "ws_session.h"
#include "core.h"
#include "ws_align.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#define OUT_ROOM    16384 /* frames are written in blocks of this size */
#define FIRST_ROOM  65536 /* at most this much is allocated on a frame's word */
#define STREAM_ROOM 65536 /* pieces of a message that is streamed */
#define OVERHEAD    64    /* of a message that waits */
#define MANY_PINGS  1024

struct dt_ws_session {
  wslay_event_context_ptr wslay;
  struct dt_ws_align align;
  const char *in; /* being fed */
  size_t in_size;
  char *out;      /* frames to be sent; only there while needed */
  size_t out_from, out_to;
  struct dt_ws_message *first, *last; /* complete, or pieces being streamed */
  struct dt_ws_message *building;     /* the message that is coming */
  size_t waiting;
  uint64_t max_message;
  uint64_t message_size; /* of the one that is coming */
  int stream;
  int deaf;
  int code;              /* how the peer, or memory, failed */
  unsigned pings;        /* received since everything was sent */
  unsigned opcode;       /* of the frame that is coming */
  int text;              /* the message that is coming is text */
  unsigned char close_frame[2 + DT_WS_REASON_MAX];
  size_t close_size;
  int closing;           /* by dt_ws_session_close */
  int close_pending;     /* its frame has to wait for what was queued before */
  unsigned our_code;
  char our_reason[DT_WS_REASON_MAX];
  size_t our_size;
  int close_received;
  unsigned close_code;
};

/* --- receiving ------------------------------------------------------------ */

static int is_data(unsigned opcode)
{
  return !wslay_is_ctrl_frame(opcode);
}

/* Stops reading; the connection cannot go on. */
static void fail(struct dt_ws_session *s, int code, unsigned close_code)
{
  if(!s->code)
    s->code = code;
  wslay_event_shutdown_read(s->wslay);
  if(close_code)
    (void)wslay_event_queue_close(s->wslay, (uint16_t)close_code, NULL, 0);
}

static struct dt_ws_message *message_new(size_t room)
{
  struct dt_ws_message *m = malloc(sizeof(*m) + room);

  if(m) {
    memset(m, 0, sizeof(*m));
    m->room = room;
  }
  return m;
}

/* Makes room for so many bytes more in the message that is coming, which may
   begin with them. 0, or -1 without memory. */
static int make_room(struct dt_ws_session *s, size_t size, size_t wish)
{
  struct dt_ws_message *m = s->building;
  size_t room;

  if(m && m->room - m->size >= size)
    return 0;
  room = m ? m->room * 2 : wish;
  if(!m || room < m->size + size)
    room = (m ? m->size : 0) + (size > wish ? size : wish);
  m = m ? realloc(m, sizeof(*m) + room) : message_new(room);
  if(!m)
    return -1;
  m->room = room;
  m->text = s->text;
  s->building = m;
  return 0;
}

/* The message that is coming, or its next piece, can be taken. Room that it
   does not need is given back, so that `waiting` tells what memory is used. */
static void deliver(struct dt_ws_session *s, int final)
{
  struct dt_ws_message *m = s->building, *fitting = NULL;

  if(m->room / 2 > m->size + OVERHEAD)
    fitting = realloc(m, sizeof(*m) + m->size);
  if(fitting) {
    m = fitting;
    m->room = m->size;
  }
  m->final = final;
  s->building = NULL;
  s->waiting += m->size + OVERHEAD;
  if(s->last)
    s->last->next = m;
  else
    s->first = m;
  s->last = m;
}

static void on_frame_start(wslay_event_context_ptr ctx,
  const struct wslay_event_on_frame_recv_start_arg *arg, void *session)
{
  struct dt_ws_session *s = session;
  size_t wish = FIRST_ROOM;

  (void)ctx;
  s->opcode = arg->opcode;
  if(!is_data(arg->opcode) || s->deaf)
    return;
  if(arg->opcode != WSLAY_CONTINUATION_FRAME) {
    s->text = arg->opcode == WSLAY_TEXT_FRAME;
    s->message_size = 0;
  }
  if(s->max_message && !s->stream &&
     arg->payload_length > s->max_message - s->message_size) {
    fail(s, DT_TOO_LARGE, WSLAY_CODE_MESSAGE_TOO_BIG);
    return;
  }
  s->message_size += arg->payload_length;
  if(arg->payload_length < wish)
    wish = (size_t)arg->payload_length;
  if(make_room(s, 0, wish))
    fail(s, DT_NOMEM, 0);
}

static void keep_data(struct dt_ws_session *s, const void *data, size_t size)
{
  if(make_room(s, size, size)) {
    fail(s, DT_NOMEM, 0);
    return;
  }
  memcpy(s->building->data + s->building->size, data, size);
  s->building->size += size;
  if(s->stream && s->building->size >= STREAM_ROOM)
    deliver(s, 0);
}

static void on_frame_chunk(wslay_event_context_ptr ctx,
  const struct wslay_event_on_frame_recv_chunk_arg *arg, void *session)
{
  struct dt_ws_session *s = session;

  (void)ctx;
  if(s->code)
    return;
  if(is_data(s->opcode)) {
    if(!s->deaf)
      keep_data(s, arg->data, arg->data_length);
  } else if(s->opcode == WSLAY_CONNECTION_CLOSE &&
            arg->data_length <= sizeof(s->close_frame) - s->close_size) {
    memcpy(s->close_frame + s->close_size, arg->data, arg->data_length);
    s->close_size += arg->data_length;
  }
}

static void on_message(wslay_event_context_ptr ctx,
  const struct wslay_event_on_msg_recv_arg *arg, void *session)
{
  struct dt_ws_session *s = session;

  (void)ctx;
  if(s->code)
    return;
  if(arg->opcode == WSLAY_CONNECTION_CLOSE) {
    s->close_received = 1;
    s->close_code = arg->status_code ? arg->status_code : DT_WS_NO_CODE;
  } else if(arg->opcode == WSLAY_PING) {
    s->pings++;
  } else if(is_data(arg->opcode) && !s->deaf) {
    if(make_room(s, 0, 0))
      fail(s, DT_NOMEM, 0);
    else
      deliver(s, 1);
  }
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buffer,
                       size_t size, int flags, void *session)
{
  struct dt_ws_session *s = session;

  (void)flags;
  if(!s->in_size) {
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  if(size > s->in_size)
    size = s->in_size;
  memcpy(buffer, s->in, size);
  s->in += size;
  s->in_size -= size;
  return (ssize_t)size;
}

/* wslay does not know the close codes 1012 to 1014, which proxies send, and
   takes them for a breach of the protocol. */
static int is_proxy_close(struct dt_ws_session *s)
{
  if(s->close_size < 2)
    return 0;
  s->close_code = (unsigned)s->close_frame[0] << 8 | s->close_frame[1];
  return s->close_code >= 1012 && s->close_code <= 1014;
}

int dt_ws_session_feed(struct dt_ws_session *s, const char *data, size_t size)
{
  int rc = 0;

  while(!rc && !dt_ws_session_over(s) &&
        wslay_event_get_read_enabled(s->wslay) &&
        dt_ws_align_next(&s->align, &data, &size, &s->in, &s->in_size))
    rc = wslay_event_recv(s->wslay);
  s->in_size = 0;
  if(dt_ws_session_over(s))
    return s->code;
  if(rc == WSLAY_ERR_NOMEM)
    s->code = DT_NOMEM;
  else if(rc || !wslay_event_get_read_enabled(s->wslay)) {
    s->close_received = is_proxy_close(s);
    s->code = s->close_received ? DT_OK : DT_PROTOCOL;
  }
  if(s->stream && s->building && s->building->size)
    deliver(s, 0);
  return s->code;
}

int dt_ws_session_failure(const struct dt_ws_session *s)
{
  return s->code;
}

int dt_ws_session_over(const struct dt_ws_session *s)
{
  return s->code || s->close_received;
}

struct dt_ws_message *dt_ws_session_take(struct dt_ws_session *s)
{
  struct dt_ws_message *m = s->first;

  if(m) {
    s->first = m->next;
    if(!s->first)
      s->last = NULL;
    s->waiting -= m->size + OVERHEAD;
    m->next = NULL;
  }
  return m;
}

size_t dt_ws_session_waiting(const struct dt_ws_session *s)
{
  return s->waiting;
}

int dt_ws_session_has_message(const struct dt_ws_session *s)
{
  return s->first != NULL;
}

void dt_ws_session_deafen(struct dt_ws_session *s)
{
  s->deaf = 1;
  free(s->building);
  s->building = NULL;
}

/* --- sending -------------------------------------------------------------- */

static int on_genmask(wslay_event_context_ptr ctx, uint8_t *key, size_t size,
                      void *session)
{
  (void)ctx;
  (void)session;
  return RAND_bytes(key, (int)size) == 1 ? 0 : -1;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data,
                       size_t size, int flags, void *session)
{
  struct dt_ws_session *s = session;
  size_t room = OUT_ROOM - s->out_to;

  (void)flags;
  if(!room) {
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  if(size > room)
    size = room;
  memcpy(s->out + s->out_to, data, size);
  s->out_to += size;
  return (ssize_t)size;
}

static int queued(int rc)
{
  if(!rc)
    return DT_OK;
  return rc == WSLAY_ERR_NOMEM ? DT_NOMEM : DT_BAD_ARGUMENT;
}

static int queue_frame(struct dt_ws_session *s, unsigned opcode,
                       const char *data, size_t size)
{
  struct wslay_event_msg m;

  if(dt_ws_session_closing(s))
    return DT_BAD_ARGUMENT;
  m.opcode = (uint8_t)opcode;
  m.msg = (const uint8_t *)data;
  m.msg_length = size;
  return queued(wslay_event_queue_msg(s->wslay, &m));
}

int dt_ws_session_send(struct dt_ws_session *s, int text, const char *data,
                       size_t size)
{
  return queue_frame(s, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, data,
                     size);
}

int dt_ws_session_ping(struct dt_ws_session *s)
{
  return queue_frame(s, WSLAY_PING, NULL, 0);
}

static int may_send_code(unsigned code)
{
  return (code >= 1000 && code <= 1011 && code != 1004 && code != 1005 &&
          code != 1006) || (code >= 3000 && code <= 4999) || !code;
}

int dt_ws_session_close(struct dt_ws_session *s, unsigned code,
                        const char *reason, size_t size)
{
  if(dt_ws_session_closing(s) || !may_send_code(code) ||
     size > DT_WS_REASON_MAX || (size && !code))
    return DT_BAD_ARGUMENT;
  s->closing = s->close_pending = 1;
  s->our_code = code;
  s->our_size = size;
  if(size)
    memcpy(s->our_reason, reason, size);
  return DT_OK;
}

/* wslay sends control frames before messages, so ours is only given to it when
   it has no message left. 0, or -1 without memory. */
static int queue_our_close(struct dt_ws_session *s)
{
  int rc;

  if(!s->close_pending || wslay_event_want_write(s->wslay))
    return 0;
  s->close_pending = 0;
  rc = wslay_event_queue_close(s->wslay, (uint16_t)s->our_code,
                               (const uint8_t *)s->our_reason, s->our_size);
  return rc == WSLAY_ERR_NOMEM ? -1 : 0;
}

size_t dt_ws_session_output(struct dt_ws_session *s, const char **data)
{
  if(s->out_from < s->out_to) {
    *data = s->out + s->out_from;
    return s->out_to - s->out_from;
  }
  if(queue_our_close(s))
    return (size_t)-1;
  if(!wslay_event_want_write(s->wslay))
    return 0;
  if(!s->out)
    s->out = malloc(OUT_ROOM);
  s->out_from = s->out_to = 0;
  if(!s->out || wslay_event_send(s->wslay))
    return (size_t)-1;
  *data = s->out;
  return s->out_to;
}

void dt_ws_session_sent(struct dt_ws_session *s, size_t size)
{
  s->out_from += size;
  if(s->out_from < s->out_to || wslay_event_want_write(s->wslay))
    return;
  free(s->out);
  s->out = NULL;
  s->out_from = s->out_to = 0;
  s->pings = 0;
}

size_t dt_ws_session_unsent(const struct dt_ws_session *s)
{
  return s->out_to - s->out_from +
         wslay_event_get_queued_msg_length(s->wslay) +
         OVERHEAD * wslay_event_get_queued_msg_count(s->wslay);
}

int dt_ws_session_flooded(const struct dt_ws_session *s)
{
  return s->pings > MANY_PINGS;
}

/* --- closing -------------------------------------------------------------- */

int dt_ws_session_closing(const struct dt_ws_session *s)
{
  return s->closing || dt_ws_session_over(s);
}

int dt_ws_session_closed_by_peer(const struct dt_ws_session *s,
                                 unsigned *code, const char **reason,
                                 size_t *size)
{
  *code = s->close_received ? s->close_code : DT_WS_NO_CLOSE;
  *reason = "";
  *size = 0;
  if(s->close_received && s->close_size > 2) {
    *reason = (const char *)s->close_frame + 2;
    *size = s->close_size - 2;
  }
  return s->close_received;
}

int dt_ws_session_close_sent(const struct dt_ws_session *s)
{
  return wslay_event_get_close_sent(s->wslay) && s->out_from == s->out_to;
}

/* --- life ----------------------------------------------------------------- */

int dt_ws_session_new(struct dt_ws_session **out, uint64_t max_message,
                      int stream)
{
  static const struct wslay_event_callbacks callbacks = {
    on_recv, on_send, on_genmask, on_frame_start, on_frame_chunk, NULL,
    on_message
  };
  struct dt_ws_session *s = calloc(1, sizeof(*s));

  *out = NULL;
  if(!s)
    return DT_NOMEM;
  if(wslay_event_context_client_init(&s->wslay, &callbacks, s)) {
    free(s);
    return DT_NOMEM;
  }
  wslay_event_config_set_no_buffering(s->wslay, 1);
  wslay_event_config_set_max_recv_msg_length(s->wslay, INT64_MAX);
  s->max_message = max_message;
  s->stream = stream;
  *out = s;
  return DT_OK;
}

void dt_ws_session_free(struct dt_ws_session *s)
{
  struct dt_ws_message *m;

  if(!s)
    return;
  while((m = dt_ws_session_take(s)) != NULL)
    free(m);
  free(s->building);
  free(s->out);
  wslay_event_context_free(s->wslay);
  free(s);
}
