#include "guest/agent/message.h"

#define MONITOR    (sizeof(VDAgentMonConfig) + sizeof(VDAgentMonitorMM))
#define HEADER     12 /* a selection and a serial, where the client sends them, and a type */
#define MAX_CAPS   (16 * 4)
#define MAX_TYPES  (32 * 4)
#define MAX_START  4096
#define MAX_DETAIL 64

static const struct message_rule rules[] = {
    {VD_AGENT_MOUSE_STATE, "MOUSE_STATE", sizeof(VDAgentMouseState), sizeof(VDAgentMouseState), false},
    {VD_AGENT_MONITORS_CONFIG, "MONITORS_CONFIG", sizeof(VDAgentMonitorsConfig),
     sizeof(VDAgentMonitorsConfig) + MESSAGE_MAX_MONITORS * MONITOR, true},
    {VD_AGENT_ANNOUNCE_CAPABILITIES, "ANNOUNCE_CAPABILITIES", sizeof(VDAgentAnnounceCapabilities),
     sizeof(VDAgentAnnounceCapabilities) + MAX_CAPS, false},
    {VD_AGENT_CLIPBOARD, "CLIPBOARD", sizeof(VDAgentClipboard), HEADER + CLIPBOARD_MAX, true},
    {VD_AGENT_CLIPBOARD_GRAB, "CLIPBOARD_GRAB", 0, HEADER + MAX_TYPES, true},
    {VD_AGENT_CLIPBOARD_REQUEST, "CLIPBOARD_REQUEST", sizeof(VDAgentClipboardRequest), HEADER, true},
    {VD_AGENT_CLIPBOARD_RELEASE, "CLIPBOARD_RELEASE", 0, HEADER, true},
    {VD_AGENT_FILE_XFER_START, "FILE_XFER_START", sizeof(VDAgentFileXferStartMessage), MAX_START, true},
    {VD_AGENT_FILE_XFER_STATUS, "FILE_XFER_STATUS", sizeof(VDAgentFileXferStatusMessage),
     sizeof(VDAgentFileXferStatusMessage) + MAX_DETAIL, true},
    {VD_AGENT_FILE_XFER_DATA, "FILE_XFER_DATA", sizeof(VDAgentFileXferDataMessage),
     sizeof(VDAgentFileXferDataMessage) + MESSAGE_MAX_FILE_DATA, true},
    {VD_AGENT_CLIENT_DISCONNECTED, "CLIENT_DISCONNECTED", 0, 0, false},
    {VD_AGENT_MAX_CLIPBOARD, "MAX_CLIPBOARD", sizeof(VDAgentMaxClipboard), sizeof(VDAgentMaxClipboard), true},
};

const struct message_rule *message_find(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].type == type)
            return &rules[i];
    return NULL;
}
