#include "guest/agent/monitors.h"

#include <errno.h>

#define MAX_SIZE  16384 /* pixels of a monitor, each way */
#define MAX_PLACE 32768

void monitors_bound(struct link_screen *screen)
{
    screen->width = screen->height = 0;
    for (uint32_t i = 0; i < screen->count; i++) {
        const struct link_monitor *m = &screen->monitors[i];

        if (!m->width)
            continue;
        screen->width = MAX(screen->width, (uint32_t)m->x + m->width);
        screen->height = MAX(screen->height, (uint32_t)m->y + m->height);
    }
}

static void place_side_by_side(struct link_screen *wish)
{
    int32_t x = 0;

    for (uint32_t i = 0; i < wish->count; i++) {
        wish->monitors[i].x = x;
        wish->monitors[i].y = 0;
        x += (int32_t)wish->monitors[i].width;
    }
}

/* A client's desktop may begin anywhere, the guest's begins at 0, 0. */
static void move_to_origin(struct link_screen *wish)
{
    int32_t left = INT32_MAX, top = INT32_MAX;

    for (uint32_t i = 0; i < wish->count; i++) {
        const struct link_monitor *m = &wish->monitors[i];

        left = m->width ? MIN(left, m->x) : left;
        top = m->width ? MIN(top, m->y) : top;
    }
    for (uint32_t i = 0; i < wish->count; i++) {
        wish->monitors[i].x -= wish->monitors[i].width ? left : wish->monitors[i].x;
        wish->monitors[i].y -= wish->monitors[i].width ? top : wish->monitors[i].y;
    }
}

static bool is_sane(const struct link_monitor *m)
{
    return m->width <= MAX_SIZE && m->height <= MAX_SIZE && m->x >= -MAX_PLACE && m->x <= MAX_PLACE &&
           m->y >= -MAX_PLACE && m->y <= MAX_PLACE;
}

int monitors_read(const uint8_t *body, uint32_t size, struct link_screen *wish)
{
    struct reader r;
    uint32_t flags;

    reader_init(&r, body, size);
    *wish = (struct link_screen){.count = reader_u32(&r)};
    flags = reader_u32(&r);
    if (wish->count > MESSAGE_MAX_MONITORS)
        return -EINVAL;
    for (uint32_t i = 0; i < wish->count; i++) {
        struct link_monitor *m = &wish->monitors[i];

        m->height = reader_u32(&r);
        m->width = reader_u32(&r);
        reader_u32(&r); /* bits of a pixel */
        m->x = (int32_t)reader_u32(&r);
        m->y = (int32_t)reader_u32(&r);
        if (!m->width || !m->height)
            *m = (struct link_monitor){0};
        if (!is_sane(m))
            return -EINVAL;
    }
    if (!(flags & VD_AGENT_CONFIG_MONITORS_FLAG_USE_POS))
        place_side_by_side(wish);
    move_to_origin(wish);
    monitors_bound(wish);
    return r.bad || !wish->width ? -EINVAL : 0;
}
