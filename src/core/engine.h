/*
 * engine.h - the engine's insides, shared by its own files only.
 *
 * engine.c    the engine's life, waiting, stepping, events
 * multi.c     libcurl's multi handle, and what it asks for
 * flow.c      what the engine knows of all that it drives (flow.h)
 * handle.c    pooled easy handles and the options they always carry
 * lines.c     which connections are kept, and which of them are believed in
 *
 * and, as flows, HTTP requests:
 *
 * origin.c    the queue of each origin
 * transfer.c  the life of a transfer
 * order.c     checks a request and copies it into a transfer
 * request.c   turns the copy into options of an easy handle
 * source.c    where a request's body comes from
 * sink.c      where an answer goes; inflate.c unpacks it
 * failure.c   names of codes; what libcurl's codes mean
 * carry.c     transfers whose bytes somebody else carries (carry.h)
 * wire.c      the engine does: small requests, over connections of its own
 *
 * (WebSockets, the other flows, have a header of their own, ws.h.)
 *
 * A transfer is queued in its origin until a slot is free, then libcurl, or a wire, has it
 * (running), then it is done. Callbacks of libcurl find the handle, and by it
 * the transfer; they only change the transfer's and the engine's own state.
 */
#ifndef DAYTONA_ENGINE_H
#define DAYTONA_ENGINE_H

#include "chunk_queue.h"
#include "core.h"
#include "deadlines.h"
#include "flow.h"
#include "inflate.h"
#include "list.h"
#include "pollset.h"
#include "profile.h"
#include "sigpipe.h"

#include <curl/curl.h>
#include <sys/types.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

#define DT_BATCH       64 /* descriptors asked for at once */
#define DT_POOLED      64 /* easy handles kept for reuse */
#define DT_SPARE_SIZE  2048 /* of transfers kept for reuse: with small requests, */
#define DT_SPARE_ROOM  8192 /* after small answers */
#define DT_STREAMS     100 /* that libcurl puts on one connection of HTTP/2 */
#define DT_ORIGINS     64 /* buckets of the table of origins */
#define DT_QUEUE_HIGH  (1024 * 1024) /* a chunk queue is full */
#define DT_GATHER      (128 * 1024)  /* is written to a file at once */
#define DT_QUEUE_LOW   (256 * 1024)  /* and has room again */
#define DT_FIELDS_MAX  (64 * 1024)  /* larger bodies are read piecemeal, which
                                       shows that they are moving */
#define DT_HEADERS_MAX (256 * 1024)
#define DT_HEADERS_TOO_LONG "the answer's headers are too long"
#define DT_ERROR_BODY  (64 * 1024) /* kept of a body that no sink wants */

/* Where a URL's origin stands in its text. */
struct dt_span {
  const char *host; /* with port, without user information */
  size_t size;
  int tls;
};

#define DT_LINES 3

struct dt_origin {
  struct dt_origin *next; /* in its bucket */
  struct dt_link ready;   /* in engine.ready: something queued, a slot free */
  struct dt_link queue;   /* transfers, first come first served */
  unsigned queued, running;
  struct dt_link wires; /* wire.c: idle ones */
  unsigned unsent; /* of those that run: they have no connection yet */
  int tls;
  int http1; /* it speaks HTTP/1 only, as its last answer showed */
  int line;  /* 0 .. DT_LINES - 1: connections of another one are not used again */
  size_t size;
  char name[]; /* "scheme://host:port", lower case */
};

/* An easy handle with what libcurl needs to be at hand while it runs. */
struct dt_handle {
  struct dt_link link; /* in engine.pool or engine.zombies */
  struct dt_engine *engine;
  CURL *easy;
  struct dt_flow *flow;       /* whose it is; NULL: nobody's any more */
  struct dt_profile *profile; /* whose options are set; NULL: none */
  CURLU *parsed;              /* what CURLOPT_CURLU points at */
  char *url;                  /* the text of the URL that is set, or NULL */
  int tls;                    /* options for https are set */
  int skipping;               /* TLS need not read the bundle of authorities */
  int custom;                 /* CURLOPT_CUSTOMREQUEST is set */
  int dirty;                  /* carries what only a reset removes */
  int quick_exit;             /* leaves a name lookup without joining it */
  int line;                   /* of the origin, as it is set */
  int local_port;             /* of the connection that it was sent over last */
  long buffer_size;
  long connect_ms;
  char error[CURL_ERROR_SIZE];
};

