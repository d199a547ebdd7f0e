#include "client/window_options.h"

#include "base/error.h"
#include "base/options.h"
#include "client/view.h"

#include <errno.h>
#include <string.h>

void window_options_init(struct window_options *o)
{
    *o = (struct window_options){.percent = VIEW_FIT, .resize = WINDOW_RESIZE_GUEST, .grab_keyboard = true};
    hotkeys_init(&o->hotkeys);
}

int window_options_set_scale(struct window_options *o, const char *text)
{
    uint64_t percent = VIEW_FIT;

    if (strcmp(text, "fit") != 0 && parse_unsigned(text, VIEW_MIN_PERCENT, VIEW_MAX_PERCENT, &percent))
        return fail(-EINVAL, "'%s' is neither 'fit' nor a number of per cent from %d to %d", text, VIEW_MIN_PERCENT,
                    VIEW_MAX_PERCENT);
    o->percent = (unsigned)percent;
    return 0;
}

int window_options_set_resize(struct window_options *o, const char *text)
{
    static const char *const choices[] = {"guest", "window", "none", NULL};
    int choice = parse_choice(text, choices);

    if (choice < 0)
        return choice;
    o->resize = (enum window_resize)choice;
    return 0;
}

int window_options_set_grab(struct window_options *o, const char *text)
{
    static const char *const choices[] = {"none", "keyboard", NULL};
    int choice = parse_choice(text, choices);

    if (choice < 0)
        return choice;
    o->grab_keyboard = choice == 1;
    return 0;
}
