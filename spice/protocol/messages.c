/* Which messages a channel has. */
#include "spice/protocol/tables.h"

static const struct {
    unsigned channel;
    const struct spice_msg_list *lists[3];
} channels[] = {
    {SPICE_CHANNEL_MAIN, {spice_common_list, spice_main_list}},
    {SPICE_CHANNEL_DISPLAY, {spice_common_list, spice_draw_list, spice_display_list}},
    {SPICE_CHANNEL_INPUTS, {spice_common_list, spice_inputs_list}},
    {SPICE_CHANNEL_CURSOR, {spice_common_list, spice_cursor_list}},
    {SPICE_CHANNEL_PLAYBACK, {spice_common_list, spice_playback_list}},
    {SPICE_CHANNEL_RECORD, {spice_common_list, spice_record_list}},
    {SPICE_CHANNEL_PORT, {spice_common_list, spice_port_list}},
    {SPICE_CHANNEL_WEBDAV, {spice_common_list, spice_port_list}},
};

static const struct spice_msg_info *list_find(const struct spice_msg_list *list, unsigned id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->messages[i].id == id)
            return &list->messages[i];
    return NULL;
}

const struct spice_msg_info *spice_msg_find(unsigned channel, enum spice_direction direction,
                                            unsigned id)
{
    const struct spice_msg_info *info = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(channels); i++) {
        if (channels[i].channel != channel)
            continue;
        for (size_t k = 0; k < ARRAY_SIZE(channels[i].lists) && channels[i].lists[k] && !info; k++)
            info = list_find(&channels[i].lists[k][direction], id);
    }
    return info;
}

void spice_msg_for_each(void (*fn)(unsigned channel, enum spice_direction direction,
                                   const struct spice_msg_info *info, void *arg),
                        void *arg)
{
    for (size_t i = 0; i < ARRAY_SIZE(channels); i++)
        for (size_t k = 0; k < ARRAY_SIZE(channels[i].lists) && channels[i].lists[k]; k++)
            for (int d = 0; d < 2; d++)
                for (size_t m = 0; m < channels[i].lists[k][d].count; m++)
                    fn(channels[i].channel, d, &channels[i].lists[k][d].messages[m], arg);
}
