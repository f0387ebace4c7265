/*
 * link.c - a line to measure with: relays TCP connections on the loopback as a network
 * would, with a round-trip time, a bandwidth, and failures.
 *
 *   link PORT... [rtt=0.1] [rate=20e6] [window=6e6] [cut=5] [idle=30]
 *
 * For each PORT of 127.0.0.1 it says, a line each, at which port there it relays to it. Each
 * direction takes half of `rtt` seconds, and as connecting is known at once here, what a
 * connection sends first leaves a whole one later. `rate` is in bits a second, for all
 * connections together, each way; `window` is how many bytes of a connection may be under
 * way. Every `cut` seconds all connections are reset, and those without a byte for `idle`
 * seconds. TCP's slow start is not there.
 *
 * Lines on standard input:
 *
 *   stats    answers with a line of JSON: what passed since the last such line. A turn is
 *            a client that speaks after its server did, or first.
 *   hold     nothing passes any more, in either direction, until
 *   go       it does
 *   lose     what connections there are say and hear nothing any more; new ones do
 *   cut      they are reset
 *
 * It ends with its standard input.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 16384
#define MOST  4096 /* connections */
#define PORTS 4
#define QUEUE 0.05 /* seconds that a byte may wait for its turn on the line */

/* What was read and is due at the other end; of size 0: the end. */
struct piece {
  struct piece *next;
  double when;
  size_t size, done;
  char data[];
};

enum { UP, DOWN };

/* One direction of a connection. */
struct way {
  struct piece *first, *last;
  size_t held; /* bytes under way */
  int ended;   /* no more is read */
  int blocked; /* the reader is slow */
};

struct connection {
  int fd[2]; /* where UP reads from, and where DOWN does */
  struct way ways[2];
  double accepted, active;
  int lost;   /* hears and says nothing any more */
  int server; /* the server spoke last */
};

static double rtt, rate, cut_every, idle_limit;
static size_t window = 6000000;
static int held;
static struct {
  int port, listener;
} targets[PORTS];
static int ntargets;
static struct connection *connections[MOST];
static int count;
static double line_free[2]; /* when the line takes the next byte */
static double next_cut;
static struct {
  uint64_t connections, turns, bytes[2];
} stats;

static double now(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
  perror(what);
  exit(2);
}

/* --- connections ------------------------------------------------------------------- */

static int prepare(int fd)
{
  int on = 1;

  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fcntl(fd, F_SETFL, O_NONBLOCK) ? -1 : fd;
}

static int to_server(int port)
{
  struct sockaddr_in a = { 0 };
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  a.sin_family = AF_INET;
  a.sin_port = htons((uint16_t)port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a))) {
    close(fd);
    return -1;
  }
  return fd < 0 ? -1 : prepare(fd);
}

static void accept_one(int i)
{
  int client = accept(targets[i].listener, NULL, NULL);
  int server = client < 0 ? -1 : to_server(targets[i].port);
  struct connection *c = server < 0 ? NULL : calloc(1, sizeof(*c));

  if(!c || count == MOST) {
    free(c);
    if(client >= 0)
      close(client);
    if(server >= 0)
      close(server);
    return;
  }
  c->fd[UP] = prepare(client);
  c->fd[DOWN] = server;
  c->accepted = c->active = now();
  connections[count++] = c;
  stats.connections++;
}

