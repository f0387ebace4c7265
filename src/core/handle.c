/*
 * handle.c - easy handles: the options they always carry, and the pool.
 *
 * Options cost time, so a handle keeps those it has; only what differs is set
 * anew, and only what cannot be taken back one by one needs a reset.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL_SEARCH 8
#define UNHEARD_MS  150000 /* after so long a peer that acknowledges nothing is gone */

/* Without this a line that is lost with something on its way, as by who changes
   networks, is given up after a quarter of an hour. */
static void give_up_in_time(int fd)
{
#ifdef TCP_USER_TIMEOUT
  unsigned ms = UNHEARD_MS;

  (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
#else
  (void)fd;
#endif
}

/* Closes on exec: the programs that the user starts have no business here.
   Without a transfer nobody wants the connection any more. */
static curl_socket_t on_open_socket(void *handle, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
  struct dt_handle *h = handle;
  int fd;

  (void)purpose;
  if(!h->flow)
    return CURL_SOCKET_BAD;
  dt_flow_touch(h->flow);
  fd = socket(address->family, address->socktype, address->protocol);
  if(fd >= 0) {
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    give_up_in_time(fd);
    dt_pollset_opened(h->engine->pollset, fd);
    dt_lines_opened(h->engine, fd);
  }
  return fd;
}

/* A connection may outlive the handle that opened it. */
static int on_close_socket(void *engine, curl_socket_t fd)
{
  dt_pollset_closing(((struct dt_engine *)engine)->pollset, fd);
  dt_lines_set(engine, fd, DT_LINE_NONE);
  return close(fd);
}

/* From 8.21 on libcurl looks only once a second whether a kept connection is still
   there. What may not be sent twice is not given to one that is not. */
static int is_late(const struct dt_transfer *t, int port)
{
  struct dt_engine *e = t->flow.engine;

  return !t->order.repeatable && !t->request_sent &&
         e->libcurl >= 0x081500 && dt_lines_is_closed(e, port);
}

/* Called each time before libcurl sends the request. When a kept connection
   turns out to be dead without a byte of an answer, libcurl would send the
   request again over a new one; the first may have been acted upon, so that is
   only right for requests that are harmless to repeat. */
static int on_request(void *handle, char *address, char *local, int port,
                      int local_port)
{
  struct dt_transfer *t = dt_transfer_of(handle);

  (void)address;
  (void)local;
  (void)port;
  if(!t)
    return CURL_PREREQFUNC_ABORT;
  t->flow.handle->local_port = local_port;
  dt_flow_touch(&t->flow);
  if(t->request_sent && !t->answer_started && !t->order.repeatable) {
    t->code = DT_RESET;
    return CURL_PREREQFUNC_ABORT;
  }
  dt_origin_placed(t);
  t->late = is_late(t, local_port);
  if(t->late)
    return CURL_PREREQFUNC_ABORT;
  t->request_sent = 1;
  return CURL_PREREQFUNC_OK;
}

static void set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS,
                   CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

/* What every handle carries. */
static void set_base(struct dt_handle *h)
{
  CURL *easy = h->easy;

  curl_easy_setopt(easy, CURLOPT_PRIVATE, h);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  set_protocols(easy);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* ".." is a name like others */
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 15L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, h->error);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, dt_sink_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, h);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, dt_sink_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, h);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, h);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, h->engine);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, h);
#if LIBCURL_VERSION_NUM >= 0x075700
  h->quick_exit = !curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
  h->tls = h->skipping = h->custom = h->dirty = h->line = 0;
  h->buffer_size = 0;
  h->connect_ms = -1;
}

static struct dt_handle *handle_new(struct dt_engine *e)
{
  struct dt_handle *h = calloc(1, sizeof(*h));

  if(!h)
    return NULL;
  h->easy = curl_easy_init();
  h->parsed = curl_url();
  if(!h->easy || !h->parsed) {
    curl_easy_cleanup(h->easy);
    curl_url_cleanup(h->parsed);
    free(h);
    return NULL;
  }
  dt_link_init(&h->link);
  h->engine = e;
  set_base(h);
  return h;
}

