/*
 * profile.h - what many requests have in common, inside the engine.
 */
#ifndef DAYTONA_PROFILE_H
#define DAYTONA_PROFILE_H

#include "core.h"

#include <curl/curl.h>

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

struct dt_profile {
  unsigned refs;
  struct curl_slist *headers;
  struct curl_slist packed_headers; /* Accept-Encoding, and then these */
  int has_type;               /* a Content-Type is among them */
  char *user_agent;
  char *proxy;
  char *no_proxy;
  char *ca_file;
  char *ca_path;
  char *client_cert;
  char *client_key;
  int insecure;
  int http1;
  int packed;    /* answers may come packed */
  int proxied;   /* a proxy may be used */
  int tls_proxy; /* the proxy may be reached by TLS */
};

struct dt_profile *dt_profile_ref(struct dt_profile *p);

/* Sets the profile's options (all but the headers) on a handle that carries no
   other profile's: what the profile leaves open stays libcurl's default. */
CURLcode dt_profile_apply(const struct dt_profile *p, CURL *easy);

/* For TLS: where the system's authorities are trusted and need not be read from a
   bundle they should not. What there is on disk is looked at, which a program
   without TLS is to be spared. */
void dt_profile_skip_bundle(const struct dt_profile *p, CURL *easy);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
