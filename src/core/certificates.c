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

#include <curl/curl.h>

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

int dt_certificates_in_folder(void)
{
  pthread_once(&once, look);
  return in_folder;
}
