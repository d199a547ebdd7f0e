/*
 * notice.h - how it stands with the server, in words in the middle of a window: connecting, a password or trust
 * asked for, no picture, the connection lost or ended. It takes the keys while it asks for something.
 */
#ifndef CLIENT_NOTICE_H
#define CLIENT_NOTICE_H

#include "client/button.h"
#include "client/status.h"

#define NOTICE_BUTTONS  2
#define NOTICE_PASSWORD 256 /* bytes, with the end */

enum notice_action { NOTICE_NONE, NOTICE_ANSWER, NOTICE_REFUSE, NOTICE_RETRY, NOTICE_CLOSE };

struct notice {
    struct client_status status;
    bool was_connected; /* since the user last asked for it */
    char answer[NOTICE_PASSWORD];
    struct button buttons[NOTICE_BUTTONS]; /* where they were drawn last; of the window that shows them */
    unsigned count;
};

struct monitor;
struct window;

/* Take over another status. */
void notice_set(struct window *w, const struct client_status *status);
/* Keys and text go to the notice. */
bool notice_has_keys(const struct notice *n);
void notice_key(struct window *w, const SDL_KeyboardEvent *key);
void notice_text(struct window *w, const char *typed);
/* A click; true: the notice covers the picture, so that it is no click for the guest. */
bool notice_click(struct monitor *m, int x, int y);
/* When the words change by themselves. */
uint64_t notice_due(const struct notice *n, uint64_t now);
void notice_draw(struct monitor *m);

#endif
