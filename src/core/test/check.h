/*
 * check.h - what the unit tests say "this must hold" with.
 */
#ifndef DAYTONA_CHECK_H
#define DAYTONA_CHECK_H

void check_report(int ok, const char *what, const char *file, int line);
unsigned check_random(void); /* the same numbers in every run */

#define CHECK(condition) \
  check_report((condition) != 0, #condition, __FILE__, __LINE__)

#endif
