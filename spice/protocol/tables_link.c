/* The link stage and the message headers. */
#include "spice/protocol/tables.h"

#define T struct spice_link_header
static const struct msg_field spice_link_header_type_fields[] = {
    {U32(magic)},
    {U32(major)},
    {U32(minor)},
    {U32(size)},
};
TYPE(spice_link_header_type, "link_header");
#undef T

/* caps_offset counts from the start of the message, as every offset pointer does. */
#define CAPS                                                                                       \
    POINTED(caps, MSG_POINTER_ARRAY), INTEGERS(caps),                                              \
        .count = {                                                                                 \
            .a = REF(num_common_caps), .plus = REF(num_channel_caps), .max = SPICE_LINK_MAX_CAPS}

#define T struct spice_link_mess
static const struct msg_field spice_link_mess_type_fields[] = {
    {U32(connection_id)},   {U8(channel_type)},      {U8(channel_id)},
    {U32(num_common_caps)}, {U32(num_channel_caps)}, {CAPS},
};
TYPE(spice_link_mess_type, "link_mess");
#undef T

#define T struct spice_link_reply
static const struct msg_field spice_link_reply_type_fields[] = {
    {U32(error)}, {BYTES_FIXED(pub_key)}, {U32(num_common_caps)}, {U32(num_channel_caps)}, {CAPS},
};
TYPE(spice_link_reply_type, "link_reply");
#undef T

#define T struct spice_link_auth
static const struct msg_field spice_link_auth_type_fields[] = {{U32(mechanism)}};
TYPE(spice_link_auth_type, "link_auth");
#undef T

#define T struct spice_link_ticket
static const struct msg_field spice_link_ticket_type_fields[] = {{BYTES_FIXED(encrypted)}};
TYPE(spice_link_ticket_type, "link_ticket");
#undef T

#define T struct spice_link_result
static const struct msg_field spice_link_result_type_fields[] = {{U32(error)}};
TYPE(spice_link_result_type, "link_result");
#undef T

#define T struct spice_header
static const struct msg_field spice_header_type_fields[] = {
    {U64(serial)},
    {U16(type)},
    {U32(size)},
    {U32(sub_list)},
};
TYPE(spice_header_type, "header");

static const struct msg_field spice_mini_header_type_fields[] = {{U16(type)}, {U32(size)}};
TYPE(spice_mini_header_type, "mini_header");
#undef T