/* Bytes on their way into the file of a transfer, during a step (gather.c). */
struct dt_gather {
  char *memory; /* DT_GATHER bytes, from the first time on */
  size_t size;
  struct dt_transfer *whose; /* NULL: nobody's */
};

struct dt_engine {
  unsigned generation; /* of the process that made it */
  CURLM *multi;
  struct dt_pollset *pollset;
  struct dt_profile *profile; /* for requests without one */
  unsigned max_connections;
  int through_libcurl; /* nothing goes over wires (wire.c) */
  int watched;       /* dt_engine_fd was asked for */
  int pipes;         /* SIGPIPE may come of it: TLS was ever used, or a sink that
                        is no file */
  unsigned libcurl;  /* its version; 0: before 8.16 */
  int broken;        /* the multi handle failed; it must be rebuilt */
  int nomem;         /* a poll-set callback ran out of memory */
  double now;        /* of the step */
  unsigned char *lines; /* by descriptor: enum dt_line */
  int lines_room;
  double slept;      /* seconds of the system's sleep, when that was looked at */
  double looked;     /* when the poll set was asked: what had come by then is known */
  double limit;      /* when the step's budget is spent; 0: none */
  int delivered;     /* a block of an answer went to its sink in this step */
  int turn;          /* whether sockets or resumes come first in a step */
  double curl_due;   /* when libcurl wants to be called; negative: never */
  double alarm;      /* 0: none */
  unsigned idle_steps; /* steps in a row that were due and did nothing */
  uint64_t activity;   /* grows whenever something happens */
  struct dt_deadlines deadlines;
  struct dt_link flows;     /* all that have not been freed */
  struct dt_link work;      /* those that want a turn */
  long lasting;             /* connections of WebSockets that libcurl has */
  unsigned openings;        /* WebSockets that began to connect in this round */
  struct dt_link events;    /* those with something to report */
  struct dt_flow **watchers; /* by descriptor, where it is the flow's to watch */
  int watchers_room;
  struct dt_link ready;     /* origins that can start a transfer */
  struct dt_link pool;      /* handles free for use */
  struct dt_link zombies;   /* handles of cancelled name lookups */
  unsigned pooled;
  struct dt_transfer *spare; /* up to DT_POOLED of them, with what a request
                                like theirs need not make again */
  unsigned nspare;
  struct dt_origin *origins[DT_ORIGINS];
  unsigned norigins;
  struct dt_gather gather;
  int holding;       /* dt_engine_hold: `unheld` is the mask to go back to */
  sigset_t unheld;
  struct dt_ready batch[DT_BATCH]; /* reported, not yet looked at */
  int batch_at, batch_size;
  struct dt_engine_stats stats;
  struct dt_engine *next_left; /* freed in a forked child */
};

enum dt_state {
  DT_QUEUED,
  DT_RUNNING,
  DT_DONE
};

/* One place a request's body, or a part of it, is read from. */
struct dt_source {
  struct dt_transfer *transfer;
  enum dt_body_kind kind; /* memory, fd or queue */
  const char *data;
  int fd;
  off_t start;    /* of fd; -1: cannot be sought */
  int64_t length; /* negative: unknown */
  int64_t done;   /* bytes handed out */
};

/* A part's attributes; its content is the source of the same index. */
struct dt_part_head {
  const char *name, *filename, *type;
};

/* A copy of what was asked for, made in one piece with the transfer. */
struct dt_order {
  const char *method;
  const char *url;
  struct dt_span origin;      /* in url */
  struct curl_slist *headers; /* own nodes, then the profile's */
  size_t nlines;              /* own nodes that the request brought */
  enum dt_body_kind body;
  struct dt_source *sources; /* one, or one a part */
  struct dt_part_head *parts;
  size_t nparts;
  enum dt_sink_kind sink;
  int sink_fd;
  int head;       /* the answer has no body */
  int packed;     /* the answer's body may come packed, and is unpacked */
  int as_it_comes; /* packed or not: the request says Accept-Encoding itself */
  int repeatable; /* sending it twice is harmless */
  int progress;
  int timing;
  const char *sigv4;        /* NULL: not signed */
  const char *user, *password;
  uint64_t max_bytes;       /* 0: no cap */
  double connect_timeout;   /* 0: none */
  double timeout;           /* 0: none */
  double idle_timeout;      /* 0: none */
};

