/*
 * multipart_reader.c - the multipart parser of multipart_reader.h. It knows
 * nothing of files, paths or HTTP.
 *
 * The delimiter is CR LF "--" boundary. As CR stands only at its beginning, a
 * match that fails can be given back whole: no byte behind the first can begin
 * another one (except the byte that did not fit, which is looked at again).
 */
#include "multipart_reader.h"
#include "core.h"

#include <stdlib.h>
#include <string.h>

#define BOUNDARY_MAX 200 /* RFC 2046 has 70 */
#define TAIL_MAX 16      /* bytes looked at behind a delimiter */

enum state {
  PREAMBLE, /* before the first delimiter */
  HEADERS,
  COUNTED,  /* in a body, within its announced length */
  BODY,     /* in a body, looking for the delimiter */
  ENDED,
  FAILED
};

struct dt_multipart {
  enum state state;
  int code;
  const char *message;
  const char *at;          /* the unread rest of the chunk */
  const char *end;
  char *delimiter;         /* and, behind it, the tail seen so far */
  size_t delimiter_size;
  size_t matched;          /* bytes of both, seen and not yet decided */
  char *head;              /* headers of the part */
  size_t head_size;
  size_t head_room;
  char *latin1;            /* a filename that had to be made UTF-8 */
  int64_t remaining;       /* of the announced length */
  int exceeded;            /* the body went on behind it */
  int told_end;            /* END was handed out */
};

/* --- texts ---------------------------------------------------------------- */

