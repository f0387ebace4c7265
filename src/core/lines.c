/*
 * lines.c - connections that are believed in: which ones are kept, and which may
 * lead nowhere by now, as after a sleep or a change of networks.
 *
 * libcurl closes a connection of HTTP/1 whose transfer ended early. Those that are
 * kept beside it, and one of HTTP/2, it would use again for whatever comes next.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CLOCK_SLACK 0.01 /* the kernel's clock is coarser than ours */
#define LONG_SLEEP  20   /* seconds after which no kept connection is believed in */

/* --- which there are ----------------------------------------------------------- */

static int reserve(struct dt_engine *e, int fd)
{
  int room = e->lines_room ? e->lines_room : 64;
  unsigned char *bigger;

  if(fd < e->lines_room)
    return 0;
  while(room <= fd)
    room *= 2;
  bigger = realloc(e->lines, (size_t)room);
  if(!bigger)
    return -1;
  memset(bigger + e->lines_room, DT_LINE_NONE, (size_t)(room - e->lines_room));
  e->lines = bigger;
  e->lines_room = room;
  return 0;
}

/* What there is no memory for is never dropped, no more. */
void dt_lines_opened(struct dt_engine *e, int fd)
{
  if(!reserve(e, fd))
    e->lines[fd] = DT_LINE_USED;
}

void dt_lines_set(struct dt_engine *e, int fd, enum dt_line what)
{
  if(fd >= 0 && fd < e->lines_room && e->lines[fd] != DT_LINE_NONE)
    e->lines[fd] = (unsigned char)what;
}

/* --- dropping them ------------------------------------------------------------- */

/* libcurl tells the connection of a transfer by its local port, and tells that only. */
static int port_of(int fd)
{
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } name;
  socklen_t size = sizeof(name);

  if(getsockname(fd, &name.any, &size))
    return 0;
  return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port
                                              : name.v4.sin_port);
}

/* A transfer that waits for its user watches nothing, but its connection is in use. */
static int is_paused(struct dt_engine *e, int port)
{
  struct dt_link *l;

  for(l = e->flows.next; l != &e->flows; l = l->next) {
    struct dt_flow *f = DT_OF(l, struct dt_flow, all);
    struct dt_transfer *t = DT_OF(f, struct dt_transfer, flow);

    if(f->type == &dt_transfer_type && f->handle &&
       f->handle->local_port == port && (t->recv_paused || t->send_paused))
      return 1;
  }
  return 0;
}

/* libcurl finds them closed when it wants to use them again. */
static void drop_kept(struct dt_engine *e)
{
  int fd;

  for(fd = 0; fd < e->lines_room; fd++) {
    int watched = fd < e->watchers_room && e->watchers[fd];

    if(e->lines[fd] == DT_LINE_KEPT && !watched && !is_paused(e, port_of(fd)))
      (void)shutdown(fd, SHUT_RDWR);
  }
}

#ifdef __linux__
static int is_heard(int fd, double seconds)
{
  struct tcp_info about;
  socklen_t size = sizeof(about);

  memset(&about, 0, sizeof(about));
  return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &about, &size) &&
         about.tcpi_last_data_recv < (seconds - CLOCK_SLACK) * 1e3;
}
#else
static int is_heard(int fd, double seconds)
{
  (void)fd;
  (void)seconds;
  return 0;
}
#endif

/* Whether anything came over the connection within so many seconds, were it for
   another; not where the system does not tell. */
static int has_heard(const struct dt_handle *h, double seconds)
{
  const struct dt_engine *e = h->engine;
  int fd;

  for(fd = 0; fd < e->lines_room; fd++) {
    if(e->lines[fd] != DT_LINE_NONE && port_of(fd) == h->local_port)
      return is_heard(fd, seconds);
  }
  return 0;
}

void dt_lines_distrust(struct dt_transfer *t, double silence)
{
  struct dt_handle *h = t->flow.handle;

  if(t->wire && !is_heard(dt_wire_fd(t->wire), silence))
    drop_kept(t->flow.engine);
  if(!h || !t->request_sent || !t->origin || has_heard(h, silence))
    return;
  h->dirty = 1;
  curl_easy_setopt(h->easy, CURLOPT_FORBID_REUSE, 1L);
  if(h->line == t->origin->line)
    t->origin->line = (t->origin->line + 1) % DT_LINES;
  drop_kept(t->flow.engine);
}

/* Closed for sending is enough: what may still come is no answer. */
static int is_closed(int fd)
{
  struct pollfd p = { .fd = fd, .events = POLLIN };

#ifdef POLLRDHUP
  p.events |= POLLRDHUP;
  return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
#else
  char c;

  return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR) ||
                                recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0);
#endif
}

int dt_lines_is_closed(const struct dt_engine *e, int port)
{
  int fd;

  for(fd = 0; fd < e->lines_room; fd++) {
    if(e->lines[fd] == DT_LINE_KEPT && port_of(fd) == port)
      return is_closed(fd);
  }
  return 0;
}

/* Seconds that the system has slept since it was started; where its clocks count
   them anyway, 0: libcurl sees then how old a connection is. */
static double slept(void)
{
#ifdef CLOCK_BOOTTIME
  struct timespec all, awake;

  if(!clock_gettime(CLOCK_MONOTONIC, &awake) &&
     !clock_gettime(CLOCK_BOOTTIME, &all))
    return (double)(all.tv_sec - awake.tv_sec) +
           (double)(all.tv_nsec - awake.tv_nsec) * 1e-9;
#endif
  return 0;
}

void dt_lines_look(struct dt_engine *e)
{
  double now = slept();

  if(now - e->slept > LONG_SLEEP && e->lines_room)
    drop_kept(e);
  e->slept = now;
}
