#include "spice/server/alive.h"

static void look(uv_timer_t *timer)
{
    struct alive *a = container_of(timer, struct alive, timer);

    if (!a->heard && a->asked) {
        a->ops->dead(a);
        return;
    }
    a->asked = !a->heard && a->ops->ask(a);
    a->heard = false;
    if (!uv_is_closing((uv_handle_t *)timer)) /* asking may have ended it */
        uv_timer_start(timer, look, a->asked ? a->patience : a->patience / 2, 0);
}

void alive_init(struct alive *a, struct loop *loop, const struct alive_ops *ops, unsigned patience)
{
    a->ops = ops;
    a->patience = patience;
    uv_timer_init(&loop->uv, &a->timer);
    if (patience)
        uv_timer_start(&a->timer, look, patience / 2, 0);
}
