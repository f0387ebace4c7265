/*
 * many.c - a daemon of many quiet things, for measuring clients: it answers what a client
 * asks on the way to terminals, follows and commands, holds WebSockets open, and says on
 * all of them what it is told to.
 *
 *   many [PEM]      prints its port on 127.0.0.1; ends with its standard input
 *
 * With a file of a key and its certificate it speaks TLS.
 *
 * A line "say N" there makes each WebSocket send N messages of 100 bytes. It is no server:
 * heads are believed to be small, and answers to fit into a socket's buffer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536
#define ROOM 8192
#define SIZE 102    /* of a message */
#define TOGETHER 20 /* so many are sent with one call */

struct connection {
  SSL *ssl;    /* NULL: none */
  int socket;  /* a WebSocket by now */
  size_t size; /* of what came and is not understood yet */
  long skip;   /* of a body */
  long left;   /* messages to be sent */
  size_t at;   /* bytes of the first of them that were */
  char data[ROOM];
};

static struct connection *connections[MOST];
static int epoll;
static SSL_CTX *tls; /* NULL: none */
static char message[TOGETHER * SIZE]; /* over and over */

static void watch(int fd, int op, unsigned events)
{
  struct epoll_event e;

  memset(&e, 0, sizeof(e));
  e.events = events;
  e.data.fd = fd;
  epoll_ctl(epoll, op, fd, &e);
}

static void drop(int fd)
{
  SSL_free(connections[fd]->ssl);
  free(connections[fd]);
  connections[fd] = NULL;
  close(fd);
}

/* As write and read, on what lies between. */
static ssize_t give(int fd, const char *text, size_t size)
{
  SSL *ssl = connections[fd]->ssl;

  return ssl ? SSL_write(ssl, text, (int)size) : write(fd, text, size);
}

static ssize_t take(int fd, char *text, size_t size)
{
  SSL *ssl = connections[fd]->ssl;
  int n;

  if(!ssl)
    return read(fd, text, size);
  n = SSL_read(ssl, text, (int)size);
  if(n > 0)
    return n;
  errno = SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ ? EAGAIN : EIO;
  return -1;
}

static void say(int fd, const char *text, size_t size)
{
  if(give(fd, text, size) != (ssize_t)size)
    fprintf(stderr, "many: an answer did not fit\n");
}

static void answer(int fd, const char *status, const char *json)
{
  char text[512];
  int n = snprintf(text, sizeof(text),
                   "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   status, strlen(json), json);

  say(fd, text, (size_t)n);
}

static void upgrade(int fd, const char *head)
{
  static const char control[] = "{\"type\":\"control\",\"status\":\"connected\"}";
  const char *key = strcasestr(head, "\r\nSec-WebSocket-Key: ");
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[512], accept[64];
  unsigned n;
  int size;

  if(!key)
    return;
  size = snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 21);
  EVP_Digest(text, (size_t)size, digest, &n, EVP_sha1(), NULL);
  EVP_EncodeBlock((unsigned char *)accept, digest, (int)n);
  size = snprintf(text, sizeof(text),
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", accept,
                  strcasestr(head, "X-Daytona-Exit-Control") ? "Sec-WebSocket-Protocol: X-Daytona-Exit-Control\r\n"
                                                             : "");
  if(strstr(head, "/process/pty/"))
    size += snprintf(text + size, sizeof(text) - (size_t)size, "\x81%c%s", (int)sizeof(control) - 1, control);
  else {
    memcpy(text + size, message, SIZE); /* it is open */
    size += SIZE;
  }
  say(fd, text, (size_t)size);
  connections[fd]->socket = 1;
}

static void respond(int fd, const char *head)
{
  if(strcasestr(head, "\r\nUpgrade: websocket"))
    upgrade(fd, head);
  else if(strstr(head, "/process/execute"))
    answer(fd, "200 OK", "{\"exitCode\":0,\"result\":\"\"}");
  else if(strstr(head, "/exec "))
    answer(fd, "202 Accepted", "{\"cmdId\":\"c\"}");
  else if(strstr(head, "/command/c "))
    answer(fd, "200 OK", "{\"id\":\"c\",\"command\":\"x\"}");
  else
    answer(fd, "200 OK", "{}");
}

/* Takes a head, or a whole frame, away: its size; 0 when there is none yet. */
static size_t take_head(int fd, struct connection *c)
{
  char *end = memmem(c->data, c->size, "\r\n\r\n", 4), *length;

  if(!end)
    return 0;
  *end = 0;
  length = strcasestr(c->data, "\r\nContent-Length: ");
  c->skip = length ? atol(length + 18) : 0;
  respond(fd, c->data);
  return (size_t)(end + 4 - c->data);
}

