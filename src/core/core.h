/*
 * core.h - the engine: many HTTP transfers at once, on one thread, behind one
 * descriptor.
 *
 * The engine owns a libcurl multi handle in socket mode and a poll set.  It
 * never blocks (except in dt_engine_poll), never starts a thread of its own,
 * never calls back into its user and knows nothing of Lua.  The user starts
 * transfers, steps the engine when its descriptor is readable or its timeout
 * has passed, and takes events from it.
 *
 * Conventions: functions that can fail return DT_OK or a negative dt_code.
 * Times are in seconds; a time of 0 means "none".  Handles belong to one
 * thread and to one process: after a fork only dt_engine_abandon may be used
 * in the child.
 */
#ifndef DAYTONA_CORE_H
#define DAYTONA_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* Every way in which a call or a transfer can end. dt_code_name() gives the
   lower-case name that the Lua side sees as err.code. */
enum dt_code {
  DT_OK = 0,
  DT_NOMEM = -1,           /* memory could not be had */
  DT_BAD_ARGUMENT = -2,    /* refused before anything was sent */
  DT_TIMEOUT = -3,         /* the total deadline passed */
  DT_CONNECT_TIMEOUT = -4, /* no connection within connect_timeout */
  DT_IDLE_TIMEOUT = -5,    /* no byte in either direction for idle_timeout;
                              waiting for the user's queues does not count */
  DT_CANCELED = -6,        /* dt_transfer_cancel, or the engine was freed */
  DT_RESOLVE = -7,         /* the host or proxy name could not be resolved */
  DT_CONNECT = -8,         /* refused or unreachable */
  DT_TLS = -9,             /* handshake or certificate */
  DT_RESET = -10,          /* the peer closed before the answer was there */
  DT_TRUNCATED = -11,      /* the answer's body ended before its end */
  DT_PROTOCOL = -12,       /* what came back is not HTTP as we know it */
  DT_TOO_LARGE = -13,      /* the body exceeds max_bytes */
  DT_SINK = -14,           /* writing to the sink failed, see os_error */
  DT_SOURCE = -15,         /* reading the source failed or it was shorter than
                              announced, see os_error */
  DT_FORKED = -16,         /* the engine belongs to another process */
  DT_INTERNAL = -17        /* libcurl said something unexpected */
};

const char *dt_code_name(int code);

/* --- the process ---------------------------------------------------------- */

/* Initializes libcurl once for the process and keeps this shared object
   loaded for ever (libcurl's threads may outlive a lua_close). Idempotent and
   thread-safe. DT_OK, DT_NOMEM or DT_INTERNAL. */
int dt_global_init(void);

/* "libcurl/7.88.1 OpenSSL/3.0.15 ..." */
const char *dt_curl_version(void);

/* The process id, without a system call; dt_global_init comes first. */
long dt_pid(void);

/* Monotonic clock, seconds. */
double dt_now(void);

/* --- the engine ----------------------------------------------------------- */

struct dt_engine;
struct dt_profile;
struct dt_transfer;

struct dt_engine_options {
  unsigned max_connections; /* per origin; further transfers queue, first come
                               first served. 0: 256 */
  int through_libcurl;      /* 1: every request. Else libcurl only opens the
                               connections of small ones (of memory, to memory)
                               without TLS and proxy, which have some of their own
                               then: they cost less so */
};

struct dt_engine_stats {
  uint64_t polls;      /* returns from a blocking wait in dt_engine_poll */
  uint64_t steps;      /* dt_engine_step and dt_engine_poll calls */
  uint64_t started;    /* transfers ever started */
  uint64_t finished;   /* transfers ever finished, in whatever way */
  uint64_t connects;   /* connections ever opened by finished transfers */
  unsigned running;    /* transfers libcurl has now */
  unsigned queued;     /* transfers waiting for a connection slot */
};

/* Makes an engine; *out is NULL on failure. opts may be NULL.
   DT_OK, DT_NOMEM or DT_INTERNAL. Calls dt_global_init. */
