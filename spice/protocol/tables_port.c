/* Channels of bytes: a port of the guest's, WebDAV among them. */
#include "spice/protocol/tables.h"

#define MAX_NAME 1024

#define T struct spice_msg_port_init
static const struct msg_field port_init_fields[] = {{U32(size)}, {POINTER_INT(name, size, MAX_NAME)}, {U8(opened)}};
static TYPE(port_init, "port_init");
#undef T

#define T struct spice_msg_port_event
static const struct msg_field port_event_fields[] = {{U8(event)}};
static TYPE(port_event, "port_event");
#undef T

static const struct spice_msg_info to_client[] = {
    {SPICE_MSG_SPICEVMC_DATA, "data", &spice_data_type},
    {SPICE_MSG_PORT_INIT, "init", &port_init},
    {SPICE_MSG_PORT_EVENT, "event", &port_event},
};

static const struct spice_msg_info to_server[] = {
    {SPICE_MSGC_SPICEVMC_DATA, "data", &spice_data_type},
    {SPICE_MSGC_PORT_EVENT, "event", &port_event},
};

const struct spice_msg_list spice_port_list[2] = {LIST(to_client), LIST(to_server)};
