/*
 * sink.c - where an answer goes: its headers into one block, its body into
 * memory, a descriptor or the answer queue. Called by libcurl, and for transfers
 * that others carry.
 */
#define _GNU_SOURCE
#include "engine.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RESERVE_MAX (4 * 1024 * 1024) /* believed of an announced length */

/* A packed body may unpack to so many bytes, and beyond them to so many times its size. */
#define UNPACKED_FREE (64 * 1024 * 1024)
#define UNPACKED_MOST 100

/* --- growing memory --------------------------------------------------------------- */

/* Makes room for `size` bytes in all. 0 or -1. */
static int reserve(char **memory, size_t *room, size_t size)
{
  char *p;

  if(size <= *room)
    return 0;
  p = realloc(*memory, size);
  if(!p)
    return -1;
  *memory = p;
  *room = size;
  return 0;
}

static int append(char **memory, size_t *used, size_t *room, const char *data,
                  size_t size)
{
  size_t want = *used + size;

  if(want > *room && want < *room * 2)
    want = *room * 2;
  if(want < 256)
    want = 256;
  if(reserve(memory, room, want))
    return -1;
  memcpy(*memory + *used, data, size);
  *used += size;
  return 0;
}

/* --- headers ------------------------------------------------------------------------- */

/* The answer is refused; the text says why. */
static int odd(struct dt_transfer *t, const char *why)
{
  t->odd = why;
  return DT_PROTOCOL;
}

/* Each answer begins anew: what an informational one said is forgotten. */
static int status_line(struct dt_transfer *t, const char *line, size_t size)
{
  const char *space = memchr(line, ' ', size);
  size_t left = space ? size - (size_t)(space - line) : 0;
  int i;

  t->status = 0;
  for(i = 1; i <= 3; i++) {
    if(left <= (size_t)i || space[i] < '0' || space[i] > '9')
      return odd(t, "the answer's status line is not understood");
    t->status = t->status * 10 + (space[i] - '0');
  }
  t->in_headers = 1;
  t->answer_started = 1;
  t->header_size = 0;
  t->chunked = 0;
  t->coding = DT_PLAIN;
  t->announced = -1;
  return DT_OK;
}

