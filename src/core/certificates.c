/*
 * certificates.c - where TLS finds the authorities it trusts.
 *
 * To read the usual bundle of all authorities takes OpenSSL 20 to 150 ms, in
 * one piece and again for every connection until the first has succeeded: many
 * frames of a game, and much of a short script's time. Where the same
 * authorities also lie in a folder, by hash, only the one that is needed is
 * read.
 */
#define _POSIX_C_SOURCE 200809L
#include "certificates.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <string.h>

#define NULL_IS_DEFAULT 0x081000 /* from here on NULL means what it was built with */

const char dt_certificates_nobody[] =
  "-----BEGIN CERTIFICATE-----\n"
  "MIIBPzCB5qADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBk5vYm9keTAe\n"
  "Fw03MDAxMDEwMDAwMDBaFw03MDAxMDEwMDAwMDFaMBExDzANBgNVBAMMBk5vYm9k\n"
  "eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKYZlMnLbkFIkyepBowdO3HcGGcU\n"
  "zjW2a1rg0u0zdlE5E8Ves8KfEGlHvAtceQMwkigjQpcI9KIgoa+38YGNnXmjLzAt\n"
  "MAwGA1UdEwEB/wQCMAAwHQYDVR0OBBYEFFzI6UhAmVtHZ8OWSPQooNgU9+7gMAoG\n"
  "CCqGSM49BAMCA0gAMEUCIBGMCFt5Z1V761uQWMmvj5RYfAfj3p2FKw+Pi4oyT5pT\n"
  "AiEAzc7lxAc9CGAbG6zW+jJBeRGnPMbQyOlIrk4oqE8Ke0E=\n"
  "-----END CERTIFICATE-----\n";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int in_folder;

/* "002c0b4f.0", the link that OpenSSL looks for. */
static int is_hash(const char *name)
{
  int i;

  for(i = 0; i < 8; i++) {
    if(!isxdigit((unsigned char)name[i]))
      return 0;
  }
  return !strcmp(name + 8, ".0");
}

static int has_hashes(const char *path)
{
  DIR *dir = opendir(path);
  struct dirent *entry;
  int found = 0;

  if(!dir)
    return 0;
  while(!found && (entry = readdir(dir)) != NULL)
    found = is_hash(entry->d_name);
  closedir(dir);
  return found;
}

/* Whether libcurl can use nothing but OpenSSL. */
static int is_openssl(void)
{
  const curl_ssl_backend **known = NULL;

  (void)curl_global_sslset(CURLSSLBACKEND_NONE, NULL, &known);
  return known && known[0] && known[0]->id == CURLSSLBACKEND_OPENSSL &&
         !known[1];
}

/* curl_version_info knows the folder of older versions, too; but it asks many
   libraries for theirs, whose code then comes into memory. */
static int default_folder_has_hashes(void)
{
  CURL *easy = curl_easy_init();
  char *path = NULL;
  int found;

#if LIBCURL_VERSION_NUM >= 0x075400
  if(easy && curl_easy_getinfo(easy, CURLINFO_CAPATH, &path))
    path = NULL;
#endif
  found = path && has_hashes(path);
  curl_easy_cleanup(easy);
  return found;
}

/* Only OpenSSL reads a folder as it is needed; others read all of it. */
static void look(void)
{
  in_folder = is_openssl() && default_folder_has_hashes();
}

/* --- what is not read, or not trusted -------------------------------------------- */

/* For the server and for proxies; a libcurl that cannot do it for these has none. */
static CURLcode set_both(CURL *easy, CURLoption server, CURLoption proxy,
                         const void *value)
{
  CURLcode rc = curl_easy_setopt(easy, server, value);
  CURLcode also = curl_easy_setopt(easy, proxy, value);

  return rc || also == CURLE_NOT_BUILT_IN || also == CURLE_UNKNOWN_OPTION ? rc
                                                                          : also;
}

static CURLcode no_bundle(CURL *easy)
{
  return set_both(easy, CURLOPT_CAINFO, CURLOPT_PROXY_CAINFO, NULL);
}

/* There must be a bundle, and one with a certificate in it. */
static CURLcode bundle_of_nobody(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x074d00
  struct curl_blob blob;

  blob.data = (void *)(size_t)dt_certificates_nobody;
  blob.len = sizeof(dt_certificates_nobody) - 1;
  blob.flags = CURL_BLOB_NOCOPY;
  return set_both(easy, CURLOPT_CAINFO_BLOB, CURLOPT_PROXY_CAINFO_BLOB, &blob);
#else
  (void)easy;
  return CURLE_NOT_BUILT_IN;
#endif
}

/* To ask for the version costs memory, so that it is asked where it matters. */
static int is_null_default(void)
{
  return curl_version_info(CURLVERSION_NOW)->version_num >= NULL_IS_DEFAULT;
}

void dt_certificates_skip_bundle(CURL *easy)
{
  pthread_once(&once, look);
  if(!in_folder)
    return;
#if LIBCURL_VERSION_NUM >= NULL_IS_DEFAULT
  (void)bundle_of_nobody(easy);
#else
  (void)no_bundle(easy);
#endif
}

CURLcode dt_certificates_drop_bundle(CURL *easy)
{
  return is_null_default() ? bundle_of_nobody(easy) : no_bundle(easy);
}

/* There must be a folder, were it none; but some libraries of TLS know no folders. */
CURLcode dt_certificates_drop_folder(CURL *easy)
{
  CURLcode rc = set_both(easy, CURLOPT_CAPATH, CURLOPT_PROXY_CAPATH,
                         is_null_default() ? "/dev/null" : NULL);

  return rc == CURLE_NOT_BUILT_IN || rc == CURLE_UNKNOWN_OPTION ? CURLE_OK : rc;
}
