/*
 * options.h - command lines from a table.
 *
 * The same table gives the parser, --help and (later) completions and the check of the man pages. An option is written
 * --name VALUE or --name=VALUE; one without `arg` is a switch. Words that are not options go to `positional`.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "base/base.h"

struct option_def {
    const char *name; /* without the dashes */
    const char *arg;  /* what the value is, for --help; NULL: a switch, `parse` gets NULL */
    const char *help;
    /* 0, or -errno with fail_text() that says what is wrong with the value. */
    int (*parse)(void *config, const char *value);
};

struct option_table {
    const char *usage; /* the lines after "usage: " */
    const struct option_def *options;
    size_t count;
    int (*positional)(void *config, const char *word); /* NULL: none are taken */
};

/*
 * Parse argv[1..]. 0; OPTIONS_HELP after --help was printed; -EINVAL with fail_text() (names the option, suggests the
 * nearest one for a misspelt name), or what an option's parse() returned, with its text.
 */
#define OPTIONS_HELP 1
int options_parse(const struct option_table *table, int argc, char **argv, void *config);
/* The same without a program's name before it. */
int options_parse_words(const struct option_table *table, int count, char **words, void *config);
void options_print_help(const struct option_table *table);

/* Values. Each fails with what it expects. */
int parse_unsigned(const char *text, uint64_t min, uint64_t max, uint64_t *value);
/* "64", "64K", "512M", "2G": bytes; a bare number counts in `unit`. */
int parse_size(const char *text, uint64_t unit, uint64_t *bytes);
bool parse_on_off(const char *text, bool *value);
/* The index of text among the names (NULL ends them), or -EINVAL with a message listing them. */
int parse_choice(const char *text, const char *const *names);

/*
 * "a=b,c=d": calls set for each; key alone gives value NULL. A doubled comma stands for one in a value. The first word
 * may stand alone: it is given as key "" if it has no '='.
 */
int parse_suboptions(const char *text, int (*set)(void *opaque, const char *key, const char *value), void *opaque);

/* The name in names (count of them, `stride` bytes apart) nearest to word, or NULL if none is near. */
const char *nearest_name(const char *word, const char *const *first, size_t count, size_t stride);

#endif
