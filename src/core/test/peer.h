/*
 * peer.h - a scripted HTTP peer for the unit tests: a listening socket on
 * 127.0.0.1 and one thread a connection that runs the test's own function.
 * And short hands for the client's side.
 */
#ifndef DAYTONA_PEER_H
#define DAYTONA_PEER_H

#include "../core.h"

struct peer;

/* What a connection does; n counts them from 1. The socket is closed after. */
typedef void peer_script(struct peer *p, int fd, int n);

struct peer *peer_open(peer_script *script, void *data);

/* Ends all connections and waits for their scripts. */
void peer_close(struct peer *p);

void *peer_data(struct peer *p);
int peer_port(const struct peer *p);
int peer_connections(struct peer *p);

/* "http://127.0.0.1:port" and the path; valid until the next call. */
const char *peer_url(struct peer *p, const char *path);

/* --- for scripts --- */

struct peer_request {
  char head[65536]; /* request line and headers, terminated */
  char *body;       /* decoded if it was chunked; of the last request */
  size_t size;
};

/* Reads one request; 0 when the connection ended instead. The body must be
   freed by the script. */
int peer_read(int fd, struct peer_request *r);
void peer_send(int fd, const char *text);
void peer_send_bytes(int fd, const char *data, size_t size);

/* A whole answer with this body. */
void peer_answer(int fd, int status, const char *body);

/* Waits until the other side has gone. */
void peer_hold(int fd);

/* Makes closing send a reset. */
void peer_reset(int fd);

/* --- scripts that many tests need --- */

/* Answers each request with 200 and the request's body. */
void peer_echo(struct peer *p, int fd, int n);

/* Reads a request and says nothing. */
void peer_silent(struct peer *p, int fd, int n);

/* Reads a request, sends the text that is the peer's data, and closes. */
void peer_says(struct peer *p, int fd, int n);

/* --- the client's side --- */

struct dt_engine *engine_open(unsigned max_connections);

/* Starts a request and checks that this works. */
struct dt_transfer *begin(struct dt_engine *e, const struct dt_request *r);

/* Initializes a request for the URL with a deadline far away. */
#define REQUEST(u) { .url = (u), .timeout = 60 }

/* Polls until the transfer has reported one of `mask`; what it reported. */
unsigned wait_for(struct dt_engine *e, struct dt_transfer *t, unsigned mask);

/* Polls until it is done; its result, valid until the next call. */
const struct dt_result *finish(struct dt_engine *e, struct dt_transfer *t);

/* The whole way: start, finish, free; the code. Fills in *r, if not NULL, but
   its pointers are dead. */
int fetch(struct dt_engine *e, const struct dt_request *request,
          struct dt_result *r);

int contains(const char *text, const char *part);

/* "both.test" is ::1, and 127.0.0.1. Lookups of "slow.test" block; with 1 this ends those that run, and waits
   until they have returned. */
void slow_lookups_end(int end);
int slow_lookups_running(void);

#endif
