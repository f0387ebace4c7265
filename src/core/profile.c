/*
 * profile.c - profiles: checked and copied once, applied to easy handles.
 */
#include "profile.h"
#include "certificates.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int check_options(const struct dt_profile_options *o)
{
  const char *const *line;

  for(line = o->headers; line && *line; line++) {
    if(!dt_text_is_header(*line))
      return DT_BAD_ARGUMENT;
  }
  if(!dt_text_is_clean(o->user_agent) || !dt_text_is_clean(o->proxy) ||
     !dt_text_is_clean(o->no_proxy) || !dt_text_is_clean(o->ca_file) ||
     !dt_text_is_clean(o->ca_path) || !dt_text_is_clean(o->client_cert) ||
     !dt_text_is_clean(o->client_key))
    return DT_BAD_ARGUMENT;
  return DT_OK;
}

/* Copies s (which may be NULL) to *out. 0, or -1 without memory. */
static int copy(char **out, const char *s)
{
  size_t size;

  if(!s)
    return 0;
  size = strlen(s) + 1;
  *out = malloc(size);
  if(!*out)
    return -1;
  memcpy(*out, s, size);
  return 0;
}

static int add_header(struct dt_profile *p, const char *line)
{
  struct curl_slist *list = curl_slist_append(p->headers, line);

  if(!list)
    return -1;
  p->headers = list;
  return 0;
}

/* libcurl takes "Name:" as "do not send it" and "Name;" as "send it empty". */
static int add_empty_header(struct dt_profile *p, const char *line)
{
  char *text = NULL;
  int rc;

  if(copy(&text, line))
    return -1;
  text[dt_text_name_length(line)] = ';';
  text[dt_text_name_length(line) + 1] = 0;
  rc = add_header(p, text);
  free(text);
  return rc;
}

static int copy_headers(struct dt_profile *p, const char *const *lines)
{
  int rc = 0;

  for(; lines && *lines && !rc; lines++) {
    if(dt_text_same_name(*lines, "Content-Type:"))
      p->has_type = 1;
    if(dt_text_is_empty_header(*lines))
      rc = add_empty_header(p, *lines);
    else
      rc = add_header(p, *lines);
  }
  return rc;
}

static int is_https(const char *url)
{
  return url && !strncasecmp(url, "https:", 6);
}

/* Without a proxy libcurl would look through the environment in each request. */
static int find_proxy(struct dt_profile *p, const struct dt_profile_options *o)
{
  static const char *const names[] = { "http_proxy", "https_proxy",
                                       "HTTPS_PROXY", "all_proxy",
                                       "ALL_PROXY" };
  int found = o->proxy && *o->proxy;
  size_t i;

  p->tls_proxy = is_https(o->proxy);
  for(i = 0; i < sizeof(names) / sizeof(names[0]) && !o->proxy; i++) {
    found |= getenv(names[i]) != NULL;
    p->tls_proxy |= is_https(getenv(names[i]));
  }
  p->proxied = found;
  return copy(&p->no_proxy, found ? o->no_proxy : "*");
}

static int copy_options(struct dt_profile *p,
                        const struct dt_profile_options *o)
{
  static char asking[] = "Accept-Encoding: gzip";

  p->insecure = o->insecure;
  p->http1 = o->http1;
  p->packed = o->packed;
  if(copy_headers(p, o->headers) || copy(&p->user_agent, o->user_agent) ||
     copy(&p->proxy, o->proxy) || find_proxy(p, o) ||
     copy(&p->ca_file, o->ca_file) || copy(&p->ca_path, o->ca_path) ||
     copy(&p->client_cert, o->client_cert) ||
     copy(&p->client_key, o->client_key))
    return DT_NOMEM;
  p->packed_headers.data = asking;
  p->packed_headers.next = p->headers;
  return DT_OK;
}

int dt_profile_new(struct dt_profile **out, const struct dt_profile_options *o)
{
  struct dt_profile *p;
  int code = check_options(o);

  *out = NULL;
  if(code)
    return code;
  code = dt_global_init();
  if(code)
    return code;
  p = calloc(1, sizeof(*p));
  if(!p)
    return DT_NOMEM;
  p->refs = 1;
  code = copy_options(p, o);
  if(code) {
    dt_profile_free(p);
    return code;
  }
  *out = p;
  return DT_OK;
}

struct dt_profile *dt_profile_ref(struct dt_profile *p)
{
  p->refs++;
  return p;
}

void dt_profile_free(struct dt_profile *p)
{
  if(!p || --p->refs)
    return;
  curl_slist_free_all(p->headers);
  free(p->user_agent);
  free(p->proxy);
  free(p->no_proxy);
  free(p->ca_file);
  free(p->ca_path);
  free(p->client_cert);
  free(p->client_key);
  free(p);
}

/* What this libcurl cannot do at all is left to fail where it matters: at the
   verification of the peer. */
static CURLcode set_text(CURL *easy, CURLoption option, const char *value)
{
  CURLcode rc = value ? curl_easy_setopt(easy, option, value) : CURLE_OK;

  return rc == CURLE_NOT_BUILT_IN || rc == CURLE_UNKNOWN_OPTION ? CURLE_OK : rc;
}

/* Who names authorities trusts no others: what libcurl was built to look at beside
   them is taken out. */
static CURLcode drop_defaults(const struct dt_profile *p, CURL *easy)
{
  if(p->ca_file && p->ca_path)
    return CURLE_OK;
  if(p->ca_file)
    return dt_certificates_drop_folder(easy);
  return p->ca_path ? dt_certificates_drop_bundle(easy) : CURLE_OK;
}

void dt_profile_skip_bundle(const struct dt_profile *p, CURL *easy)
{
  if(!p->ca_file && !p->ca_path)
    dt_certificates_skip_bundle(easy);
}

CURLcode dt_profile_apply(const struct dt_profile *p, CURL *easy)
{
  struct {
    CURLoption option;
    const char *value;
  } texts[] = {
    { CURLOPT_USERAGENT, p->user_agent },
    { CURLOPT_PROXY, p->proxy },
    { CURLOPT_NOPROXY, p->no_proxy },
    { CURLOPT_SSLCERT, p->client_cert },
    { CURLOPT_SSLKEY, p->client_key },
    { CURLOPT_CAINFO, p->ca_file },
    { CURLOPT_CAPATH, p->ca_path },
    { CURLOPT_PROXY_CAINFO, p->ca_file },
    { CURLOPT_PROXY_CAPATH, p->ca_path },
  };
  long verify = p->insecure ? 0 : 1;
  CURLcode rc = CURLE_OK;
  size_t i;

  for(i = 0; i < sizeof(texts) / sizeof(texts[0]) && !rc; i++)
    rc = set_text(easy, texts[i].option, texts[i].value);
  if(!rc)
    rc = drop_defaults(p, easy);
  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify);
  if(!rc)
    rc = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify * 2);
  return rc;
}
