/*
 * certificates.h - where TLS finds the authorities it trusts.
 */
#ifndef DAYTONA_CERTIFICATES_H
#define DAYTONA_CERTIFICATES_H

#include <curl/curl.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* Has libcurl leave its bundle of authorities unread where its folder has the same.
   Where that is so is looked up once for the process; thread-safe. */
void dt_certificates_skip_bundle(CURL *easy);

/* A certificate that has ended in 1970 and is no authority; nobody has its key. */
extern const char dt_certificates_nobody[];

/* Takes the bundle, or the folder, that libcurl was built with from a handle that has
   its own folder, or bundle: for the server and for proxies. */
CURLcode dt_certificates_drop_bundle(CURL *easy);
CURLcode dt_certificates_drop_folder(CURL *easy);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
