/*
 * hda.h - Intel ICH6's High Definition Audio controller (8086:2668) with one codec (HD Audio 1.0a; ICH6 datasheet, 18.2).
 *
 * Four input and four output streams, CORB and RIRB, immediate commands, the position buffer, MSI. A stream moves on by the
 * machine's clock, every few milliseconds and whenever a buffer ends; what the guest plays goes to the card's seam, and
 * what it records comes from there (backend/sound.h). Volume and mute are told there, not applied.
 *
 * Thread: as all devices; streams run in the main loop.
 */
#ifndef DEVICES_AUDIO_HDA_H
#define DEVICES_AUDIO_HDA_H

#include "backend/sound.h"
#include "vmm/pci.h"

enum hda_codec_kind {
    HDA_DUPLEX, /* line out, line in: 1af4:0022 */
    HDA_OUTPUT, /* line out: 1af4:0012 */
    HDA_MICRO,  /* speaker, microphone: 1af4:0032 */
};

/* The seam is the caller's and outlives the card. NULL with errno. */
struct pci_device *hda_create(struct machine *machine, uint8_t devfn, enum hda_codec_kind kind, struct sound *sound);

#endif
