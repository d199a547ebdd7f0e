/*
 * Command lines: the first byte chooses whose, the rest are its words, one a line. Those of images are taken apart by the
 * same tables; here are the machine's and the client's, which have the parsers of their own: sizes, addresses, forwards,
 * parts after commas, URIs.
 */
#include "client/options.h"
#include "client/vv.h"
#include "vmm/config.h"

#include "base/options.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 64

/* --- what would look for files, or make them --- */

int uefi_find(struct uefi_files *files UNUSED, const char *firmware UNUSED, const char *variables UNUSED,
              const char *name UNUSED)
{
    return 0;
}

int certificate_find(struct certificate *certificate UNUSED, const char *folder UNUSED)
{
    return 0;
}

int vv_read(struct client_options *o UNUSED, const char *path)
{
    return path[0] == '/' ? -ENOENT : 0;
}

/* The C library's own can be kept busy for hours by a line of its user's. */
int regcomp(regex_t *regex UNUSED, const char *pattern, int flags UNUSED)
{
    return pattern[0] == '(';
}

void regfree(regex_t *regex UNUSED)
{
}

size_t regerror(int err UNUSED, const regex_t *regex UNUSED, char *text, size_t size)
{
    if (size)
        *text = 0;
    return 1;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Words in `text`, which is cut up; their number. */
static int split(char *text, char **words)
{
    int count = 0;

    words[count++] = "run";
    for (char *word = strsep(&text, "\n"); word && count < MAX_WORDS; word = strsep(&text, "\n"))
        if (!asks_for_help(word)) /* which is printed */
            words[count++] = word;
    words[count] = NULL;
    return count;
}

static void check_machine(const struct vm_config *config)
{
    if (config->memory < CONFIG_MIN_MEMORY || config->memory > CONFIG_MAX_MEMORY || !config->cpus ||
        config->cpus > CONFIG_MAX_CPUS || !config->boot_count || !config->name || !config->serial)
        abort();
}

static void parse_machine(int argc, char **argv)
{
    static struct vm_config config;

    config_init(&config);
    if (config_parse(&config, argc, argv) == 0)
        check_machine(&config);
    config_fini(&config);
}

static void parse_client(int argc, char **argv)
{
    struct client_options options;

    if (client_options_parse(&options, argc, argv))
        return;
    if (!options.unix_path[0] && (!options.host[0] || !(options.port[0] || options.tls_port[0])))
        abort();
    client_options_fini(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[MAX_WORDS + 1], *text;
    int count;

    if (!size)
        return 0;
    text = strndup((const char *)data + 1, size - 1);
    count = split(text, words);
    if (data[0] & 1)
        parse_client(count, words);
    else
        parse_machine(count, words);
    free(text);
    return 0;
}
