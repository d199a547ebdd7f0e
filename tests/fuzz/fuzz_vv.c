/*
 * Texts that lead to a server: the first byte chooses a .vv file, a URI, a proxy's name, what a proxy answers, the
 * subject of a certificate, a list of channels; the rest is the text. What is refused is refused with words; what is
 * taken is within its bounds, and a file that was taken is taken again.
 */
#include "base/error.h"
#include "client/trust.h"
#include "client/vv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size);
}

static void check_options(const struct client_options *o)
{
    expect(ends(o->host, sizeof(o->host)) && ends(o->unix_path, sizeof(o->unix_path)) &&
           ends(o->port, sizeof(o->port)) && ends(o->tls_port, sizeof(o->tls_port)) && ends(o->user, sizeof(o->user)) &&
           ends(o->password, sizeof(o->password)) && ends(o->host_subject, sizeof(o->host_subject)) &&
           ends(o->tls_ciphers, sizeof(o->tls_ciphers)) && ends(o->window.title, sizeof(o->window.title)));
    expect(!o->port[0] || (atoi(o->port) > 0 && atoi(o->port) < 65536));
}

static int read_file(const char *text, size_t size)
{
    struct client_options o = {0};
    bool delete_it;
    int err = vv_parse(&o, text, size, &delete_it);

    check_options(&o);
    if (!err)
        expect(vv_parse(&o, text, size, &delete_it) == 0);
    client_options_fini(&o);
    return err;
}

static int read_uri(const char *text, size_t size UNUSED)
{
    struct client_options o = {0};
    int err = client_options_parse_uri(&o, text);

    check_options(&o);
    return err;
}

static int read_proxy(const char *text, size_t size UNUSED)
{
    struct proxy proxy;
    struct writer w;
    int err = proxy_parse(&proxy, text);

    writer_init(&w, 4096);
    if (!err)
        expect(proxy.host[0] && proxy.port[0] && proxy_request(&proxy, "::1", "5900", &w) == 0);
    writer_fini(&w);
    return err;
}

static int read_answer(const char *text, size_t size)
{
    int n = proxy_answer(text, size);

    expect(n < 0 || (size_t)n <= size);
    return MIN(n, 0);
}

static int read_subject(const char *text, size_t size UNUSED)
{
    X509_NAME_free(trust_parse_subject(text));
    return 0;
}

static int read_channels(const char *text, size_t size UNUSED)
{
    uint32_t mask = 0;

    return client_options_parse_channels(text, &mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const readers[])(const char *text, size_t size) = {read_file,   read_uri,     read_proxy,
                                                                    read_answer, read_subject, read_channels};
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size); /* of its very size, so that whoever reads on is seen; with a NUL */
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    fail(0, "%s", "");
    if (readers[data[0] % ARRAY_SIZE(readers)](text, size - 1))
        expect(fail_text()[0]);
    free(text);
    return 0;
}
