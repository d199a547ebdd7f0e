#include "backend/input.h"

void input_init(struct input *input)
{
    TAILQ_INIT(&input->sinks);
    TAILQ_INIT(&input->listeners);
    input->leds = 0;
}

bool input_has_absolute(const struct input *input)
{
    const struct input_sink *sink;

    TAILQ_FOREACH(sink, &input->sinks, link)
        if (sink->position)
            return true;
    return false;
}

static void tell_absolute(struct input *input)
{
    struct input_listener *listener;

    TAILQ_FOREACH(listener, &input->listeners, link)
        if (listener->absolute)
            listener->absolute(listener, input_has_absolute(input));
}

void input_add_sink(struct input *input, struct input_sink *sink)
{
    TAILQ_INSERT_HEAD(&input->sinks, sink, link);
    if (sink->position)
        tell_absolute(input);
}

void input_remove_sink(struct input *input, struct input_sink *sink)
{
    TAILQ_REMOVE(&input->sinks, sink, link);
    if (sink->position)
        tell_absolute(input);
}

void input_add_listener(struct input *input, struct input_listener *listener)
{
    TAILQ_INSERT_TAIL(&input->listeners, listener, link);
    if (listener->leds)
        listener->leds(listener, input->leds);
    if (listener->absolute)
        listener->absolute(listener, input_has_absolute(input));
}

void input_remove_listener(struct input *input, struct input_listener *listener)
{
    TAILQ_REMOVE(&input->listeners, listener, link);
}

/* Hand the event to the newest sink that takes its kind. */
#define DELIVER(input, op, ...)                                                                    \
    do {                                                                                           \
        struct input_sink *sink_;                                                                  \
        TAILQ_FOREACH(sink_, &(input)->sinks, link)                                                \
            if (sink_->op) {                                                                       \
                sink_->op(sink_, __VA_ARGS__);                                                     \
                break;                                                                             \
            }                                                                                      \
    } while (0)

void input_scancode(struct input *input, uint8_t code)
{
    DELIVER(input, scancode, code);
}

void input_motion(struct input *input, int dx, int dy, int wheel, unsigned buttons)
{
    DELIVER(input, motion, dx, dy, wheel, buttons);
}

void input_position(struct input *input, unsigned display, unsigned x, unsigned y, int wheel, unsigned buttons)
{
    DELIVER(input, position, display, x, y, wheel, buttons);
}

void input_set_leds(struct input *input, unsigned leds)
{
    struct input_listener *listener;

    if (input->leds == leds)
        return;
    input->leds = leds;
    TAILQ_FOREACH(listener, &input->listeners, link)
        if (listener->leds)
            listener->leds(listener, leds);
}
