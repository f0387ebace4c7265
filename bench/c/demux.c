/*
 * demux.c - how fast session logs are taken apart, for several line lengths
 * and chunk sizes.
 *
 *   cc -O2 -o demux bench/c/demux.c src/core/demux.c && ./demux [MEGABYTES]
 */
#include "../../src/core/demux.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu_seconds(void)
{
  return (double)clock() / CLOCKS_PER_SEC;
}

/* A log of `size` bytes: lines of about `line` bytes, every tenth on standard
   error. */
static char *make_log(size_t size, size_t line)
{
  char *log = malloc(size);
  size_t at = 0, n = 0;

  if(!log)
    exit(1);
  while(at < size) {
    size_t length = line / 2 + (line > 1 ? n * 2654435761u % line : 1), i;
    int prefix = n % 10 == 9 ? 2 : 1;

    for(i = 0; i < length + 4 && at < size; i++, at++)
      log[at] = (char)(i < 3 ? prefix : i == length + 3 ? '\n' : 'a' + i % 26);
    n++;
  }
  return log;
}

/* Seconds to demultiplex the log, as GB/s; *bytes is what came out. */
static double measure(const char *log, size_t size, size_t chunk,
                      size_t *bytes)
{
  struct dt_demux d;
  enum dt_stream stream;
  const char *data;
  size_t n, at;
  double begin = cpu_seconds();

  *bytes = 0;
  dt_demux_init(&d, 0);
  for(at = 0; at < size; at += chunk) {
    dt_demux_feed(&d, log + at, size - at < chunk ? size - at : chunk);
    while(dt_demux_next(&d, &stream, &data, &n))
      *bytes += n;
  }
  dt_demux_finish(&d);
  while(dt_demux_next(&d, &stream, &data, &n))
    *bytes += n;
  return (double)size / (cpu_seconds() - begin) / 1e9;
}

int main(int argc, char **argv)
{
  static const size_t lines[] = { 1, 8, 40, 80, 200, 4096 };
  static const size_t chunks[] = { 1, 1024, 65536, (size_t)-1 };
  size_t size = (size_t)(argc > 1 ? atoi(argv[1]) : 100) * 1000000, i, k;

  printf("demultiplexing, GB/s of CPU time (%lu MB of log)\n"
         "%-18s %9s %9s %9s %9s\n", (unsigned long)(size / 1000000),
         "bytes a line", "1 B", "1 KiB", "64 KiB", "whole");
  for(i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
    char *log = make_log(size, lines[i]);

    printf("%-18lu", (unsigned long)lines[i]);
    for(k = 0; k < sizeof(chunks) / sizeof(chunks[0]); k++) {
      size_t chunk = chunks[k] < size ? chunks[k] : size, bytes;

      printf(" %9.2f", measure(log, size, chunk, &bytes));
    }
    printf("\n");
    free(log);
  }
  return 0;
}