struct dt_transfer {
  struct dt_flow flow;
  size_t size;          /* with what is packed behind it */
  struct dt_transfer *next_spare;
  enum dt_state state;
  struct dt_link place; /* the origin's queue */
  struct dt_origin *origin;
  struct dt_profile *profile;
  struct dt_order order;
  curl_mime *mime;
  int carried;                  /* by somebody else than libcurl (carry.h) */
  struct dt_carriage *carriage; /* then; kept for the next one */
  int connecting;               /* libcurl makes a connection for its wire */
  struct dt_wire *wire;         /* what it is carried by, where that is ours */

  /* the body queue */
  struct dt_chunk_queue out;
  int finished; /* no more bytes will come */
  int refused;  /* a write was refused: report when there is room */
  int send_paused;

  /* the answer */
  int in_headers; /* between a status line and its blank line */
  int answered;   /* the final answer's headers are complete */
  int answer_started;
  int to_sink;    /* a 2xx: the body goes where it was asked to go */
  int gathers;    /* which is a file */
  int chunked;
  enum {
    DT_PLAIN,
    DT_GZIP,
    DT_OTHER_CODING
  } coding;                    /* of the body */
  struct dt_inflate *unpacker; /* of a body that has begun */
  uint64_t packed_size;        /* of what it was given */
  long status;
  int64_t announced; /* length; -1: unknown */
  char *header_block;
  size_t header_size, header_room;
  size_t trailer_size;
  const char *odd; /* why a callback refused the answer as DT_PROTOCOL */
  char *memory;
  size_t memory_size, memory_room;
  struct dt_chunk_queue in;
  struct dt_chunk *held; /* the chunk that the user looks at */
  int holding;           /* and will look at again */
  int recv_paused;
  uint64_t received;

  /* the end */
  int code; /* set early by callbacks that abort libcurl */
  int os_error;
  int placed;       /* it has got a connection */
  int late;         /* which the other side had closed by then: it wants another */
  int request_sent; /* libcurl was about to send it, over whatever connection: for
                       all that can be known it has left */
  int reused;
  struct dt_timing timing;
  uint64_t sent;
  int64_t sent_total;
  char message[CURL_ERROR_SIZE]; /* the last field: only its first byte counts
                                    in a new transfer */
};

/* --- global.c --- */

/* How many forks lie between the process that loaded this library and this
   one: cheaper to ask for than the process id. */
unsigned dt_generation(void);

/* --- engine.c --- */

/* To be called at the end of everything that changes what the engine has to do:
   brings kick and alarm of a watched engine up to date. */
void dt_engine_sync(struct dt_engine *e);

/* What was reported of the descriptor is no longer of interest. */
void dt_engine_forget_ready(struct dt_engine *e, int fd);

/* There is something to be taken with dt_engine_next_event. */
int dt_engine_has_events(const struct dt_engine *e);

/* The budget of the step that runs now is spent. */
int dt_engine_is_spent(struct dt_engine *e);

/* The nearer of two moments, of which 0 is none. */
double dt_earlier(double a, double b);

/* --- multi.c --- */

/* Makes the multi handle. DT_OK or DT_NOMEM. */
int dt_multi_open(struct dt_engine *e);

/* Ends all flows that libcurl has a hand in, with that code and message, and closes
   the multi handle, if there is one. The poll set must still be there, as sockets
   are taken out of it now. */
void dt_multi_close(struct dt_engine *e, int code, const char *message);

/* After a failure of the multi handle (engine.broken) nothing in it is to be
   trusted: a new one. DT_NOMEM or DT_INTERNAL, which is what the flows ended with. */
int dt_multi_rebuild(struct dt_engine *e);

/* Tells libcurl that its socket is ready: a set of DT_POLL_*. */
void dt_multi_socket(struct dt_engine *e, int fd, unsigned what);

/* To be called before a round of dt_multi_socket. */
void dt_multi_before_sockets(struct dt_engine *e);

/* Tells libcurl that its timer has run out, if it has. */
void dt_multi_timer(struct dt_engine *e);

/* Completes the flows whose handles libcurl is done with. */
void dt_multi_finished(struct dt_engine *e);

/* Gives a handle to libcurl. DT_OK or DT_NOMEM. */
int dt_multi_add(struct dt_engine *e, struct dt_handle *h);

/* So many connections more (or fewer) are WebSockets', and no room for those that are kept. */
void dt_multi_lasting(struct dt_engine *e, int more);

/* libcurl was due and nothing happened: what makes it spin is held back. `before`
   is engine.activity from before the step, `due` what is due after it. */
void dt_multi_guard(struct dt_engine *e, uint64_t before, int due);

