/*
 * global.c - what is done once for the process, and the clock.
 */
#define _GNU_SOURCE
#include "engine.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int global_code;
static volatile unsigned generation;
static volatile pid_t pid;

static pthread_once_t described = PTHREAD_ONCE_INIT;
static char version[128];

static void in_child(void)
{
  generation++;
  pid = getpid();
}

unsigned dt_generation(void)
{
  return generation;
}

long dt_pid(void)
{
  return (long)pid;
}

/* libcurl's resolver threads may still run when a Lua state is closed and its
   modules are unloaded, so this object stays. In a program that the engine is
   linked into there is nothing to keep, and opening it again is harmless. */
static void stay_loaded(void)
{
  static const char here = 0;
  Dl_info info;

  if(dladdr(&here, &info) && info.dli_fname)
    (void)dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static void describe(void)
{
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

  snprintf(version, sizeof(version), "libcurl/%s %s", info->version,
           info->ssl_version ? info->ssl_version : "without TLS");
}

static void init(void)
{
  CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);

  pid = getpid();
  if(pthread_atfork(NULL, NULL, in_child))
    global_code = DT_NOMEM;
  else if(rc == CURLE_OUT_OF_MEMORY)
    global_code = DT_NOMEM;
  else if(rc)
    global_code = DT_INTERNAL;
  else
    stay_loaded();
}

int dt_global_init(void)
{
  pthread_once(&once, init);
  return global_code;
}

/* curl_version() would say more, but for that it initializes LDAP, which loads
   a dozen libraries. Even curl_version_info() asks many of them, so that their
   code comes into memory: nothing that every program does may need it. */
const char *dt_curl_version(void)
{
  pthread_once(&described, describe);
  return version;
}

double dt_now(void)
{
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}
