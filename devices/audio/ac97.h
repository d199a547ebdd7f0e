/*
 * ac97.h - Intel ICH's AC'97 controller (8086:2415) with one codec (AC'97 2.3; ICH datasheet, 290655, 13): for systems from
 * before HD Audio.
 *
 * PCM out, PCM in and microphone, each with a list of 32 buffers; variable rates. As the HD Audio card it moves on by the
 * machine's clock, and has the seam of backend/sound.h. Of both inputs one is heard at a time, PCM in first.
 *
 * Thread: as all devices; streams run in the main loop.
 */
#ifndef DEVICES_AUDIO_AC97_H
#define DEVICES_AUDIO_AC97_H

#include "backend/sound.h"
#include "vmm/pci.h"

/* The seam is the caller's and outlives the card. NULL with errno. */
struct pci_device *ac97_create(struct machine *machine, uint8_t devfn, struct sound *sound);

#endif
