/*
 * clipboard.h - whose each selection is, the client's or the guest's, and what they ask of each other. No input or
 * output.
 *
 * The session's display (X11) and the client are two ends of the same: each may take a selection, which offers content
 * in some types, and each may ask the other for it. Thread: the loop's.
 */
#ifndef GUEST_AGENT_CLIPBOARD_H
#define GUEST_AGENT_CLIPBOARD_H

#include "base/bytes.h"
#include "guest/agent/message.h"

#define CLIPBOARD_SHARED 2 /* VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD and _PRIMARY */
#define CLIPBOARD_TYPES  (1u << VD_AGENT_CLIPBOARD_UTF8_TEXT | 1u << VD_AGENT_CLIPBOARD_IMAGE_PNG | \
                         1u << VD_AGENT_CLIPBOARD_IMAGE_BMP | 1u << VD_AGENT_CLIPBOARD_IMAGE_TIFF |  \
                         1u << VD_AGENT_CLIPBOARD_IMAGE_JPG)

/* What the display does; types are bits, 1 << VD_AGENT_CLIPBOARD_*. */
struct clipboard_display {
    void (*own)(void *opaque, unsigned selection, uint32_t types); /* the client has taken it; perhaps again */
    void (*disown)(void *opaque, unsigned selection);
    void (*fetch)(void *opaque, unsigned selection, uint32_t type); /* ends in clipboard_fetched() */
    /* What was asked for by clipboard_wanted(); VD_AGENT_CLIPBOARD_NONE: there is nothing. */
    void (*supply)(void *opaque, unsigned selection, uint32_t type, const uint8_t *data, uint32_t size);
};

/* To the client; the message has a u32 of the selection first. */
typedef void clipboard_send_fn(void *opaque, uint32_t type, const void *body, uint32_t size);

enum clipboard_owner { CLIPBOARD_NOBODY, CLIPBOARD_GUEST, CLIPBOARD_CLIENT };

struct clipboard {
    const struct clipboard_display *display;
    void *display_opaque;
    clipboard_send_fn *send;
    void *send_opaque;
    bool client; /* there is one */
    int64_t max; /* bytes that it takes; -1: any */
    struct {
        enum clipboard_owner owner;
        uint32_t types;
    } selections[CLIPBOARD_SHARED];
};

void clipboard_init(struct clipboard *c, clipboard_send_fn *send, void *opaque);
void clipboard_set_display(struct clipboard *c, const struct clipboard_display *display, void *opaque);
/* A client has come or gone: it hears what the guest has; what was its own is nobody's. */
void clipboard_set_client(struct clipboard *c, bool present);
/* VD_AGENT_CLIPBOARD*, _MAX_CLIPBOARD. */
void clipboard_message(struct clipboard *c, uint32_t type, const uint8_t *body, uint32_t size);

/* --- from the display --- */

void clipboard_grabbed(struct clipboard *c, unsigned selection, uint32_t types);
void clipboard_released(struct clipboard *c, unsigned selection);
void clipboard_wanted(struct clipboard *c, unsigned selection, uint32_t type);
/* VD_AGENT_CLIPBOARD_NONE: it could not be had. */
void clipboard_fetched(struct clipboard *c, unsigned selection, uint32_t type, const uint8_t *data, size_t size);

#endif