/* Frees the handles of a list, taking them out of `multi` unless that is NULL. */
void dt_handles_free(struct dt_link *list, CURLM *multi);

/* --- handle.c --- */

/* A handle for the profile, from the pool if possible; with `tls` also for a
   connection with TLS. NULL without memory. */
struct dt_handle *dt_handle_acquire(struct dt_engine *e,
                                    struct dt_profile *profile, int tls);

/* Gives the handle its URL. */
CURLcode dt_handle_set_url(struct dt_handle *h, const char *url);

/* Takes the handle out of the multi handle and keeps it for reuse. */
void dt_handle_release(struct dt_handle *h, int in_multi);

/* Older versions of libcurl join the resolver's thread when a handle leaves in
   the middle of a name lookup, if it is in one. There it lingers, belonging to
   nobody, until the lookup is over. */
int dt_handle_must_linger(const struct dt_handle *h);
void dt_handle_linger(struct dt_handle *h);

void dt_handle_free(struct dt_handle *h);

/* --- lines.c --- */

enum dt_line {
  DT_LINE_NONE, /* no connection of libcurl's */
  DT_LINE_USED,
  DT_LINE_KEPT
};

void dt_lines_opened(struct dt_engine *e, int fd);
void dt_lines_set(struct dt_engine *e, int fd, enum dt_line what);

/* Nothing came for the transfer for so many seconds. If nothing came over its
   connection at all, neither that nor any that is kept is used again; others that
   are on it go on, and have their own deadlines. */
void dt_lines_distrust(struct dt_transfer *t, double silence);

/* To be called before a connection is chosen: after a sleep of the system's kept ones
   are not used again. */
void dt_lines_look(struct dt_engine *e);

/* Whether the connection with this local port was kept, and has been closed by the
   other side meanwhile. */
int dt_lines_is_closed(const struct dt_engine *e, int port);

/* --- origin.c --- */

/* 1 and where the origin stands in the URL, if it is one of ours. */
int dt_origin_parse(const char *url, struct dt_span *out);

/* The origin, made if needed; NULL without memory. */
struct dt_origin *dt_origin_get(struct dt_engine *e, const struct dt_span *s);
void dt_origin_enqueue(struct dt_engine *e, struct dt_transfer *t);

/* The next flow that may start, fairly among origins, which counts as running now;
   NULL when there is none. */
struct dt_flow *dt_origin_next(struct dt_engine *e);

/* The transfer has got a connection. */
void dt_origin_placed(struct dt_transfer *t);

/* The transfer leaves its origin: it was queued, or it ran. */
void dt_origin_leave(struct dt_engine *e, struct dt_transfer *t);
void dt_origins_free(struct dt_engine *e);

/* A transfer runs without having been queued; it is queued after all. */
void dt_origin_run(struct dt_engine *e, struct dt_transfer *t);
void dt_origin_requeue(struct dt_engine *e, struct dt_transfer *t);

/* --- transfer.c --- */

extern const struct dt_flow_type dt_transfer_type;

/* Ends the transfer: facts are copied, the handle is given back, DONE is
   posted. `message` may be NULL. Nothing when it is done. */
void dt_transfer_end(struct dt_transfer *t, int code, const char *message);

/* The transfer is in its engine, checked and with its origin, but in no queue. */
int dt_transfer_new(struct dt_engine *e, const struct dt_request *r,
                    struct dt_transfer **out, const char **what);

/* It is to go to libcurl: it waits in the queue of its origin. */
void dt_transfer_enqueue(struct dt_engine *e, struct dt_transfer *t,
                         const struct dt_request *r);

/* Sets the next moment at which its deadlines are looked at. */
void dt_transfer_set_deadline(struct dt_transfer *t);

/* Frees the transfer's memory. It must be in no list. */
void dt_transfer_delete(struct dt_transfer *t);

/* The transfer whose handle it is, or NULL: the handle is nobody's by now, or some
   other flow's. */
static inline struct dt_transfer *dt_transfer_of(const struct dt_handle *h)
{
  return h->flow && h->flow->type == &dt_transfer_type
           ? DT_OF(h->flow, struct dt_transfer, flow)
           : NULL;
}

/* --- order.c --- */

/* Checks the request and copies it into a new transfer that belongs nowhere
   yet and is freed by dt_transfer_delete. DT_OK, DT_NOMEM or DT_BAD_ARGUMENT,
   with *what the culprit. */
