/* Commands for the codec and its responses: by rings in memory (HD Audio 1.0a, 4.4), or one at a time (3.4). */
#include "devices/audio/hda_device.h"

#define RING_SIZE 256

enum { ICS_BUSY = 1 << 0, ICS_VALID = 1 << 1 };

/* There is one codec, at address 0; nobody answers for others. */
static bool run(struct hda *hda, uint32_t command, uint32_t *response)
{
    if (command >> 28)
        return false;
    *response = hda_codec_verb(&hda->codec, command & 0x0fffffff);
    hda_wake(hda);
    return true;
}

static void respond(struct hda *hda, uint32_t response)
{
    uint8_t *r = hda->registers, entry[8] = {0};
    unsigned place = (r[RIRBWP] + 1) % RING_SIZE, wanted = r[RINTCNT] ? r[RINTCNT] : RING_SIZE;

    if (!(r[RIRBCTL] & RIRBCTL_RUN))
        return;
    store_le32(entry, response);
    if (memory_write(hda->pci.base.machine->memory, load_le64(r + RIRBLBASE) + place * sizeof(entry), entry, sizeof(entry)))
        log_once(LOG_WARN, "hda: the guest's ring of responses is not in memory");
    r[RIRBWP] = (uint8_t)place;
    if (++hda->responses < wanted)
        return;
    hda->responses = 0;
    r[RIRBSTS] |= RIRBSTS_RESPONSE;
}

void hda_run_commands(struct hda *hda)
{
    uint8_t *r = hda->registers, command[4];
    uint32_t response;

    /* At most the whole ring: the pointers are a byte each. */
    while (r[CORBCTL] & CORBCTL_RUN && r[CORBRP] != r[CORBWP]) {
        r[CORBRP]++;
        if (memory_read(hda->pci.base.machine->memory, load_le64(r + CORBLBASE) + r[CORBRP] * sizeof(command), command,
                        sizeof(command))) {
            log_once(LOG_WARN, "hda: the guest's ring of commands is not in memory");
            r[CORBCTL] &= ~CORBCTL_RUN;
            r[CORBSTS] |= 1;
        } else if (run(hda, load_le32(command), &response)) {
            respond(hda, response);
        }
    }
    hda_update_interrupt(hda);
}

void hda_immediate_command(struct hda *hda)
{
    uint8_t *r = hda->registers;
    uint32_t response;

    if (!(r[ICS] & ICS_BUSY))
        return;
    r[ICS] &= ~(ICS_BUSY | ICS_VALID);
    if (!run(hda, load_le32(r + ICW), &response))
        return;
    store_le32(r + IRR, response);
    r[ICS] |= ICS_VALID;
}