static void forget_url(struct dt_handle *h)
{
  free(h->url);
  h->url = NULL;
}

/* A URL given as text would be taken apart and put together again by every
   request; most are for the URL of the one before. libcurl wants the text, too:
   when it has to send the request again it reads that. */
CURLcode dt_handle_set_url(struct dt_handle *h, const char *url)
{
  CURLUcode refused;
  CURLcode rc;

  if(h->url && !strcmp(h->url, url))
    return CURLE_OK;
  forget_url(h);
  refused = curl_url_set(h->parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS);
  if(refused)
    return refused == CURLUE_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
                                           : CURLE_URL_MALFORMAT;
  rc = curl_easy_setopt(h->easy, CURLOPT_URL, url);
  if(!rc)
    rc = curl_easy_setopt(h->easy, CURLOPT_CURLU, h->parsed);
  if(!rc)
    h->url = strdup(url);
  return rc;
}

/* Back to a handle that carries the base options only. */
static void handle_reset(struct dt_handle *h)
{
  curl_easy_reset(h->easy);
  forget_url(h);
  dt_profile_free(h->profile);
  h->profile = NULL;
  set_base(h);
}

void dt_handle_free(struct dt_handle *h)
{
  dt_link_remove(&h->link);
  curl_easy_cleanup(h->easy);
  curl_url_cleanup(h->parsed);
  forget_url(h);
  dt_profile_free(h->profile);
  free(h);
}

/* Gives the handle the profile's options. 0, or -1 without memory. */
static int take_profile(struct dt_handle *h, struct dt_profile *profile, int tls)
{
  CURLcode rc = CURLE_OK;

  if(h->profile != profile) {
    if(h->profile)
      handle_reset(h);
    h->profile = dt_profile_ref(profile);
    rc = dt_profile_apply(profile, h->easy);
  }
  if((tls || profile->tls_proxy) && !h->skipping) {
    h->skipping = 1;
    dt_profile_skip_bundle(profile, h->easy);
  }
  return rc ? -1 : 0;
}

/* The pooled handle used last, or one near it that has the profile already. */
static struct dt_handle *pool_take(struct dt_engine *e,
                                   const struct dt_profile *profile)
{
  struct dt_handle *best = DT_OF(e->pool.prev, struct dt_handle, link);
  struct dt_link *l = e->pool.prev;
  int i;

  for(i = 0; i < POOL_SEARCH && l != &e->pool; i++, l = l->prev) {
    struct dt_handle *h = DT_OF(l, struct dt_handle, link);

    if(h->profile == profile) {
      best = h;
      break;
    }
  }
  dt_link_remove(&best->link);
  e->pooled--;
  return best;
}

struct dt_handle *dt_handle_acquire(struct dt_engine *e,
                                    struct dt_profile *profile, int tls)
{
  struct dt_handle *h;

  h = dt_link_alone(&e->pool) ? handle_new(e) : pool_take(e, profile);
  if(h && take_profile(h, profile, tls)) {
    dt_handle_free(h);
    h = NULL;
  }
  return h;
}

int dt_handle_must_linger(const struct dt_handle *h)
{
  curl_off_t looked_up = 0;

  curl_easy_getinfo(h->easy, CURLINFO_NAMELOOKUP_TIME_T, &looked_up);
  return !h->quick_exit && !h->engine->broken && !looked_up;
}

void dt_handle_linger(struct dt_handle *h)
{
  h->flow = NULL;
  h->dirty = 1;
  curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
  dt_link_append(&h->engine->zombies, &h->link);
}

void dt_handle_release(struct dt_handle *h, int in_multi)
{
  struct dt_engine *e = h->engine;

  h->flow = NULL;
  if(in_multi && e->multi)
    curl_multi_remove_handle(e->multi, h->easy);
  if(e->broken || e->pooled >= DT_POOLED) {
    dt_handle_free(h);
    return;
  }
  if(h->dirty)
    handle_reset(h);
  dt_link_remove(&h->link);
  dt_link_append(&e->pool, &h->link);
  e->pooled++;
}
