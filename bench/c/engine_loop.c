/*
 * engine_loop.c - the engine without Lua: posts the same body to the same URL,
 * N times one after the other, as easy_loop.c does with a bare easy handle.
 *
 *   engine_loop URL N   (DAYTONA_THROUGH_LIBCURL) prints {"cpu":seconds,"wall":seconds,"n":N}
 */
#define _DEFAULT_SOURCE
#include "../../src/core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const lines[] = {
  "Authorization: Bearer bench", "Content-Type: application/json",
  "Accept: application/json", "X-Daytona-Source: sdk-bench",
  "X-Daytona-SDK-Version: 0.205.0", NULL
};

static double clock_of(clockid_t id)
{
  struct timespec t;

  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One round trip; 0 when it was answered with 200. */
static int post(struct dt_engine *e, const struct dt_request *request)
{
  struct dt_transfer *t;
  uint64_t whose;
  struct dt_result r;
  unsigned what = 0;

  if(dt_transfer_start(e, request, &t, NULL))
    return -1;
  while(!(what & DT_EVENT_DONE)) {
    if(!dt_engine_next_event(e, &whose, &what))
      dt_engine_poll(e, -1, NULL);
  }
  dt_transfer_result(t, &r);
  dt_transfer_free(t);
  return r.code || r.status != 200;
}

int main(int argc, char **argv)
{
  struct dt_engine_options how = { 0 };
  struct dt_profile_options options;
  struct dt_request request;
  struct dt_engine *e;
  long i, n = argc == 3 ? atol(argv[2]) : 0;
  double cpu, wall;

  memset(&options, 0, sizeof(options));
  memset(&request, 0, sizeof(request));
  options.headers = lines;
  how.through_libcurl = getenv("DAYTONA_THROUGH_LIBCURL") != NULL;
  if(n < 1 || dt_engine_new(&e, &how) ||
     dt_profile_new(&request.profile, &options))
    return 2;
  request.method = "POST";
  request.url = argv[1];
  request.body = DT_BODY_MEMORY;
  request.data = "{\"command\":\"uname -a\"}";
  request.size = strlen(request.data);
  request.connect_timeout = 10;
  request.timeout = 60;
  cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
  wall = clock_of(CLOCK_MONOTONIC);
  for(i = 0; i < n; i++) {
    if(post(e, &request))
      return 1;
  }
  printf("{\"cpu\":%.6f,\"wall\":%.6f,\"n\":%ld}\n",
         clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu,
         clock_of(CLOCK_MONOTONIC) - wall, n);
  dt_profile_free(request.profile);
  dt_engine_free(e);
  return 0;
}
