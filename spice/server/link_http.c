/* link_http.c - a link that begins as HTTP: a page is its end, a websocket begins it anew. */
#include "base/log.h"
#include "spice/server/http.h"
#include "spice/server/link_private.h"
#include "spice/server/web.h"

#include <stdio.h>

static void answer(struct link *link, const char *status, const char *why)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s\n", why);

    http_respond_with(&link->out, status, "text/plain", text, (size_t)n);
}

/* With TLS pages come by it: each port takes it. */
static void redirect(struct link *link, const struct http_request *r)
{
    char headers[HTTP_MAX_HOST + HTTP_MAX_PATH + 80];

    snprintf(headers, sizeof(headers), "Location: https://%s%s\r\nContent-Length: 0\r\nConnection: close\r\n", r->host,
             r->path);
    http_respond(&link->out, "308 Permanent Redirect", headers);
}

static void answer_page(struct link *link, const struct http_request *r)
{
    const struct spice_server *server = link->server;

    if (!server->site)
        answer(link, "426 Upgrade Required", "There are no pages here; SPICE over a websocket may come.");
    else if (server->tls && !link->stream->secure && *r->host)
        redirect(link, r);
    else
        web_answer(server->site, r, server->state ? server->state(server->state_opaque) : "running", &link->out);
}

static void answer_request(struct link *link, const struct http_request *r, bool more)
{
    link_expect(link, LINK_END, 0);
    if (!http_is_own(r)) {
        log_info("spice: %s refused: a page of '%s' asks for '%s'", link->stream->peer, r->origin, r->host);
        answer(link, "403 Forbidden", "Only pages of this machine may come here, by an address, localhost or this host's name.");
    } else if (!r->upgrade) {
        answer_page(link, r);
    } else if (more || (r->protocols && !r->binary)) {
        answer(link, "400 Bad Request", "A websocket here has the protocol 'binary', and waits for the answer.");
    } else {
        http_upgrade(&link->out, r);
        link->state = LINK_UPGRADE;
    }
}

void link_take_request(struct link *link)
{
    struct http_request r;
    ssize_t size = http_parse(link->in, link->have, &r);

    if (size == 0 && link->have < link->need)
        return;
    if (size > 0) {
        answer_request(link, &r, (size_t)size < link->have);
    } else {
        link_expect(link, LINK_END, 0);
        answer(link, "400 Bad Request", "That is no request that is understood here.");
    }
    link_flush(link);
}