static void drop(int i, int reset)
{
  struct connection *c = connections[i];
  struct linger abort = { 1, 0 };
  int way;

  for(way = UP; way <= DOWN; way++) {
    struct piece *p = c->ways[way].first;

    while(p) {
      struct piece *next = p->next;

      free(p);
      p = next;
    }
    if(reset)
      setsockopt(c->fd[way], SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    close(c->fd[way]);
  }
  free(c);
  connections[i] = connections[--count];
}

static void cut_all(void)
{
  while(count)
    drop(count - 1, 1);
}

/* --- the line ---------------------------------------------------------------------- */

/* When bytes that are read now arrive, if the line takes them at once. */
static double arrival(const struct connection *c, int way, size_t size, double t)
{
  double *free_at = &line_free[way], when;

  if(*free_at < t)
    *free_at = t;
  if(rate > 0)
    *free_at += (double)size * 8 / rate;
  when = *free_at + rtt / 2;
  if(way == UP && when < c->accepted + 1.5 * rtt)
    when = c->accepted + 1.5 * rtt;
  return when;
}

static void append(struct way *w, struct piece *p)
{
  if(w->last)
    w->last->next = p;
  else
    w->first = p;
  w->last = p;
  w->held += p->size;
}

static void note(struct connection *c, int way, size_t size, double t)
{
  stats.bytes[way] += size;
  if(way == UP && (c->server || c->active == c->accepted))
    stats.turns++;
  c->server = way == DOWN;
  c->active = t;
}

/* Reads a piece. 0, or -1 where the connection broke. */
static int take(struct connection *c, int way)
{
  struct way *w = &c->ways[way];
  struct piece *p = malloc(sizeof(*p) + PIECE);
  double t = now();
  ssize_t n;

  if(!p)
    fail("link");
  n = read(c->fd[way], p->data, PIECE);
  if(n < 0) {
    free(p);
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  }
  p->next = NULL;
  p->size = (size_t)n;
  p->done = 0;
  p->when = arrival(c, way, p->size, t);
  append(w, p);
  if(n)
    note(c, way, p->size, t);
  else
    w->ended = 1;
  return 0;
}

/* Gives what is due. 0; 1 where the connection is over, -1 where it is broken. */
static int give(struct connection *c, int way, double t)
{
  struct way *w = &c->ways[way];
  int to = c->fd[!way];

  w->blocked = 0;
  while(w->first && w->first->when <= t) {
    struct piece *p = w->first;
    ssize_t n = 0;

    if(p->size)
      n = send(to, p->data + p->done, p->size - p->done, MSG_NOSIGNAL);
    else
      shutdown(to, SHUT_WR);
    if(n < 0) {
      w->blocked = errno == EAGAIN;
      return w->blocked || errno == EINTR ? 0 : -1;
    }
    p->done += (size_t)n;
    w->held -= (size_t)n;
    if(p->done < p->size)
      continue;
    w->first = p->next;
    if(!w->first)
      w->last = NULL;
    free(p);
  }
  return c->ways[UP].ended && c->ways[DOWN].ended && !c->ways[UP].first &&
         !c->ways[DOWN].first;
}

/* --- the loop ---------------------------------------------------------------------- */

static int may_take(const struct connection *c, int way, double t)
{
  const struct way *w = &c->ways[way];

  return !held && !c->lost && !w->ended && w->held < window &&
         line_free[way] < t + QUEUE;
}

static short wishes(const struct connection *c, int end, double t)
{
  const struct way *out = &c->ways[!end];
  short events = 0;

  if(may_take(c, end, t))
    events |= POLLIN;
  if(out->blocked && !held && !c->lost)
    events |= POLLOUT;
  return events;
}

static void sooner(double *when, double other)
{
  if(other < *when)
    *when = other;
}

/* When something is to be done without a word from anybody. */
static double next_moment(double t)
{
  double when = t + 3600;
  int i, way;

  if(cut_every > 0)
    sooner(&when, next_cut);
  for(i = 0; i < count && !held; i++) {
    struct connection *c = connections[i];

    for(way = UP; way <= DOWN && !c->lost; way++) {
      struct way *w = &c->ways[way];

      if(w->first && !w->blocked)
        sooner(&when, w->first->when);
      if(line_free[way] >= t + QUEUE && !w->ended)
        sooner(&when, line_free[way] - QUEUE / 2);
    }
    if(idle_limit > 0)
      sooner(&when, c->active + idle_limit);
  }
  return when;
}

static void command(const char *line)
{
  int i;

  if(!strcmp(line, "stats")) {
    printf("{\"connections\":%llu,\"turns\":%llu,\"up\":%llu,\"down\":%llu}\n",
           (unsigned long long)stats.connections, (unsigned long long)stats.turns,
           (unsigned long long)stats.bytes[UP], (unsigned long long)stats.bytes[DOWN]);
    memset(&stats, 0, sizeof(stats));
    return;
  }
  if(!strcmp(line, "hold") || !strcmp(line, "go"))
    held = *line == 'h';
  else if(!strcmp(line, "cut"))
    cut_all();
  else if(!strcmp(line, "lose")) {
    for(i = 0; i < count; i++)
      connections[i]->lost = 1;
  }
  printf("ok\n");
}

/* What was said on standard input. Ends the program with it. */
static void listen_to_user(void)
{
  static char text[256];
  static size_t size;
  ssize_t n = read(0, text + size, sizeof(text) - size - 1);
  char *end;

  if(n <= 0)
    exit(0);
  size += (size_t)n;
  text[size] = 0;
  while((end = strchr(text, '\n'))) {
    *end = 0;
    command(text);
    size -= (size_t)(end + 1 - text);
    memmove(text, end + 1, size + 1);
  }
}

/* Moves what can be moved on a connection. As `give`. */
static int serve(struct connection *c, const struct pollfd *polled, double t)
{
  int way, rc;

  for(way = UP; way <= DOWN && !c->lost && !held; way++) {
    if((polled[way].revents & (POLLIN | POLLHUP | POLLERR)) &&
       may_take(c, way, t) && take(c, way))
      return -1;
    rc = give(c, way, t);
    if(rc)
      return rc;
  }
  return idle_limit > 0 && t >= c->active + idle_limit ? -1 : 0;
}

/* Waits until something can be done. */
static void wait_for(struct pollfd *polled, int n, double t)
{
  double wait = next_moment(t) - t;
  struct timespec limit;

  if(wait < 0)
    wait = 0;
  limit.tv_sec = (time_t)wait;
  limit.tv_nsec = (long)((wait - (double)limit.tv_sec) * 1e9);
  if(ppoll(polled, (nfds_t)n, &limit, NULL) < 0 && errno != EINTR)
    fail("ppoll");
}

static void turn(void)
{
  static struct pollfd polled[1 + PORTS + 2 * MOST];
  struct pollfd *ends = polled + 1 + ntargets;
  double t = now();
  int i, known = count;

  memset(polled, 0, sizeof(*polled) * (size_t)(1 + ntargets));
  for(i = 0; i <= ntargets; i++) {
    polled[i].fd = i ? targets[i - 1].listener : 0;
    polled[i].events = i && held ? 0 : POLLIN;
  }
  for(i = 0; i < 2 * known; i++) {
    ends[i].events = wishes(connections[i / 2], i % 2, t);
    ends[i].fd = ends[i].events ? connections[i / 2]->fd[i % 2] : -1;
    ends[i].revents = 0;
  }
  wait_for(polled, 1 + ntargets + 2 * known, t);
  t = now();
  for(i = known - 1; i >= 0; i--) {
    int rc = serve(connections[i], &ends[2 * i], t);

    if(rc)
      drop(i, rc < 0);
  }
  if(cut_every > 0 && t >= next_cut) {
    cut_all();
    next_cut = t + cut_every;
  }
  for(i = 0; i < ntargets; i++) {
    if(polled[i + 1].revents)
      accept_one(i);
  }
  if(polled[0].revents)
    listen_to_user();
}

static int start_listening(void)
{
  struct sockaddr_in a = { 0 };
  socklen_t size = sizeof(a);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if(fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, MOST) ||
     getsockname(fd, (struct sockaddr *)&a, &size))
    fail("link");
  printf("%d\n", ntohs(a.sin_port));
  return fd;
}

/* An argument: a port or a setting. 0, or -1 where it is neither. */
static int set(const char *text)
{
  double n;

  if(sscanf(text, "rtt=%lf", &n) == 1)
    rtt = n;
  else if(sscanf(text, "rate=%lf", &n) == 1)
    rate = n;
  else if(sscanf(text, "window=%lf", &n) == 1)
    window = (size_t)n;
  else if(sscanf(text, "cut=%lf", &n) == 1)
    cut_every = n;
  else if(sscanf(text, "idle=%lf", &n) == 1)
    idle_limit = n;
  else if(atoi(text) > 0 && ntargets < PORTS)
    targets[ntargets++].port = atoi(text);
  else
    return -1;
  return 0;
}

int main(int argc, char **argv)
{
  int i, bad = 0;

  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  for(i = 1; i < argc; i++)
    bad |= set(argv[i]);
  if(bad || !ntargets) {
    fprintf(stderr, "usage: link PORT... [rtt= rate= window= cut= idle=]\n");
    return 2;
  }
  next_cut = now() + cut_every;
  for(i = 0; i < ntargets; i++)
    targets[i].listener = start_listening();
  for(;;)
    turn();
}