/* The announced length, -1 unless it is a plain number. */
static int64_t parse_length(const char *s, const char *end)
{
  int64_t n = 0;
  int digits = 0;

  while(s < end && (*s == ' ' || *s == '\t'))
    s++;
  for(; s < end && *s >= '0' && *s <= '9'; s++, digits++) {
    if(n > (INT64_MAX - 9) / 10)
      return -1;
    n = n * 10 + (*s - '0');
  }
  while(s < end && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n'))
    s++;
  return digits && s == end ? n : -1;
}

/* How the body is packed. Twice is not known here. */
static void note_coding(struct dt_transfer *t, const char *s, const char *end)
{
  static const char *const gzip[] = { "gzip", "x-gzip" };
  size_t size, i;

  while(s < end && (*s == ' ' || *s == '\t'))
    s++;
  while(end > s && (unsigned char)end[-1] <= ' ')
    end--;
  size = (size_t)(end - s);
  if(!size || (size == 8 && !strncasecmp(s, "identity", 8)) || t->order.as_it_comes)
    return;
  for(i = 0; i < 2 && t->coding == DT_PLAIN; i++) {
    if(size == strlen(gzip[i]) && !strncasecmp(s, gzip[i], size)) {
      t->coding = DT_GZIP;
      return;
    }
  }
  t->coding = DT_OTHER_CODING;
}

/* Two lengths would leave it to each reader where the answer ends. */
static int note_body(struct dt_transfer *t, const char *line, size_t size)
{
  static const char name[] = "Content-Length", coding[] = "Content-Encoding";
  int64_t before = t->announced;
  char first = (char)(*line | 32);

  if(first != 'c' && first != 't')
    return DT_OK; /* most */
  if(dt_text_header_is(line, size, name)) {
    t->announced = parse_length(line + sizeof(name), line + size);
    if(before >= 0 && t->announced != before)
      return odd(t, "the answer announces two different lengths");
  } else if(dt_text_header_is(line, size, "Transfer-Encoding"))
    t->chunked = 1;
  else if(dt_text_header_is(line, size, coding))
    note_coding(t, line + sizeof(coding), line + size);
  return DT_OK;
}

static int is_fine(const struct dt_transfer *t)
{
  return t->status >= 200 && t->status < 300;
}

/* Of a failure the status is enough. */
static int check_coding(struct dt_transfer *t)
{
  if(!is_fine(t) || (t->coding == DT_GZIP && t->order.packed))
    return DT_OK;
  return odd(t, t->coding == DT_GZIP
                  ? "the answer is packed (gzip), which was not asked for"
                  : "the answer is packed in a way that was not asked for");
}

/* All headers of the final answer are there: where will the body go? */
static int answer_begins(struct dt_transfer *t)
{
  const struct dt_order *o = &t->order;
  size_t expected;

  t->answered = 1;
  t->to_sink = o->sink == DT_SINK_MEMORY || is_fine(t);
  if(t->chunked)
    t->announced = -1;
  if(o->sink == DT_SINK_QUEUE)
    dt_flow_post(&t->flow, DT_EVENT_HEADERS);
  if(o->head || t->announced <= 0)
    return DT_OK;
  if(t->coding)
    return check_coding(t);
  if(t->to_sink && o->max_bytes && (uint64_t)t->announced > o->max_bytes)
    return DT_TOO_LARGE;
  if(o->sink != DT_SINK_MEMORY)
    return DT_OK;
  expected = t->announced < RESERVE_MAX ? (size_t)t->announced : RESERVE_MAX;
  return reserve(&t->memory, &t->memory_room, expected) ? DT_NOMEM : DT_OK;
}

/* They come after the body, and are not kept here; but libcurl keeps them. */
static int trailer_line(struct dt_transfer *t, size_t size)
{
  t->trailer_size += size;
  return t->trailer_size > DT_HEADERS_MAX
           ? odd(t, "the answer's trailers are too long")
           : DT_OK;
}

int dt_sink_take_line(struct dt_transfer *t, const char *line, size_t size)
{
  int code;

  dt_flow_touch(&t->flow);
  if(t->answered)
    return trailer_line(t, size);
  if(!t->in_headers)
    return status_line(t, line, size);
  if(*line == '\r' || *line == '\n') {
    t->in_headers = 0;
    return t->status >= 200 ? answer_begins(t) : DT_OK;
  }
  if(t->header_size + size > DT_HEADERS_MAX)
    return odd(t, DT_HEADERS_TOO_LONG);
  code = note_body(t, line, size);
  if(code)
    return code;
  if(append(&t->header_block, &t->header_size, &t->header_room, line, size))
    return DT_NOMEM;
  return DT_OK;
}

size_t dt_sink_header(char *data, size_t size, size_t n, void *handle)
{
  struct dt_transfer *t = dt_transfer_of(handle);
  int code;

  if(!t || !size || !n)
    return 0;
  code = dt_sink_take_line(t, data, size * n);
  if(code) {
    t->code = code;
    return 0;
  }
  return size * n;
}

/* --- body --------------------------------------------------------------------------- */

static int to_memory(struct dt_transfer *t, const char *data, size_t size)
{
  return append(&t->memory, &t->memory_size, &t->memory_room, data, size)
           ? DT_NOMEM
           : DT_OK;
}

/* An answer that is no success is kept for its message; the rest of a long one
   is dropped. */
static int to_error_body(struct dt_transfer *t, const char *data, size_t size)
{
  size_t cap = DT_ERROR_BODY;

  if(t->order.max_bytes && t->order.max_bytes < cap)
    cap = (size_t)t->order.max_bytes;
  if(size > cap - t->memory_size)
    size = cap - t->memory_size;
  return size ? to_memory(t, data, size) : DT_OK;
}

static int to_fd(struct dt_transfer *t, const char *data, size_t size)
{
  if(t->code) /* of what was gathered before */
    return t->code;
  return t->gathers ? dt_gather_add(t, data, size)
                    : dt_gather_write(t, data, size);
}

static int to_queue(struct dt_transfer *t, const char *data, size_t size)
{
  if(dt_chunk_queue_append(&t->in, data, size))
    return DT_NOMEM;
  dt_flow_post(&t->flow, DT_EVENT_READABLE);
  return DT_OK;
}

static int to_sink(struct dt_transfer *t, const char *data, size_t size)
{
  const struct dt_order *o = &t->order;

  if(!t->answered)
    return odd(t, "the answer has a body before its headers");
  if(!t->to_sink)
    return to_error_body(t, data, size);
  if(o->max_bytes && size > o->max_bytes - t->received)
    return DT_TOO_LARGE;
  if(o->sink == DT_SINK_MEMORY)
    return to_memory(t, data, size);
  return o->sink == DT_SINK_FD ? to_fd(t, data, size) : to_queue(t, data, size);
}

/* libcurl would read on for as long as the peer is fast. The rest of the budget
   is the host's: the next step goes on. One block a step gets through, however
   small the budget is. */
static int must_pause(struct dt_transfer *t)
{
  struct dt_engine *e = t->flow.engine;

  if(t->in.size >= DT_QUEUE_HIGH)
    t->recv_paused = 1;
  else if(e->delivered && dt_engine_is_spent(e))
    dt_flow_work(&t->flow);
  else
    return 0;
  return 1;
}

static int take_plain(void *transfer, const char *data, size_t size)
{
  struct dt_transfer *t = transfer;
  int code = to_sink(t, data, size);

  if(!code)
    t->received += size;
  return code;
}

static int take_unpacked(void *transfer, const char *data, size_t size)
{
  struct dt_transfer *t = transfer;

  if(t->received + size > UNPACKED_FREE &&
     (t->received + size) / UNPACKED_MOST > t->packed_size) {
    t->odd = "the answer's body is many times larger than it was sent";
    return DT_TOO_LARGE;
  }
  return take_plain(t, data, size);
}

static int take_packed(struct dt_transfer *t, const char *data, size_t size)
{
  int code;

  if(!t->unpacker)
    t->unpacker = dt_inflate_new();
  if(!t->unpacker)
    return DT_NOMEM;
  t->packed_size += size;
  code = dt_inflate_feed(t->unpacker, data, size, take_unpacked, t);
  if(code == DT_INFLATE_MALFORMED)
    return odd(t, "the answer's body is not packed as it says (gzip)");
  return code == DT_INFLATE_NOMEM ? DT_NOMEM : code;
}

int dt_sink_take_body(struct dt_transfer *t, const char *data, size_t size)
{
  dt_flow_touch(&t->flow);
  if(!t->coding)
    return take_plain(t, data, size);
  if(t->coding == DT_GZIP && t->order.packed)
    return size ? take_packed(t, data, size) : DT_OK;
  return is_fine(t) ? check_coding(t) : DT_OK; /* the text of a failure is not readable */
}

void dt_sink_excess(const struct dt_transfer *t, char *text, size_t size)
{
  if(t->odd)
    snprintf(text, size, "%s", t->odd);
  else
    snprintf(text, size, "the answer's body exceeds %llu bytes",
             (unsigned long long)t->order.max_bytes);
}

void dt_sink_close(struct dt_transfer *t)
{
  dt_inflate_free(t->unpacker);
  t->unpacker = NULL;
}

size_t dt_sink_body(char *data, size_t size, size_t n, void *handle)
{
  struct dt_transfer *t = dt_transfer_of(handle);
  int code;

  if(!t)
    return 0;
  if(must_pause(t))
    return CURL_WRITEFUNC_PAUSE;
  t->flow.engine->delivered = 1;
  code = dt_sink_take_body(t, data, size * n);
  if(code) {
    t->code = code;
    return 0;
  }
  if(t->order.progress)
    dt_flow_post(&t->flow, DT_EVENT_PROGRESS);
  return size * n;
}