int dt_engine_new(struct dt_engine **out, const struct dt_engine_options *opts);

/* Frees the engine. Transfers still alive end with DT_CANCELED, lose their
   engine and stay valid until dt_transfer_free. NULL is allowed. */
void dt_engine_free(struct dt_engine *e);

/* In a child after a fork: closes this process's copies of the engine's own
   descriptors without a word on the shared connections, and leaks the rest on
   purpose. Every later call on the engine answers DT_FORKED or does nothing;
   dt_engine_free is then safe. */
void dt_engine_abandon(struct dt_engine *e);

/* True when the engine was made by this process. */
int dt_engine_is_ours(const struct dt_engine *e);

/* The descriptor that becomes readable when there is something to do. Asking
   for it once turns on the timer and wake-up descriptors behind it, which a
   program that only uses dt_engine_poll never pays for. Never close it.
   -1 when the engine is not ours. */
int dt_engine_fd(struct dt_engine *e);

/* Seconds until dt_engine_step must be called even if the descriptor stays
   quiet: 0 now, negative never. On Linux the descriptor covers timers too. */
double dt_engine_timeout(struct dt_engine *e);

/* One deadline of the user's own, merged into the descriptor, the timeout and
   dt_engine_poll. `when` is in dt_now() time; 0 removes it. It is removed when
   it has passed. Nothing is reported: the step simply returns. */
void dt_engine_alarm(struct dt_engine *e, double when);

/* Does what is ready without blocking, for at most about `budget` seconds
   (0: no limit). DT_OK, DT_FORKED, DT_NOMEM or DT_INTERNAL; after DT_INTERNAL
   all running transfers have failed and the engine is usable again. */
int dt_engine_step(struct dt_engine *e, double budget);

/* Waits until something is ready, a deadline passes or `seconds` are over
   (negative: no limit), then steps. Returns as soon as events are pending.
   A signal ends the wait early: *interrupted (may be NULL) is then 1.
   Codes as dt_engine_step. */
int dt_engine_poll(struct dt_engine *e, double seconds, int *interrupted);

/* Keeps signal `sig` from this thread until the next dt_engine_poll, which lets
   it in only while it waits, and lifts the hold before it returns. Between the
   two a caller can find out, without a race, whether the signal has come. To be
   called once for each of several. */
void dt_engine_hold(struct dt_engine *e, int sig);

void dt_engine_get_stats(const struct dt_engine *e, struct dt_engine_stats *out);

/* --- profiles: what many requests have in common --------------------------- */

struct dt_profile_options {
  const char *const *headers; /* "Name: value" lines, NULL-terminated array */
  const char *user_agent;
  const char *proxy;          /* NULL: as the environment says now; "": none */
  const char *no_proxy;
  const char *ca_file;        /* who is trusted, instead of the system's    */
  const char *ca_path;        /* authorities; both NULL: libcurl's defaults */
  const char *client_cert;
  const char *client_key;
  int insecure;               /* 1: do not verify the peer */
  int http1;                  /* 1: never offer HTTP/2 */
  int packed;                 /* 1: answers that are kept in memory may come packed
                                 (gzip); they are unpacked as they come. Never those
                                 of signed requests and of those that say Range.
                                 Who says Accept-Encoding in a request has the body
                                 as it comes. */
};

/* Copies everything. DT_BAD_ARGUMENT when a string holds CR, LF or another
   control character. Profiles are reference counted: transfers keep theirs. */
int dt_profile_new(struct dt_profile **out, const struct dt_profile_options *o);
void dt_profile_free(struct dt_profile *p); /* drops one reference; NULL ok */

/* --- requests -------------------------------------------------------------- */

enum dt_body_kind {
  DT_BODY_NONE,
  DT_BODY_MEMORY,   /* data, size: copied */
  DT_BODY_FD,       /* fd, read from its current position; not closed */
  DT_BODY_QUEUE,    /* fed by dt_transfer_write / dt_transfer_finish */
  DT_BODY_MULTIPART /* parts: multipart/form-data, streamed */
};