static size_t take_frame(int fd, struct connection *c)
{
  size_t size = c->size > 1 ? (size_t)(c->data[1] & 127) : 0, i;

  if(c->size < 2 || c->size < 6 + size)
    return 0;
  for(i = 0; i < size; i++)
    c->data[6 + i] ^= c->data[2 + i % 4];
  if((c->data[0] & 15) == 9) {
    c->data[4] = (char)0x8a;
    c->data[5] = (char)size;
    say(fd, c->data + 4, 2 + size);
  }
  return 6 + size;
}

static void understand(int fd, struct connection *c)
{
  size_t used;

  do {
    if(c->skip > 0) {
      used = (size_t)c->skip < c->size ? (size_t)c->skip : c->size;
      c->skip -= (long)used;
    } else
      used = c->socket ? take_frame(fd, c) : take_head(fd, c);
    memmove(c->data, c->data + used, c->size - used);
    c->size -= used;
  } while(used && c->size);
}

static void hear(int fd)
{
  struct connection *c = connections[fd];

  do {
    ssize_t n = take(fd, c->data + c->size, ROOM - 1 - c->size);

    if(n <= 0) {
      if(n == 0 || errno != EAGAIN)
        drop(fd);
      return;
    }
    c->size += (size_t)n;
    understand(fd, c);
  } while(c->ssl && SSL_pending(c->ssl));
}

static void speak(int fd)
{
  struct connection *c = connections[fd];

  while(c->left) {
    size_t most = (size_t)(c->left < TOGETHER ? c->left : TOGETHER) * SIZE;
    ssize_t n = give(fd, message + c->at, most - c->at);

    if(n <= 0)
      break;
    c->at += (size_t)n;
    c->left -= (long)(c->at / SIZE);
    c->at %= SIZE;
  }
  watch(fd, EPOLL_CTL_MOD, EPOLLIN | (c->left ? EPOLLOUT : 0));
}

static void command(void)
{
  char line[64];
  ssize_t n = read(0, line, sizeof(line) - 1);
  int fd;

  if(n <= 0)
    exit(0);
  line[n] = 0;
  for(fd = 0; fd < MOST && !strncmp(line, "say ", 4); fd++) {
    if(connections[fd] && connections[fd]->socket) {
      connections[fd]->left += atol(line + 4);
      watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
  }
}

static void welcome(int listener)
{
  int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

  if(fd < 0)
    return;
  if(fd >= MOST) {
    close(fd);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  connections[fd] = calloc(1, sizeof(struct connection));
  if(tls) {
    connections[fd]->ssl = SSL_new(tls);
    SSL_set_fd(connections[fd]->ssl, fd);
    SSL_set_accept_state(connections[fd]->ssl);
  }
  watch(fd, EPOLL_CTL_ADD, EPOLLIN);
}

static int speak_tls(const char *pem)
{
  tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
  return SSL_CTX_use_certificate_file(tls, pem, SSL_FILETYPE_PEM) == 1 &&
         SSL_CTX_use_PrivateKey_file(tls, pem, SSL_FILETYPE_PEM) == 1;
}

int main(int argc, char **argv)
{
  struct sockaddr_in a;
  socklen_t size = sizeof(a);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), i, n;
  struct epoll_event events[256];

  signal(SIGPIPE, SIG_IGN);
  if(argc > 1 && !speak_tls(argv[1]))
    return 2;
  memset(&a, 0, sizeof(a));
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  memset(message, 'x', sizeof(message));
  for(i = 0; i < TOGETHER; i++)
    memcpy(message + i * SIZE, "\x82\x64\x01\x01\x01", 5);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if(listener < 0 || bind(listener, (struct sockaddr *)&a, size) || listen(listener, 16384) ||
     getsockname(listener, (struct sockaddr *)&a, &size))
    return 2;
  watch(listener, EPOLL_CTL_ADD, EPOLLIN);
  watch(0, EPOLL_CTL_ADD, EPOLLIN);
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  for(;;) {
    n = epoll_wait(epoll, events, 256, -1);
    for(i = 0; i < n; i++) {
      int fd = events[i].data.fd;

      if(fd == listener)
        welcome(fd);
      else if(!fd)
        command();
      else if(connections[fd] && (events[i].events & ~(unsigned)EPOLLOUT))
        hear(fd);
      else if(connections[fd])
        speak(fd);
    }
  }
}
