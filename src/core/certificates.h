/*
 * certificates.h - where TLS finds the authorities it trusts.
 */
#ifndef DAYTONA_CERTIFICATES_H
#define DAYTONA_CERTIFICATES_H

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* Whether libcurl's default folder of authorities can do without its bundle of
   the same. Looked up once for the process; thread-safe. */
int dt_certificates_in_folder(void);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
