/* window_options.h - what the command line and .vv files say of the window; part of struct client_options. */
#ifndef CLIENT_WINDOW_OPTIONS_H
#define CLIENT_WINDOW_OPTIONS_H

#include "client/hotkeys.h"

enum window_resize {
    WINDOW_RESIZE_GUEST,  /* the guest is asked for the window's size, and the window follows the guest */
    WINDOW_RESIZE_WINDOW, /* the window follows the guest */
    WINDOW_RESIZE_NONE,
};

struct window_options {
    unsigned percent; /* view.h */
    enum window_resize resize;
    bool full_screen;
    bool grab_keyboard; /* while the window has the focus */
    bool view_only;     /* nothing goes to the guest */
    bool stats;         /* the title says how fast the picture is */
    bool chooses_hotkeys; /* the command line named them */
    struct hotkeys hotkeys;
    char title[128]; /* "": the machine's name */
};

void window_options_init(struct window_options *o);
/* 0, or -EINVAL with fail_text(). */
int window_options_set_scale(struct window_options *o, const char *text);
int window_options_set_resize(struct window_options *o, const char *text);
int window_options_set_grab(struct window_options *o, const char *text);

#endif