/* One part of a multipart body. Its content is memory, a descriptor or the
   transfer's chunk queue (at most one part may use the queue). */
struct dt_part {
  const char *name;
  const char *filename; /* NULL: no filename attribute */
  const char *type;     /* NULL: none (text/plain) for memory without a
                           filename, application/octet-stream else */
  enum dt_body_kind kind;
  const char *data;
  size_t size;
  int fd;
  int64_t length;       /* of fd or queue; negative: unknown (chunked) */
};

enum dt_sink_kind {
  DT_SINK_MEMORY, /* collected; more than max_bytes is DT_TOO_LARGE */
  DT_SINK_FD,     /* written to sink_fd as it comes (2xx answers only; the
                     body of any other answer is collected in memory,
                     up to 64 KiB or max_bytes; the rest is dropped) */
  DT_SINK_QUEUE   /* taken by dt_transfer_read, with back-pressure (2xx only,
                     as above) */
};

struct dt_request {
  const char *method;         /* NULL: GET */
  const char *url;            /* absolute http(s), percent-encoded, with query,
                                 without user information; its path is sent as
                                 it is, dots and all */
  const char *const *headers; /* further "Name: value" lines, NULL-terminated;
                                 NULL: none. They win over the profile's. */
  struct dt_profile *profile; /* may be NULL */
  enum dt_body_kind body;
  const char *data;
  size_t size;
  int fd;
  int64_t length;             /* of an fd or queue body; negative: unknown */
  const struct dt_part *parts;
  size_t nparts;
  enum dt_sink_kind sink;
  int sink_fd;
  uint64_t max_bytes;         /* cap of the answer's body, unpacked; 0: none */
  double connect_timeout;     /* seconds; 0: none */
  double timeout;             /* total, counted from dt_transfer_start */
  double idle_timeout;
  int progress;               /* 1: report DT_EVENT_PROGRESS */
  int timing;                 /* 1: dt_transfer_timing knows, after the end */
  const char *sigv4;          /* NULL, or "aws:amz:REGION:SERVICE": libcurl signs
                                 the request as AWS has it (version 4), with all
                                 of `headers`, of which the body's type must be
                                 one (libcurl 7.88 or newer) */
  const char *user;           /* then: the key's id, without ":" */
  const char *password;       /* and the secret key */
};

/* Starts a transfer; *out must later be freed. Redirects are not followed.
   When a kept connection turns out to be dead before a byte of the answer, the
   request is sent again over a new one if that is harmless (GET, HEAD, PUT,
   DELETE, OPTIONS, TRACE, and a body that can be read again), else the transfer
   ends with DT_RESET: the peer may have acted upon it. It ends so, too, when
   the new connection cannot be made: DT_RESOLVE, DT_CONNECT, DT_TLS and
   DT_CONNECT_TIMEOUT always mean that nothing of the request has left.
   Everything in `r` is copied, except descriptors, which must stay open until
   the transfer is done. CR, LF, NUL or other control characters in the
   method, the URL, a header or a credential are DT_BAD_ARGUMENT (`what`, if not NULL, is set
   to a static text that names the culprit). DT_OK, DT_NOMEM, DT_BAD_ARGUMENT
   or DT_FORKED. */
int dt_transfer_start(struct dt_engine *e, const struct dt_request *r,
                      struct dt_transfer **out, const char **what);

/* Frees the transfer, cancelling it first if needed. NULL is allowed. */
void dt_transfer_free(struct dt_transfer *t);

/* Ends the transfer with DT_CANCELED unless it is done. Does not block, not
   even while a name is being resolved. */
void dt_transfer_cancel(struct dt_transfer *t);

/* For somebody who waits for this transfer only: polls until it is over, for at
   most `seconds` from when the engine was last used. 1 when it is over; its events are then taken. 0 when a signal
   came, when there are other events, or when the time was over. */
