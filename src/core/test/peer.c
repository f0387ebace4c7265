/*
 * peer.c - see peer.h.
 */
#define _GNU_SOURCE
#include "peer.h"
#include "check.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 2048

struct connection {
  struct peer *peer;
  pthread_t thread;
  int fd, n;
};

struct peer {
  peer_script *script;
  void *data;
  int fd, port, count, closing;
  pthread_t thread;
  pthread_mutex_t lock;
  struct connection *connections[CONNECTIONS_MAX];
  char url[256];
};

/* --- the listening side ------------------------------------------------------------ */

/* Signals are the tests' business: one that came to a peer's thread would end an
   accept or a recv, and with it the peer. */
static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
  sigset_t all, before;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if(pthread_create(thread, NULL, run, arg))
    abort();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *serve(void *connection)
{
  struct connection *c = connection;

  c->peer->script(c->peer, c->fd, c->n);
  pthread_mutex_lock(&c->peer->lock);
  close(c->fd);
  c->fd = -1;
  pthread_mutex_unlock(&c->peer->lock);
  return NULL;
}

static void take_connection(struct peer *p, int fd)
{
  struct connection *c;

  pthread_mutex_lock(&p->lock);
  if(p->closing || p->count == CONNECTIONS_MAX)
    close(fd);
  else {
    c = calloc(1, sizeof(*c));
    c->peer = p;
    c->fd = fd;
    c->n = p->count + 1;
    p->connections[p->count++] = c;
    start_thread(&c->thread, serve, c);
  }
  pthread_mutex_unlock(&p->lock);
}

static void *listen_on(void *peer)
{
  struct peer *p = peer;
  int fd = accept(p->fd, NULL, NULL);

  while(fd >= 0) {
    take_connection(p, fd);
    fd = accept(p->fd, NULL, NULL);
  }
  return NULL;
}

struct peer *peer_open(peer_script *script, void *data)
{
  struct peer *p = calloc(1, sizeof(*p));
  struct sockaddr_in a;
  socklen_t size = sizeof(a);

  p->script = script;
  p->data = data;
  pthread_mutex_init(&p->lock, NULL);
  memset(&a, 0, sizeof(a));
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p->fd = socket(AF_INET, SOCK_STREAM, 0);
  if(bind(p->fd, (void *)&a, sizeof(a)) || listen(p->fd, 1024) ||
     getsockname(p->fd, (void *)&a, &size))
    abort();
  p->port = ntohs(a.sin_port);
  start_thread(&p->thread, listen_on, p);
  return p;
}

void peer_close(struct peer *p)
{
  int i;

  pthread_mutex_lock(&p->lock);
  p->closing = 1;
  for(i = 0; i < p->count; i++) {
    if(p->connections[i]->fd >= 0)
      shutdown(p->connections[i]->fd, SHUT_RDWR);
  }
  shutdown(p->fd, SHUT_RDWR);
  pthread_mutex_unlock(&p->lock);
  pthread_join(p->thread, NULL);
  for(i = 0; i < p->count; i++) {
    pthread_join(p->connections[i]->thread, NULL);
    free(p->connections[i]);
  }
  close(p->fd);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

void *peer_data(struct peer *p)
{
  return p->data;
}

int peer_port(const struct peer *p)
{
  return p->port;
}

int peer_connections(struct peer *p)
{
  int n;

  pthread_mutex_lock(&p->lock);
  n = p->count;
  pthread_mutex_unlock(&p->lock);
  return n;
}

const char *peer_url(struct peer *p, const char *path)
{
  snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%d%s", p->port, path);
  return p->url;
}

/* --- for scripts -------------------------------------------------------------------- */

static int read_head(int fd, struct peer_request *r)
{
  size_t n = 0;

  while(n < sizeof(r->head) - 1 && recv(fd, r->head + n, 1, 0) == 1) {
    r->head[++n] = 0;
    if(n >= 4 && !strcmp(r->head + n - 4, "\r\n\r\n"))
      return 1;
  }
  return 0;
}

/* Adds exactly `size` bytes to the body. */
static int read_body(int fd, struct peer_request *r, size_t size)
{
  r->body = realloc(r->body, r->size + size + 1);
  while(size) {
    ssize_t n = recv(fd, r->body + r->size, size, 0);

    if(n <= 0)
      return 0;
    r->size += (size_t)n;
    size -= (size_t)n;
  }
  r->body[r->size] = 0;
  return 1;
}

static int read_line(int fd, char *line, size_t size)
{
  size_t n = 0;

  while(n < size - 1 && recv(fd, line + n, 1, 0) == 1) {
    line[++n] = 0;
    if(line[n - 1] == '\n')
      return 1;
  }
  return 0;
}

static int read_chunked(int fd, struct peer_request *r)
{
  char line[64];
  size_t size;

  do {
    if(!read_line(fd, line, sizeof(line)))
      return 0;
    size = strtoul(line, NULL, 16);
    if(!read_body(fd, r, size) || !read_line(fd, line, sizeof(line)))
      return 0;
  } while(size);
  return 1;
}

int peer_read(int fd, struct peer_request *r)
{
  const char *length;

  r->body = NULL;
  r->size = 0;
  if(!read_head(fd, r))
    return 0;
  if(strcasestr(r->head, "\r\nTransfer-Encoding: chunked"))
    return read_chunked(fd, r);
  length = strcasestr(r->head, "\r\nContent-Length:");
  return read_body(fd, r, length ? strtoul(length + 17, NULL, 10) : 0);
}

void peer_send_bytes(int fd, const char *data, size_t size)
{
  while(size) {
    ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

    if(n <= 0)
      return;
    data += n;
    size -= (size_t)n;
  }
}

void peer_send(int fd, const char *text)
{
  peer_send_bytes(fd, text, strlen(text));
}

static void answer_bytes(int fd, int status, const char *body, size_t size)
{
  char head[128];

  snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n",
           status, size);
  peer_send(fd, head);
  peer_send_bytes(fd, body, size);
}