static int lower(int c)
{
  return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Whether `s` is `word` (in lower case), whatever its case. */
static int is_word(const char *s, size_t size, const char *word)
{
  size_t i;

  for(i = 0; i < size; i++) {
    if(!word[i] || lower((unsigned char)s[i]) != word[i])
      return 0;
  }
  return !word[i];
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t';
}

static int hex_value(char c)
{
  if(c >= '0' && c <= '9')
    return c - '0';
  c = (char)lower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes the next "; key=value" of a header; the value is unquoted in place.
   0 when there is none. */
struct param {
  char *key, *value;
  size_t key_size, value_size;
};

static int next_param(char **at, char *end, struct param *out)
{
  char *p = memchr(*at, ';', (size_t)(end - *at)), *to;

  if(!p)
    return 0;
  for(p++; p < end && is_blank(*p); p++)
    ;
  out->key = p;
  while(p < end && *p != '=' && *p != ';')
    p++;
  out->key_size = (size_t)(p - out->key);
  out->value = to = p;
  if(p < end && *p == '=' && p + 1 < end && p[1] == '"') {
    out->value = to = p + 2;
    for(p += 2; p < end && *p != '"'; p++) {
      if(*p == '\\' && p + 1 < end)
        p++;
      *to++ = *p;
    }
  } else if(p < end && *p == '=') {
    out->value = ++p;
    while(p < end && *p != ';')
      p++;
    for(to = p; to > out->value && is_blank(to[-1]); to--)
      ;
  }
  out->value_size = (size_t)(to - out->value);
  *at = p;
  return 1;
}

/* Decodes %XX in place; returns the new size. */
static size_t percent_decode(char *s, size_t size)
{
  size_t from, to = 0;

  for(from = 0; from < size; from++) {
    int high = -1, low = -1;

    if(s[from] == '%' && size - from > 2) {
      high = hex_value(s[from + 1]);
      low = hex_value(s[from + 2]);
    }
    if(high >= 0 && low >= 0) {
      s[to++] = (char)(high * 16 + low);
      from += 2;
    } else {
      s[to++] = s[from];
    }
  }
  return to;
}

/* --- making and failing --------------------------------------------------- */

static int fail(struct dt_multipart *m, int code, const char *message)
{
  m->state = FAILED;
  m->code = code;
  m->message = message;
  m->at = m->end;
  return code;
}

static int is_boundary(const char *s, size_t size)
{
  size_t i;

  if(!size || size > BOUNDARY_MAX)
    return 0;
  for(i = 0; i < size; i++) {
    if((unsigned char)s[i] < 32 || s[i] == 127)
      return 0;
  }
  return 1;
}

/* Looks for the boundary in a Content-Type, which it unquotes. */
static int find_boundary(char *type, size_t size, struct param *p)
{
  static const char multipart[] = "multipart/";
  size_t n = sizeof(multipart) - 1;
  char *at = type;

  if(size < n || !is_word(type, n, multipart))
    return 0;
  while(next_param(&at, type + size, p)) {
    if(is_word(p->key, p->key_size, "boundary"))
      return is_boundary(p->value, p->value_size);
  }
  return 0;
}

static int set_delimiter(struct dt_multipart *m, const char *boundary,
                         size_t size)
{
  m->delimiter_size = size + 4;
  m->delimiter = malloc(m->delimiter_size + TAIL_MAX);
  if(!m->delimiter)
    return DT_NOMEM;
  memcpy(m->delimiter, "\r\n--", 4);
  memcpy(m->delimiter + 4, boundary, size);
  return DT_OK;
}

int dt_multipart_new(struct dt_multipart **out, const char *content_type,
                     size_t size)
{
  struct dt_multipart *m = calloc(1, sizeof(*m));
  char *type = malloc(size + 1);
  struct param boundary;
  int code = DT_NOMEM;

  *out = NULL;
  if(!m || !type)
    goto done;
  memcpy(type, content_type, size);
  m->message = "";
  m->matched = 2; /* the body begins as if behind a line's end */
  code = DT_PROTOCOL;
  if(find_boundary(type, size, &boundary))
    code = set_delimiter(m, boundary.value, boundary.value_size);
  if(!code) {
    *out = m;
    m = NULL;
  }
done:
  free(type);
  dt_multipart_free(m);
  return code;
}

void dt_multipart_free(struct dt_multipart *m)
{
  if(!m)
    return;
  free(m->delimiter);
  free(m->head);
  free(m->latin1);
  free(m);
}

void dt_multipart_feed(struct dt_multipart *m, const char *data, size_t size)
{
  m->at = data;
  m->end = size ? data + size : data;
}

int dt_multipart_finish(const struct dt_multipart *m)
{
  if(m->code)
    return m->code;
  return m->state == ENDED ? DT_OK : DT_TRUNCATED;
}

const char *dt_multipart_message(const struct dt_multipart *m)
{
  return m->message;
}

/* --- part headers --------------------------------------------------------- */

/* Appends to the headers. DT_OK, DT_NOMEM or DT_TOO_LARGE. */
static int keep_header(struct dt_multipart *m, const char *data, size_t size)
{
  if(size > DT_MULTIPART_HEADER_MAX - m->head_size)
    return fail(m, DT_TOO_LARGE, "the headers of a part are too long");
  if(m->head_size + size > m->head_room) {
    size_t room = m->head_room ? m->head_room : 256;
    char *head;

    while(room < m->head_size + size)
      room *= 2;
    head = realloc(m->head, room);
    if(!head)
      return fail(m, DT_NOMEM, "out of memory");
    m->head = head;
    m->head_room = room;
  }
  memcpy(m->head + m->head_size, data, size);
  m->head_size += size;
  return DT_OK;
}

static int head_complete(const struct dt_multipart *m)
{
  size_t n = m->head_size;

  if(n == 2)
    return !memcmp(m->head, "\r\n", 2);
  return n >= 4 && !memcmp(m->head + n - 4, "\r\n\r\n", 4);
}

/* Takes header lines from the chunk: 1 when they are all there, 0 when the
   chunk is used up, or a negative code. */
static int read_head(struct dt_multipart *m)
{
  while(m->at < m->end) {
    const char *eol = memchr(m->at, '\n', (size_t)(m->end - m->at));
    const char *stop = eol ? eol + 1 : m->end;
    int code = keep_header(m, m->at, (size_t)(stop - m->at));

    if(code)
      return code;
    m->at = stop;
    if(head_complete(m))
      return 1;
  }
  return 0;
}

/* The plain filename is Latin-1. DT_OK or DT_NOMEM. */
static int use_latin1(struct dt_multipart *m, struct dt_multipart_event *e,
                      const char *s, size_t size)
{
  size_t i, n = 0;

  free(m->latin1);
  m->latin1 = malloc(2 * size + 1);
  if(!m->latin1)
    return DT_NOMEM;
  for(i = 0; i < size; i++) {
    unsigned char c = (unsigned char)s[i];

    if(c >= 0x80) {
      m->latin1[n++] = (char)(0xC0 | c >> 6);
      c = 0x80 | (c & 0x3F);
    }
    m->latin1[n++] = (char)c;
  }
  e->filename = m->latin1;
  e->filename_size = n;
  return DT_OK;
}

/* filename*: utf-8'language'percent-encoded. Other charsets are ignored. */
static int use_extended(struct dt_multipart_event *e, struct param *p)
{
  char *end = p->value + p->value_size, *text;
  char *quote = memchr(p->value, '\'', p->value_size);

  if(!quote || !is_word(p->value, (size_t)(quote - p->value), "utf-8"))
    return 0;
  text = memchr(quote + 1, '\'', (size_t)(end - quote - 1));
  if(!text)
    return 0;
  text++;
  e->filename = text;
  e->filename_size = percent_decode(text, (size_t)(end - text));
  return 1;
}

static int read_disposition(struct dt_multipart *m,
                            struct dt_multipart_event *e, char *value,
                            char *end)
{
  struct param p, plain = { NULL, NULL, 0, 0 };
  int extended = 0;

  while(next_param(&value, end, &p)) {
    if(is_word(p.key, p.key_size, "name")) {
      e->name = p.value;
      e->name_size = p.value_size;
    } else if(is_word(p.key, p.key_size, "filename")) {
      plain = p;
    } else if(is_word(p.key, p.key_size, "filename*")) {
      extended = use_extended(e, &p);
    }
  }
  if(extended || !plain.value)
    return DT_OK;
  return use_latin1(m, e, plain.value, plain.value_size);
}

/* The announced length, or -1 when it is not a number we can count to. */
static int64_t read_length(const char *s, const char *end)
{
  int64_t n = 0;

  if(s == end || end - s > 18)
    return -1;
  for(; s < end; s++) {
    if(*s < '0' || *s > '9')
      return -1;
    n = n * 10 + (*s - '0');
  }
  return n;
}

static int read_line(struct dt_multipart *m, struct dt_multipart_event *e,
                     char *line, char *end)
{
  char *colon = memchr(line, ':', (size_t)(end - line)), *value;
  size_t name_size;

  if(!colon || is_blank(*line))
    return DT_PROTOCOL;
  name_size = (size_t)(colon - line);
  for(value = colon + 1; value < end && is_blank(*value); value++)
    ;
  while(end > value && is_blank(end[-1]))
    end--;
  if(is_word(line, name_size, "content-disposition"))
    return read_disposition(m, e, value, end);
  if(is_word(line, name_size, "content-length")) {
    e->length = read_length(value, end);
  } else if(is_word(line, name_size, "content-type")) {
    e->type = value;
    e->type_size = (size_t)(end - value);
  }
  return DT_OK;
}

/* Turns the collected headers into a PART event. */
static int begin_part(struct dt_multipart *m, struct dt_multipart_event *e)
{
  char *line = m->head, *end = m->head + m->head_size - 2;

  while(line < end) {
    char *eol = memchr(line, '\n', (size_t)(end - line));
    int code = DT_PROTOCOL;

    if(eol && eol > line && eol[-1] == '\r')
      code = read_line(m, e, line, eol - 1);
    if(code == DT_NOMEM)
      return fail(m, code, "out of memory");
    if(code)
      return fail(m, code, "a part has a malformed header");
    line = eol + 1;
  }
  m->head_size = 0;
  m->exceeded = 0;
  m->remaining = e->length;
  m->state = e->length > 0 ? COUNTED : BODY;
  return DT_MULTIPART_PART;
}

/* --- bodies --------------------------------------------------------------- */

enum match { UNDECIDED, NO_MATCH, NEXT_PART, LAST_PART };

/* Decides on the next byte behind a delimiter: "--" closes, and CR LF, after
   blanks perhaps, begins a part. */
static enum match match_tail(struct dt_multipart *m)
{
  char *tail = m->delimiter + m->delimiter_size;
  size_t n = m->matched - m->delimiter_size;
  char c = *m->at, before = n ? tail[n - 1] : ' ';
  enum match result = UNDECIDED;

  if(c == '-' && n == 1 && before == '-')
    result = LAST_PART;
  else if(c == '\n' && before == '\r')
    result = NEXT_PART;
  else if(n == TAIL_MAX || !is_blank(before) ||
          !(is_blank(c) || c == '\r' || (c == '-' && n == 0)))
    return NO_MATCH;
  else
    tail[n] = c;
  m->matched++;
  m->at++;
  return result;
}

/* Goes on comparing with the delimiter and its tail. A byte that does not fit
   is left in the chunk. */
static enum match match_on(struct dt_multipart *m)
{
  while(m->at < m->end) {
    enum match result;

    if(m->matched < m->delimiter_size) {
      if(*m->at != m->delimiter[m->matched])
        return NO_MATCH;
      m->matched++;
      m->at++;
      continue;
    }
    result = match_tail(m);
    if(result != UNDECIDED)
      return result;
  }
  return UNDECIDED;
}

/* The first place in the chunk where a delimiter stands, as far as the chunk
   goes; m->end when there is none. */
static const char *find_delimiter(const struct dt_multipart *m)
{
  const char *p = m->at;

  while(p < m->end) {
    size_t n;

    p = memchr(p, '\r', (size_t)(m->end - p));
    if(!p)
      break;
    n = (size_t)(m->end - p);
    if(n > m->delimiter_size)
      n = m->delimiter_size;
    if(!memcmp(p, m->delimiter, n))
      return p;
    p++;
  }
  return m->end;
}

static int give(struct dt_multipart *m, struct dt_multipart_event *e,
                const char *data, size_t size)
{
  if(m->state == PREAMBLE)
    return DT_MULTIPART_MORE;
  if(m->remaining == 0)
    m->exceeded = 1;
  e->data = data;
  e->size = size;
  return DT_MULTIPART_DATA;
}

/* A delimiter was read. */
static int end_part(struct dt_multipart *m, struct dt_multipart_event *e,
                    enum match match)
{
  int in_part = m->state == BODY;

  m->matched = 0;
  m->state = match == LAST_PART ? ENDED : HEADERS;
  if(in_part) {
    e->as_announced = !m->exceeded;
    return DT_MULTIPART_PART_END;
  }
  return DT_MULTIPART_MORE;
}

/* Reads on in a body or the preamble; MORE means "nothing to tell". */
static int scan(struct dt_multipart *m, struct dt_multipart_event *e)
{
  const char *begin = m->at, *stop;
  enum match match;

  if(!m->matched) {
    stop = find_delimiter(m);
    if(stop > begin) {
      m->at = stop;
      return give(m, e, begin, (size_t)(stop - begin));
    }
  }
  match = match_on(m);
  if(match == NO_MATCH) {
    size_t size = m->matched;

    m->matched = 0;
    return give(m, e, m->delimiter, size);
  }
  return match == UNDECIDED ? DT_MULTIPART_MORE : end_part(m, e, match);
}

/* Hands out bytes that the announced length covers. */
static int count(struct dt_multipart *m, struct dt_multipart_event *e)
{
  size_t size = (size_t)(m->end - m->at);

  if((uint64_t)size >= (uint64_t)m->remaining) {
    size = (size_t)m->remaining;
    m->state = BODY;
  }
  e->data = m->at;
  e->size = size;
  m->at += size;
  m->remaining -= (int64_t)size;
  return DT_MULTIPART_DATA;
}

/* Says once that the body has ended; the rest is ignored. */
static int tell_end(struct dt_multipart *m)
{
  int told = m->told_end;

  m->at = m->end;
  m->told_end = 1;
  return told ? DT_MULTIPART_MORE : DT_MULTIPART_END;
}

int dt_multipart_next(struct dt_multipart *m, struct dt_multipart_event *e)
{
  memset(e, 0, sizeof(*e));
  e->length = -1;
  while(m->at < m->end || m->state == ENDED || m->state == FAILED) {
    int what = DT_MULTIPART_MORE;

    switch(m->state) {
    case HEADERS:
      what = read_head(m);
      if(what > 0)
        what = begin_part(m, e);
      break;
    case COUNTED:
      what = count(m, e);
      break;
    case PREAMBLE:
    case BODY:
      what = scan(m, e);
      break;
    case ENDED:
      return tell_end(m);
    case FAILED:
      return m->code;
    }
    if(what != DT_MULTIPART_MORE)
      return what;
  }
  return DT_MULTIPART_MORE;
}