int dt_order_new(struct dt_engine *e, const struct dt_request *r,
                 struct dt_profile *profile, struct dt_transfer **out,
                 const char **what);

/* Keeps the memory of a transfer that is over for the next one, or frees it. The
   engine may be NULL. */
void dt_order_recycle(struct dt_engine *e, struct dt_transfer *t);

/* Frees what was kept. */
void dt_orders_free(struct dt_engine *e);

/* How many sources the body has. */
size_t dt_order_sources(const struct dt_order *o);

/* --- request.c --- */

/* Sets the transfer's handle up for its request. DT_OK, DT_NOMEM,
   DT_BAD_ARGUMENT or DT_INTERNAL. */
int dt_request_apply(struct dt_transfer *t);

/* --- carry.c --- */

void dt_carriage_free(struct dt_carriage *c);

/* How many bytes it holds. */
size_t dt_carriage_room(const struct dt_carriage *c);

/* Whether its bytes can be made and read here: from memory to memory, without a
   proxy, and with nothing to be said about certificates. */
int dt_carry_can(const struct dt_transfer *t);

/* It is to be carried: dt_carry_wants. 0 or -1. */
int dt_carry_ready(struct dt_transfer *t);

/* As dt_carry_compose, with the body behind it. */
int dt_carry_request(struct dt_transfer *t, int reused, const char **data,
                     size_t *size);

/* --- wire.c --- */

/* Whether the transfer, which has its slot, is for a wire. */
int dt_wire_takes(const struct dt_transfer *t);

/* Begins it over one that is idle. 0 where there is none: then libcurl is to connect.
   It may be over afterwards, or in its queue again. */
int dt_wire_begin(struct dt_transfer *t);

/* Makes of the request that its handle was set up for a mere connection. */
CURLcode dt_wire_connect(struct dt_transfer *t);

/* Which is there: the transfer goes on over it. */
void dt_wire_connected(struct dt_transfer *t);

/* Its wire can be read, or written to. */
void dt_wire_ready(struct dt_transfer *t);

/* The wire's descriptor. */
int dt_wire_fd(const struct dt_wire *w);

/* Closes the transfer's wire, if it has one. */
void dt_wire_drop(struct dt_transfer *t);

/* The same in a forked child, whose parent has it. */
void dt_wire_forget(struct dt_transfer *t);

/* Closes the origin's idle ones. */
void dt_wires_free(struct dt_engine *e, struct dt_origin *o);

/* --- source.c --- */

/* Callbacks of libcurl; `source` is a struct dt_source. */
size_t dt_source_read(char *buffer, size_t size, size_t n, void *source);
int dt_source_seek(void *source, curl_off_t offset, int whence);

/* --- gather.c --- */

/* Writes to the descriptor that is the transfer's sink; the same through the
   engine's buffer. DT_OK, or DT_SINK with the system's error in the transfer. */
int dt_gather_write(struct dt_transfer *t, const char *data, size_t size);
int dt_gather_add(struct dt_transfer *t, const char *data, size_t size);

/* Writes what is gathered. Whose it is gets a code, and a turn to end with it, where
   that fails. */
void dt_gather_flush(struct dt_engine *e);

/* Forgets what is gathered for it. */
void dt_gather_drop(struct dt_transfer *t);

void dt_gather_free(struct dt_engine *e);

/* --- sink.c --- */

/* Takes a line of the answer's head, its end included, or the blank one that ends it;
   a part of its body. DT_OK or what the transfer is to end with. */
int dt_sink_take_line(struct dt_transfer *t, const char *line, size_t size);
int dt_sink_take_body(struct dt_transfer *t, const char *data, size_t size);

/* The text for DT_TOO_LARGE. */
void dt_sink_excess(const struct dt_transfer *t, char *text, size_t size);

/* Frees what only a body on its way needs. */
void dt_sink_close(struct dt_transfer *t);

/* The same as callbacks of libcurl. */
size_t dt_sink_header(char *data, size_t size, size_t n, void *handle);
size_t dt_sink_body(char *data, size_t size, size_t n, void *handle);

/* --- failure.c --- */

/* What libcurl's verdict means for this transfer. The handle is still there. */
int dt_failure_code(const struct dt_transfer *t, CURLcode rc);

/* The text for it, without credentials. */
void dt_failure_message(const struct dt_transfer *t, int code, CURLcode rc,
                        char *text, size_t size);

/* The same for a handle that only connects. */
int dt_connect_failure(CURL *easy, CURLcode rc);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
