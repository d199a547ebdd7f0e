#include "spice/server/web.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIEWER    "spice_auto.html"
#define MAX_FILES 128
#define MAX_SIZE  MIB(1) /* of a file */
#define MAX_NAME  64     /* bytes of the machine's name that are shown */

struct web_site {
    char name[6 * MAX_NAME + 1]; /* as HTML has it */
    size_t count;
    struct page {
        char path[HTTP_MAX_PATH];
        const char *type;
        uint8_t *content;
        size_t size;
    } pages[MAX_FILES];
};

/* --- what there is --- */

/* NULL: nothing for browsers. */
static const char *type_of(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {{".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"}, {".css", "text/css"}};
    const char *suffix = strrchr(name, '.');

    for (size_t i = 0; suffix && i < ARRAY_SIZE(types); i++)
        if (strcmp(suffix, types[i].suffix) == 0)
            return types[i].type;
    return NULL;
}

static int read_page(struct page *page, const char *path)
{
    struct file file;
    int err = file_open(&file, "web page", path);

    if (err)
        return err;
    if (file.size > MAX_SIZE)
        err = fail(-EFBIG, "web page '%s' is too large", path);
    else if (!(page->content = malloc(file.size)))
        err = -ENOMEM;
    else
        err = file_read(&file, page->content, file.size, 0);
    page->size = file.size;
    file_close(&file);
    return err;
}

struct folder {
    struct web_site *site;
    size_t name_size; /* bytes of a path before a page's own */
};

static int add_page(void *opaque, const char *path)
{
    const struct folder *folder = opaque;
    struct web_site *site = folder->site;
    struct page *page = &site->pages[site->count];
    const char *as = path + folder->name_size;

    if (!type_of(as) || site->count == MAX_FILES || strlen(as) >= sizeof(page->path))
        return 0;
    strcpy(page->path, as);
    page->type = type_of(as);
    site->count++;
    return read_page(page, path);
}

/* Whatever is in the name is shown, and is no HTML. */
static void escape(const char *name, char *to)
{
    for (size_t i = 0; name[i] && i < MAX_NAME; i++) {
        if (strchr("<>&\"'", name[i]))
            to += sprintf(to, "&#%d;", name[i]);
        else
            *to++ = name[i];
    }
    *to = 0;
}

int web_site_create(struct web_site **out, const char *folder, const char *name)
{
    struct web_site *site = calloc(1, sizeof(*site));
    int err;

    if (!site)
        return -ENOMEM;
    escape(name ? name : "", site->name);
    err = folder_walk("web pages of the package spice-html5", folder, 1, add_page, &(struct folder){site, strlen(folder)});
    if (err) {
        web_site_destroy(site);
        return err;
    }
    *out = site;
    return 0;
}

void web_site_destroy(struct web_site *site)
{
    for (size_t i = 0; site && i < site->count; i++)
        free(site->pages[i].content);
    free(site);
}

/* --- answers --- */

static void answer_start(const struct web_site *site, const char *state, struct writer *out)
{
    char page[2048];
    int n = snprintf(page, sizeof(page),
                     "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>\n"
                     "<style>body{font:1.1em sans-serif;margin:20vh auto;max-width:30em;text-align:center}"
                     "a{display:inline-block;padding:.6em 2em;background:#246;color:#fff;border-radius:.3em;"
                     "text-decoration:none}</style></head>\n"
                     "<body><h1>%s</h1><p>The machine is <b>%s</b>.</p>\n"
                     "<p><a href=\"/" VIEWER "\">Show its screen</a></p></body></html>\n",
                     site->name, site->name, state);

    http_respond_with(out, "200 OK", "text/html; charset=utf-8", page, (size_t)n);
}

static const struct page *find_page(const struct web_site *site, const char *path)
{
    for (size_t i = 0; i < site->count; i++)
        if (strcmp(site->pages[i].path, path) == 0)
            return &site->pages[i];
    return NULL;
}

void web_answer(const struct web_site *site, const struct http_request *request, const char *state, struct writer *out)
{
    static const char missing[] = "There is no such page.\n";
    const struct page *page = find_page(site, request->path);

    if (strcmp(request->path, "/") == 0)
        answer_start(site, state, out);
    else if (page)
        http_respond_with(out, "200 OK", page->type, page->content, page->size);
    else
        http_respond_with(out, "404 Not Found", "text/plain", missing, strlen(missing));
}
