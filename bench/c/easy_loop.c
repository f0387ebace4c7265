/*
 * easy_loop.c - the yardstick of one call: a bare libcurl easy handle that
 * posts what the client posts for `uname -a`, to the same URL, N times, and
 * copies the answer.
 *
 *   easy_loop URL N   prints {"cpu":seconds,"wall":seconds,"n":N}
 *
 * The headers are those that the client sends; nothing is parsed.
 */
#define _DEFAULT_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

struct answer {
  char data[4096];
  size_t size;
};

static size_t append(char *data, size_t one, size_t size, void *user)
{
  struct answer *a = (struct answer *)user;

  (void)one;
  if(size > sizeof(a->data) - a->size)
    return 0;
  memcpy(a->data + a->size, data, size);
  a->size += size;
  return size;
}

static double clock_of(clockid_t id)
{
  struct timespec t;

  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct curl_slist *headers(void)
{
  static const char *const lines[] = {
    "Authorization: Bearer bench", "Content-Type: application/json",
    "Accept: application/json", "X-Daytona-Source: sdk-lua",
    "X-Daytona-SDK-Version: 0.205.0", "User-Agent: sdk-lua/0.2.0", "Expect:",
    "Accept-Encoding: gzip",
    NULL
  };
  struct curl_slist *list = NULL;
  int i;

  for(i = 0; lines[i]; i++)
    list = curl_slist_append(list, lines[i]);
  return list;
}

static int post(CURL *easy, long n)
{
  struct answer a;
  CURLcode code;
  long status;
  long i;

  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &a);
  for(i = 0; i < n; i++) {
    a.size = 0;
    code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if(code != CURLE_OK || status != 200) {
      fprintf(stderr, "easy_loop: %s, status %ld\n", curl_easy_strerror(code),
              status);
      return 1;
    }
  }
  return 0;
}

int main(int argc, char **argv)
{
  CURL *easy;
  double cpu;
  double wall;
  long n;

  if(argc != 3) {
    fprintf(stderr, "usage: %s url n\n", argv[0]);
    return 2;
  }
  n = atol(argv[2]);
  curl_global_init(CURL_GLOBAL_ALL);
  easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                   "{\"command\":\"eval 'uname -a' </dev/null\",\"envs\":{"
                   "\"DAYTONA_EXEC_ID\":\"70909b6592b1ab8b-70.\"},"
                   "\"timeout\":600}");
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  if(post(easy, 50))
    return 1;
  cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
  wall = clock_of(CLOCK_MONOTONIC);
  if(post(easy, n))
    return 1;
  printf("{\"cpu\":%.6f,\"wall\":%.6f,\"n\":%ld}\n",
         clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu,
         clock_of(CLOCK_MONOTONIC) - wall, n);
  return 0;
}
