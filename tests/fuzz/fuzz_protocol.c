/* One byte chooses the message, the rest is its body: what decodes must print, and encode to what decodes the same. */
#include "spice/protocol/messages.h"

#include <stdlib.h>

#define MAX_TYPES 256

static const struct msg_type *types[MAX_TYPES];
static unsigned type_count;

static void add_type(unsigned channel UNUSED, enum spice_direction direction UNUSED,
                     const struct spice_msg_info *info, void *arg UNUSED)
{
    if (type_count < MAX_TYPES)
        types[type_count++] = info->type;
}

static void collect_types(void)
{
    const struct spice_msg_info link[] = {{0, "link_mess", &spice_link_mess_type},
                                          {0, "link_reply", &spice_link_reply_type}};

    add_type(0, 0, &link[0], NULL);
    add_type(0, 0, &link[1], NULL);
    spice_msg_for_each(add_type, NULL);
}

static void check_again(const struct msg_type *type, const struct writer *w)
{
    struct msg_arena arena = {.max = 4 * MSG_ARENA_MAX};
    void *out;

    if (msg_decode(type, w->data, w->size, &arena, &out))
        abort();
    msg_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg_arena arena = {0};
    const struct msg_type *type;
    struct writer w;
    char text[512];
    void *out;

    if (!type_count)
        collect_types();
    if (!size)
        return 0;
    type = types[data[0] % type_count];
    writer_init(&w, MIB(8));
    if (msg_decode(type, data + 1, size - 1, &arena, &out) == 0) {
        msg_print(type, out, text, sizeof(text));
        if (msg_encode(type, out, &w) == 0)
            check_again(type, &w);
    }
    writer_fini(&w);
    msg_arena_fini(&arena);
    return 0;
}
