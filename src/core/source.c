/*
 * source.c - where a request's body comes from: memory, a descriptor or the
 * body queue. Called by libcurl.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static size_t fail(struct dt_source *s, int os_error)
{
  s->transfer->code = DT_SOURCE;
  s->transfer->os_error = os_error;
  return CURL_READFUNC_ABORT;
}

static size_t read_memory(struct dt_source *s, char *buffer, size_t size)
{
  memcpy(buffer, s->data + s->done, size);
  return size;
}

static size_t read_fd(struct dt_source *s, char *buffer, size_t size)
{
  ssize_t n;

  do
    n = read(s->fd, buffer, size);
  while(n < 0 && errno == EINTR);
  if(n < 0)
    return fail(s, errno);
  if(!n && s->length >= 0)
    return fail(s, 0); /* shorter than announced */
  return (size_t)n;
}

/* An empty queue pauses the transfer until something is written. */
static size_t read_queue(struct dt_source *s, char *buffer, size_t size)
{
  struct dt_transfer *t = s->transfer;
  size_t n = dt_chunk_queue_read(&t->out, buffer, size);

  if(!n && t->finished)
    return s->length >= 0 ? fail(s, 0) : 0;
  if(!n) {
    t->send_paused = 1;
    return CURL_READFUNC_PAUSE;
  }
  if(t->refused && t->out.size <= DT_QUEUE_LOW) {
    t->refused = 0;
    dt_flow_post(&t->flow, DT_EVENT_WRITABLE);
  }
  return n;
}

size_t dt_source_read(char *buffer, size_t size, size_t n, void *source)
{
  struct dt_source *s = source;
  size_t room = size * n;
  size_t got;

  if(s->length >= 0 && (uint64_t)(s->length - s->done) < room)
    room = (size_t)(s->length - s->done);
  if(!room)
    return 0;
  dt_flow_touch(&s->transfer->flow);
  if(s->kind == DT_BODY_MEMORY)
    got = read_memory(s, buffer, room);
  else if(s->kind == DT_BODY_FD)
    got = read_fd(s, buffer, room);
  else
    got = read_queue(s, buffer, room);
  if(got != CURL_READFUNC_ABORT && got != CURL_READFUNC_PAUSE) {
    s->done += (int64_t)got;
    if(s->transfer->order.progress)
      dt_flow_post(&s->transfer->flow, DT_EVENT_PROGRESS);
  }
  return got;
}

/* libcurl goes back to the start when it has to send the request again. */
int dt_source_seek(void *source, curl_off_t offset, int whence)
{
  struct dt_source *s = source;

  if(whence != SEEK_SET)
    return CURL_SEEKFUNC_FAIL;
  if(offset == s->done)
    return CURL_SEEKFUNC_OK;
  if(s->kind == DT_BODY_QUEUE)
    return CURL_SEEKFUNC_FAIL; /* what was handed out is gone */
  if(s->kind == DT_BODY_FD &&
     (s->start < 0 || lseek(s->fd, s->start + (off_t)offset, SEEK_SET) < 0))
    return CURL_SEEKFUNC_FAIL;
  s->done = offset;
  return CURL_SEEKFUNC_OK;
}
