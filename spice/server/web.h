/*
 * web.h - the page by which a browser shows the machine: Debian's spice-html5, and one before it that says what machine it is.
 *
 * The files are read once, when the site is made: nothing that a stranger asks for reaches the file system.
 *
 * Thread: the main loop's.
 */
#ifndef SPICE_SERVER_WEB_H
#define SPICE_SERVER_WEB_H

#include "spice/server/http.h"

struct web_site;

/* `folder`: with the files of spice-html5. Errors come with fail_text(). */
int web_site_create(struct web_site **site, const char *folder, const char *name);
void web_site_destroy(struct web_site *site); /* NULL is fine */

/* Answer a request for a page. `state`: the machine's, in a word. */
void web_answer(const struct web_site *site, const struct http_request *request, const char *state, struct writer *out);

#endif
