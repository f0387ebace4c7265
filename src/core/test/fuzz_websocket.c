/*
 * fuzz_websocket.c - libFuzzer target: whatever a peer answers to the opening,
 * and whatever frames it sends, is read without harm; cut in two ways it tells
 * the same. See `make fuzz`.
 *
 * The first byte of the input says how the rest is cut, the second whether
 * the rest is an answer or frames, and whether messages are streamed.
 */
#include "../core.h"
#include "../ws_handshake.h"
#include "../ws_session.h"

#include <stdlib.h>
#include <string.h>

#define CAP 1000 /* of a message */

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* A checksum of what was told, and the code in the end. */
struct story {
  uint64_t sum;
  int code;
};

static void tell(struct story *s, const char *data, size_t size)
{
  size_t i;

  for(i = 0; i < size; i++)
    s->sum = (s->sum ^ (unsigned char)data[i]) * 1099511628211u;
}

/* --- the answer to the opening -------------------------------------------- */

static void read_answer(const uint8_t *text, size_t size, size_t chunk,
                        struct story *s)
{
  struct dt_ws_handshake h;
  size_t at, used, length;

  memset(s, 0, sizeof(*s));
  dt_ws_handshake_init(&h, "dGhlIHNhbXBsZSBub25jZQ==", "a, b");
  for(at = 0; at < size && !s->code; at += used) {
    size_t n = size - at < chunk ? size - at : chunk;
    char *copy = malloc(n);

    memcpy(copy, text + at, n);
    s->code = dt_ws_handshake_feed(&h, copy, n, &used);
    free(copy);
    if(used > n || (!s->code && used < n))
      abort();
  }
  if(!s->code)
    s->code = dt_ws_handshake_end(&h);
  (void)dt_ws_handshake_header(&h, "content-type", &length);
  tell(s, h.body, h.body_size);
  dt_ws_handshake_free(&h);
}

/* --- frames --------------------------------------------------------------- */

/* What the client would answer is taken, but differs by its masks. */
static void take(struct dt_ws_session *ws, struct story *s)
{
  struct dt_ws_message *m;
  const char *data;
  size_t n;

  while((m = dt_ws_session_take(ws)) != NULL) {
    tell(s, m->data, m->size);
    tell(s, m->text ? "t" : "b", (size_t)m->final);
    free(m);
  }
  for(n = dt_ws_session_output(ws, &data); n;
      n = dt_ws_session_output(ws, &data)) {
    if(n == (size_t)-1)
      abort();
    dt_ws_session_sent(ws, n);
  }
}

static void read_frames(const uint8_t *text, size_t size, size_t chunk,
                        int stream, struct story *s)
{
  struct dt_ws_session *ws;
  const char *reason;
  size_t at, length;
  unsigned code;

  memset(s, 0, sizeof(*s));
  if(dt_ws_session_new(&ws, CAP, stream))
    abort();
  for(at = 0; at < size; at += chunk) {
    size_t n = size - at < chunk ? size - at : chunk;
    char *copy = malloc(n);

    memcpy(copy, text + at, n);
    s->code = dt_ws_session_feed(ws, copy, n);
    free(copy);
    take(ws, s);
  }
  dt_ws_session_closed_by_peer(ws, &code, &reason, &length);
  s->code = s->code * 10000 + (int)code;
  dt_ws_session_free(ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
  struct story whole, cut;
  size_t chunk;

  if(size < 2)
    return 0;
  chunk = input[0] % 16 + 1;
  if(input[1] & 1) {
    read_answer(input + 2, size - 2, size, &whole);
    read_answer(input + 2, size - 2, chunk, &cut);
  } else {
    read_frames(input + 2, size - 2, size, input[1] & 2, &whole);
    read_frames(input + 2, size - 2, chunk, input[1] & 2, &cut);
    if(input[1] & 2) /* streamed: the pieces depend on the cuts */
      cut.sum = whole.sum;
  }
  if(whole.sum != cut.sum || whole.code != cut.code)
    abort();
  return 0;
}