int dt_transfer_await(struct dt_transfer *t, double seconds);

/* A number that is unique in the process, also among WebSockets: whose an event is. */
uint64_t dt_transfer_id(const struct dt_transfer *t);

/* --- events ---------------------------------------------------------------- */

enum dt_event {
  DT_EVENT_HEADERS = 1,  /* status and headers are known (queue sinks only) */
  DT_EVENT_READABLE = 2, /* dt_transfer_read has something, or the end */
  DT_EVENT_WRITABLE = 4, /* the body queue is below its low-water mark */
  DT_EVENT_PROGRESS = 8, /* bytes moved since the last one (coalesced) */
  DT_EVENT_DONE = 16     /* over; sent exactly once */
};

/* How many transfers and WebSockets have an event to be taken. */
size_t dt_engine_count_events(const struct dt_engine *e);

/* Takes the next event: the id of a transfer or a WebSocket, and the set of what
   happened to it since it was last taken. Each stands in the list at most once. 1,
   or 0 when there is none. */
int dt_engine_next_event(struct dt_engine *e, uint64_t *id, unsigned *what);

/* --- streaming ------------------------------------------------------------- */

/* Appends to the body queue. *taken is how many bytes were accepted: all of
   them, or 0 when the queue is over its high-water mark (wait for
   DT_EVENT_WRITABLE and offer them again). DT_OK, DT_NOMEM, DT_BAD_ARGUMENT
   (no queue, or finished), or the code the transfer ended with. */
int dt_transfer_write(struct dt_transfer *t, const char *data, size_t size,
                      size_t *taken);

/* Ends the body queue. Idempotent. */
int dt_transfer_finish(struct dt_transfer *t);

/* Points *data at the next chunk of the answer, valid until the next call on
   this transfer or engine. 1: a chunk; 0: nothing yet; DT_OK is not returned:
   the end of the body is 2, a failed transfer its negative code - after all
   bytes that arrived before were handed out. */
int dt_transfer_read(struct dt_transfer *t, const char **data, size_t *size);

/* With 1 dt_transfer_read gives the last chunk once more, until this is called
   with 0: for a reader whose copy of it may fail. */
void dt_transfer_hold(struct dt_transfer *t, int on);

/* --- results --------------------------------------------------------------- */

struct dt_result {
  int done;               /* the transfer is over and `code` is final */
  int code;               /* DT_OK when a complete answer was received */
  int os_error;           /* errno behind DT_CONNECT, DT_SINK, DT_SOURCE; or 0 */
  long status;            /* HTTP status, 0 when none was received */
  const char *message;    /* detail of a failure, "" otherwise; no secrets */
  const char *body;       /* memory sink, or a non-2xx body of other sinks */
  size_t body_size;
  const char *header_block; /* "Name: value\r\n" lines of the final answer */
  size_t header_size;
  uint64_t received;      /* body bytes received, unpacked */
  uint64_t sent;          /* body bytes sent */
  int64_t received_total; /* announced length; -1: unknown, or of a packed body */
  int64_t sent_total;
  int request_sent;       /* at least a part of the request left, or may have,
                             over whatever connection: the peer may have acted
                             upon it. False is certain. */
  int answer_started;     /* at least a byte of the answer arrived */
  int reused;             /* an existing connection was used */
  double seconds;         /* from start to end */
};

/* When what happened to the last request of a transfer, seconds from its start: 0 for
   what did not (an existing connection was used, there was no answer). Of a transfer that
   asked for `timing`, after its end; whether it did. */
struct dt_timing {
  double dns, connect, tls, first_byte, total;
};

int dt_transfer_timing(const struct dt_transfer *t, struct dt_timing *timing);

/* Fills *r with what is known so far; pointers live as long as the transfer. */
void dt_transfer_result(const struct dt_transfer *t, struct dt_result *r);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
