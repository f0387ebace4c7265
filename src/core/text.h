/*
 * text.h - what may stand in a request's texts.
 */
#ifndef DAYTONA_TEXT_H
#define DAYTONA_TEXT_H

#include <stddef.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* No control characters. NULL is clean. */
int dt_text_is_clean(const char *s);

/* The characters HTTP allows in methods and header names; not empty. */
int dt_text_is_token(const char *s, size_t size);

/* "Name: value", where the value may hold tabs and any byte from 0x80 on. */
int dt_text_is_header(const char *line);

/* A header line with nothing after its colon. */
int dt_text_is_empty_header(const char *line);

/* The length of the name of a "Name: value" line, or of "Name;", which is how
   libcurl wants an empty header. */
size_t dt_text_name_length(const char *line);

/* Whether two header lines have the same name. */
int dt_text_same_name(const char *a, const char *b);

/* Whether the line of `size` bytes is the header of that name. */
int dt_text_header_is(const char *line, size_t size, const char *name);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