void peer_answer(int fd, int status, const char *body)
{
  answer_bytes(fd, status, body, strlen(body));
}

void peer_hold(int fd)
{
  char buffer[4096];

  while(recv(fd, buffer, sizeof(buffer), 0) > 0)
    ;
}

void peer_reset(int fd)
{
  struct linger l = { 1, 0 };

  setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Keeps nothing in the heap while it waits, where a forked child would find it
   without an owner. */
void peer_echo(struct peer *p, int fd, int n)
{
  struct peer_request r;

  (void)p;
  (void)n;
  while(peer_read(fd, &r)) {
    answer_bytes(fd, 200, r.body, r.size);
    free(r.body);
  }
  free(r.body);
}

void peer_silent(struct peer *p, int fd, int n)
{
  (void)p;
  (void)n;
  peer_hold(fd);
}

void peer_says(struct peer *p, int fd, int n)
{
  struct peer_request *r = malloc(sizeof(*r));

  (void)n;
  if(peer_read(fd, r))
    peer_send(fd, p->data);
  free(r->body);
  free(r);
}

/* --- the client's side --------------------------------------------------------------- */

struct dt_engine *engine_open(unsigned max_connections)
{
  struct dt_engine_options o;
  struct dt_engine *e;

  memset(&o, 0, sizeof(o));
  o.max_connections = max_connections;
  o.through_libcurl = getenv("DAYTONA_THROUGH_LIBCURL") != NULL;
  if(dt_engine_new(&e, &o))
    abort();
  return e;
}

struct dt_transfer *begin(struct dt_engine *e, const struct dt_request *r)
{
  struct dt_transfer *t;
  const char *what;

  CHECK(dt_transfer_start(e, r, &t, &what) == DT_OK);
  if(!t)
    abort();
  return t;
}

unsigned wait_for(struct dt_engine *e, struct dt_transfer *t, unsigned mask)
{
  uint64_t whose;
  unsigned what, seen = 0;

  while(!(seen & (mask | DT_EVENT_DONE))) {
    if(dt_engine_next_event(e, &whose, &what)) {
      if(whose == dt_transfer_id(t))
        seen |= what;
    } else
      dt_engine_poll(e, -1, NULL);
  }
  return seen;
}

const struct dt_result *finish(struct dt_engine *e, struct dt_transfer *t)
{
  static struct dt_result r;

  dt_transfer_result(t, &r);
  if(!r.done)
    wait_for(e, t, DT_EVENT_DONE);
  dt_transfer_result(t, &r);
  CHECK(r.done);
  return &r;
}

int fetch(struct dt_engine *e, const struct dt_request *request,
          struct dt_result *r)
{
  struct dt_transfer *t = begin(e, request);
  struct dt_result result = *finish(e, t);

  if(r)
    *r = result;
  dt_transfer_free(t);
  return result.code;
}

int contains(const char *text, const char *part)
{
  return strstr(text, part) != NULL;
}

/* --- a resolver that can be held up --------------------------------------------------- */

static pthread_mutex_t lookup_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lookup_change = PTHREAD_COND_INITIALIZER;
static int lookups_end, lookups_running;

static void slow_lookup(void)
{
  pthread_mutex_lock(&lookup_lock);
  lookups_running++;
  while(!lookups_end)
    pthread_cond_wait(&lookup_change, &lookup_lock);
  lookups_running--;
  pthread_cond_broadcast(&lookup_change);
  pthread_mutex_unlock(&lookup_lock);
}

void slow_lookups_end(int end)
{
  pthread_mutex_lock(&lookup_lock);
  lookups_end = end;
  pthread_cond_broadcast(&lookup_change);
  while(end && lookups_running)
    pthread_cond_wait(&lookup_change, &lookup_lock);
  lookups_end = 0; /* the next ones block again */
  pthread_mutex_unlock(&lookup_lock);
}

int slow_lookups_running(void)
{
  int n;

  pthread_mutex_lock(&lookup_lock);
  n = lookups_running;
  pthread_mutex_unlock(&lookup_lock);
  return n;
}

typedef int lookup(const char *, const char *, const struct addrinfo *,
                   struct addrinfo **);

/* A name with an address of IPv6, which comes first, and one of IPv4. */
static int look_up_both(lookup *next, const char *service,
                        const struct addrinfo *hints, struct addrinfo **out)
{
  int family = hints ? hints->ai_family : AF_UNSPEC, code = 0;
  struct addrinfo wanted, *last;

  *out = NULL;
  memset(&wanted, 0, sizeof(wanted));
  if(hints)
    wanted = *hints;
  wanted.ai_family = AF_INET6;
  if(family != AF_INET)
    code = next("::1", service, &wanted, out);
  wanted.ai_family = AF_INET;
  if(code || family == AF_INET6)
    return code;
  for(last = *out; last && last->ai_next; last = last->ai_next)
    ;
  return next("127.0.0.1", service, &wanted, last ? &last->ai_next : out);
}

/* Stands before the system's for libcurl too. */
int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **out)
{
  lookup *next;
  void *symbol;

  if(node && !strcmp(node, "slow.test")) {
    slow_lookup();
    return EAI_NONAME;
  }
  symbol = dlsym(RTLD_NEXT, "getaddrinfo");
  memcpy(&next, &symbol, sizeof(next));
  if(node && !strcmp(node, "both.test"))
    return look_up_both(next, service, hints, out);
  return next(node, service, hints, out);
}
