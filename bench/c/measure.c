/*
 * measure.c - runs a command and writes what it cost, as one line of JSON, to
 * the file named first:
 *
 *   measure FILE command [arguments]
 *   {"wall":0.012,"user":0.004,"system":0.002,"maxrss":3120,"switches":7,
 *    "status":0}
 *
 * Seconds; maxrss in KiB is the largest process among the command and the
 * children it waited for; switches are its voluntary context switches.
 */
#define _DEFAULT_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
  struct rusage r;
  double start;
  double wall;
  pid_t pid;
  int status;
  FILE *out;

  if(argc < 3) {
    fprintf(stderr, "usage: %s file command [arguments]\n", argv[0]);
    return 2;
  }
  start = now();
  pid = fork();
  if(pid == 0) {
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  if(pid < 0 || wait4(pid, &status, 0, &r) != pid) {
    perror("measure");
    return 2;
  }
  wall = now() - start;
  out = fopen(argv[1], "w");
  if(!out) {
    perror(argv[1]);
    return 2;
  }
  fprintf(out, "{\"wall\":%.6f,\"user\":%.6f,\"system\":%.6f,\"maxrss\":%ld,"
          "\"switches\":%ld,\"status\":%d}\n", wall, seconds(r.ru_utime),
          seconds(r.ru_stime), r.ru_maxrss, r.ru_nvcsw,
          WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return fclose(out) == 0 ? 0 : 2;
}
