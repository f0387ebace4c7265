/*
 * text.c - see text.h.
 */
#include "text.h"

#include <string.h>
#include <strings.h>

int dt_text_is_clean(const char *s)
{
  for(; s && *s; s++) {
    if((unsigned char)*s < 0x20 || *s == 0x7f)
      return 0;
  }
  return 1;
}

static int is_letter(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int dt_text_is_token(const char *s, size_t size)
{
  size_t i;

  for(i = 0; i < size; i++) {
    if(!is_letter(s[i]) && (!s[i] || !strchr("-_.0123456789!#$%&'*+^`|~", s[i])))
      return 0;
  }
  return size > 0;
}

size_t dt_text_name_length(const char *line)
{
  return strcspn(line, ":;");
}

int dt_text_is_header(const char *line)
{
  size_t name = dt_text_name_length(line);
  const char *s;

  if(line[name] != ':' || !dt_text_is_token(line, name))
    return 0;
  for(s = line + name; *s; s++) {
    if(((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
      return 0;
  }
  return 1;
}

int dt_text_is_empty_header(const char *line)
{
  const char *value = line + strcspn(line, ":") + 1;

  return !value[strspn(value, " \t")];
}

int dt_text_same_name(const char *a, const char *b)
{
  size_t n;

  if((*a | 32) != (*b | 32)) /* most differ here */
    return 0;
  n = dt_text_name_length(a);
  return n == dt_text_name_length(b) && !strncasecmp(a, b, n);
}

int dt_text_header_is(const char *line, size_t size, const char *name)
{
  size_t n = strlen(name);

  return size > n && line[n] == ':' && !strncasecmp(line, name, n);
}
