/*
 * main.c - runs the unit tests of the core: all, or those that are named.
 */
#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void test_parts(void);
void test_request(void);
void test_sigv4(void);
void test_body(void);
void test_sink(void);
void test_packed(void);
void test_failure(void);
void test_deadline(void);
void test_cancel(void);
void test_connection(void);
void test_loop(void);
void test_demux(void);
void test_multipart_reader(void);
void test_ws_handshake(void);
void test_ws_session(void);
void test_websocket(void);
void test_doorbell(void);
void test_threads(void);
void test_carry(void);
void test_wire(void);

static const struct {
  const char *name;
  void (*run)(void);
} tests[] = {
  { "parts", test_parts },
  { "request", test_request },
  { "sigv4", test_sigv4 },
  { "body", test_body },
  { "sink", test_sink },
  { "packed", test_packed },
  { "failure", test_failure },
  { "deadline", test_deadline },
  { "cancel", test_cancel },
  { "connection", test_connection },
  { "loop", test_loop },
  { "demux", test_demux },
  { "multipart_reader", test_multipart_reader },
  { "ws_handshake", test_ws_handshake },
  { "ws_session", test_ws_session },
  { "websocket", test_websocket },
  { "doorbell", test_doorbell },
  { "threads", test_threads },
  { "carry", test_carry },
  { "wire", test_wire },
};

static unsigned long checks, failures; /* peers' threads count too */

void check_report(int ok, const char *what, const char *file, int line)
{
  __atomic_fetch_add(&checks, 1, __ATOMIC_RELAXED);
  if(!ok) {
    __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
    printf("%s:%d: not so: %s\n", file, line, what);
    fflush(stdout);
  }
}

unsigned check_random(void)
{
  static unsigned long long state = 88172645463325252u;

  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 16);
}

static int is_named(const char *name, char **names)
{
  if(!*names)
    return 1;
  for(; *names; names++) {
    if(!strcmp(name, *names))
      return 1;
  }
  return 0;
}

/* A run of many random checks is one test, which passed or did not. */
static int run(const char *name, void (*test)(void))
{
  unsigned long checks_before = checks;
  unsigned long failures_before = failures;

  test();
  printf("%-18s %8lu checks, %lu failed\n", name, checks - checks_before,
         failures - failures_before);
  fflush(stdout);
  return failures == failures_before;
}

int main(int argc, char **argv)
{
  int passed = 0, failed = 0;
  size_t i;

  (void)argc;
  for(i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
    if(!is_named(tests[i].name, argv + 1))
      continue;
    alarm(300); /* a test that hangs is a test that failed */
    if(run(tests[i].name, tests[i].run))
      passed++;
    else
      failed++;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
