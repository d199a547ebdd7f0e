#include "base/options.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64

/* Levenshtein's distance, words of at most WORD_MAX. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1], i, j, length_b = (unsigned)strlen(b);

    for (j = 0; j <= length_b; j++)
        row[j] = j;
    for (i = 0; a[i]; i++) {
        unsigned diagonal = row[0];

        row[0] = i + 1;
        for (j = 0; j < length_b; j++) {
            unsigned changed = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            row[j + 1] = MIN(changed, MIN(row[j], row[j + 1]) + 1);
        }
    }
    return row[length_b];
}

const char *nearest_name(const char *word, const char *const *first, size_t count, size_t stride)
{
    const char *best = NULL;
    unsigned best_distance = 3; /* farther is another word */
    size_t i;

    if (strlen(word) > WORD_MAX)
        return NULL;
    for (i = 0; i < count; i++) {
        const char *name = *(const char *const *)((const char *)first + i * stride);
        unsigned d = strlen(name) <= WORD_MAX ? distance(word, name) : best_distance;

        if (d < best_distance) {
            best_distance = d;
            best = name;
        }
    }
    return best;
}

static const struct option_def *find_option(const struct option_table *table, const char *name, size_t length)
{
    size_t i;

    for (i = 0; i < table->count; i++)
        if (strlen(table->options[i].name) == length && strncmp(table->options[i].name, name, length) == 0)
            return &table->options[i];
    return NULL;
}

static int unknown_option(const struct option_table *table, const char *name, size_t length)
{
    char word[WORD_MAX];
    const char *near;

    snprintf(word, sizeof(word), "%.*s", (int)length, name);
    near = nearest_name(word, &table->options->name, table->count, sizeof(*table->options));
    if (near)
        return fail(-EINVAL, "unknown option --%s; did you mean --%s?", word, near);
    return fail(-EINVAL, "unknown option --%s; --help lists the options", word);
}

/* Handles argv[*i] and, where it takes the next word as its value, moves *i. */
static int parse_option(const struct option_table *table, int argc, char **argv, int *i, void *config)
{
    const char *name = argv[*i] + 2, *value = strchr(name, '=');
    size_t length = value ? (size_t)(value - name) : strlen(name);
    const struct option_def *option = find_option(table, name, length);
    int err;

    if (!option)
        return unknown_option(table, name, length);
    if (value)
        value++;
    if (!option->arg && value)
        return fail(-EINVAL, "--%s takes no value", option->name);
    if (option->arg && !value) {
        if (*i + 1 >= argc)
            return fail(-EINVAL, "--%s needs a value: %s", option->name, option->arg);
        value = argv[++*i];
    }
    err = option->parse(config, value);
    return err ? fail_prefix(err, "--%s", option->name) : 0;
}

int options_parse_words(const struct option_table *table, int argc, char **argv, void *config)
{
    bool only_words = false;
    int i;

    for (i = 0; i < argc; i++) {
        const char *word = argv[i];
        int err;

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            continue;
        }
        if (!only_words && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            options_print_help(table);
            return OPTIONS_HELP;
        }
        if (!only_words && strncmp(word, "--", 2) == 0)
            err = parse_option(table, argc, argv, &i, config);
        else if (!only_words && word[0] == '-' && word[1])
            err = fail(-EINVAL, "unknown option %s; options have two dashes, --help lists them", word);
        else if (table->positional)
            err = table->positional(config, word);
        else
            err = fail(-EINVAL, "unexpected argument '%s'", word);
        if (err)
            return err;
    }
    return 0;
}

int options_parse(const struct option_table *table, int argc, char **argv, void *config)
{
    return options_parse_words(table, argc - 1, argv + 1, config);
}

void options_print_help(const struct option_table *table)
{
    size_t i;

    printf("usage: %s\n\n", table->usage);
    for (i = 0; i < table->count; i++) {
        const struct option_def *o = &table->options[i];
        int width = printf("  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

        printf("%*s%s\n", width < 34 ? 34 - width : 2, "", o->help);
    }
}

int parse_unsigned(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 0);
    if (!isdigit((unsigned char)text[0]) || *end || errno || n < min || n > max)
        return fail(-EINVAL, "'%s' is not a number from %llu to %llu", text, (unsigned long long)min,
                    (unsigned long long)max);
    *value = n;
    return 0;
}

int parse_size(const char *text, uint64_t unit, uint64_t *bytes)
{
    static const char suffixes[] = "KMGT";
    const char *suffix;
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (isdigit((unsigned char)text[0]) && !errno) {
        suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
        if (suffix) {
            unit = KIB(1) << 10 * (suffix - suffixes);
            end += end[1] == 'i' && end[2] == 'B' ? 3 : 1;
        }
        if (!*end && n <= UINT64_MAX / unit) {
            *bytes = n * unit;
            return 0;
        }
    }
    return fail(-EINVAL, "'%s' is not a size such as 512M or 2G", text);
}

bool parse_on_off(const char *text, bool *value)
{
    *value = strcmp(text, "on") == 0;
    return *value || strcmp(text, "off") == 0;
}

int parse_choice(const char *text, const char *const *names)
{
    char list[256] = "";
    size_t length = 0;
    int i;

    for (i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    for (i = 0; names[i] && length < sizeof(list); i++)
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", i ? ", " : "", names[i]);
    return fail(-EINVAL, "'%s' is not one of %s", text, list);
}

int parse_suboptions(const char *text, int (*set)(void *opaque, const char *key, const char *value), void *opaque)
{
    bool first = true;

    while (*text) {
        char word[4096], *value;
        size_t n = 0;
        int err;

        while (*text && (*text != ',' || text[1] == ',')) {
            text += *text == ','; /* the first of two */
            if (n == sizeof(word) - 1)
                return fail(-EINVAL, "a value is too long");
            word[n++] = *text++;
        }
        word[n] = 0;
        text += *text == ',';
        value = strchr(word, '=');
        if (value)
            *value++ = 0;
        err = first && !value ? set(opaque, "", word) : set(opaque, word, value);
        if (err)
            return err;
        first = false;
    }
    return 0;
}
