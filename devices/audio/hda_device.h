/*
 * hda_device.h - the controller, for its own files: hda.c has the registers, hda_ring.c the commands, hda_stream.c the
 * streams, hda_codec.c the codec.
 *
 * Registers are bytes, as a driver sees them; masks say what it may write. What follows from a write is done after it.
 */
#ifndef DEVICES_AUDIO_HDA_DEVICE_H
#define DEVICES_AUDIO_HDA_DEVICE_H

#include "base/bytes.h"
#include "base/log.h"
#include "base/timer.h"
#include "devices/audio/hda_codec.h"
#include "devices/audio/pace.h"
#include "devices/audio/pcm.h"

#define HDA_INPUTS  4
#define HDA_OUTPUTS 4
#define HDA_STREAMS (HDA_INPUTS + HDA_OUTPUTS)

/* Registers, HD Audio 1.0a, 3.3 */
enum {
    GCAP = 0x00,
    VMAJ = 0x03,
    OUTPAY = 0x04,
    INPAY = 0x06,
    GCTL = 0x08,
    WAKEEN = 0x0c,
    STATESTS = 0x0e,
    GSTS = 0x10,
    INTCTL = 0x20,
    INTSTS = 0x24,
    WALCLK = 0x30,
    SSYNC = 0x34, /* where the ICH6 has it; the specification's 0x38 came later */
    CORBLBASE = 0x40,
    CORBUBASE = 0x44,
    CORBWP = 0x48,
    CORBRP = 0x4a,
    CORBCTL = 0x4c,
    CORBSTS = 0x4d,
    CORBSIZE = 0x4e,
    RIRBLBASE = 0x50,
    RIRBUBASE = 0x54,
    RIRBWP = 0x58,
    RINTCNT = 0x5a,
    RIRBCTL = 0x5c,
    RIRBSTS = 0x5d,
    RIRBSIZE = 0x5e,
    ICW = 0x60,
    IRR = 0x64,
    ICS = 0x68,
    DPLBASE = 0x70,
    DPUBASE = 0x74,
    STREAMS = 0x80,
    STREAM_SIZE = 0x20,
    REGISTERS = STREAMS + HDA_STREAMS * STREAM_SIZE,
    /* The same once more, where a user's program may be let at them. */
    WALCLK_ALIAS = 0x2030,
    LPIB_ALIAS = 0x2084,
    REGISTER_SPACE = 0x4000,
};

/* Of a stream, 3.3.35 and on */
enum {
    SDCTL = 0x00, /* 24 bits */
    SDSTS = 0x03,
    SDLPIB = 0x04,
    SDCBL = 0x08,
    SDLVI = 0x0c,
    SDFIFOS = 0x10,
    SDFMT = 0x12,
    SDBDPL = 0x18,
    SDBDPU = 0x1c,
};

enum { GCTL_RUN = 1 << 0, GCTL_UNSOLICITED = 1 << 8 };
enum { CORBCTL_RUN = 1 << 1 };
enum { RIRBCTL_INTERRUPT = 1 << 0, RIRBCTL_RUN = 1 << 1, RIRBCTL_OVERRUN = 1 << 2 };
enum { RIRBSTS_RESPONSE = 1 << 0, RIRBSTS_OVERRUN = 1 << 2 };
enum { SDCTL_RESET = 1 << 0, SDCTL_RUN = 1 << 1, SDCTL_ENABLES = 7 << 2 };
/* The enables of SDCTL are in the same places. */
enum { SDSTS_COMPLETE = 1 << 2, SDSTS_FIFO_ERROR = 1 << 3, SDSTS_BDL_ERROR = 1 << 4, SDSTS_FIFO_READY = 1 << 5 };

struct hda_stream {
    bool running;    /* RUN, and it was begun */
    struct pace pace;
    struct pcm pcm;
    uint32_t entry;  /* of the list of buffers */
    uint32_t offset; /* in its buffer */
    uint64_t address;
    uint32_t length; /* 0: the entry was not read yet */
    bool interrupt;  /* when the buffer is at its end */
};

struct hda {
    struct pci_device pci;
    struct region region;
    struct sound *sound;
    struct timer timer;
    struct hda_codec codec;
    uint8_t registers[REGISTERS];
    struct hda_stream streams[HDA_STREAMS];
    uint32_t responses; /* since the last interrupt for them */
    uint32_t signalled; /* INTSTS as the last interrupt told it */
    uint64_t clock_zero; /* of WALCLK, on the machine's clock */
};

static inline uint8_t *hda_stream_registers(struct hda *hda, unsigned n)
{
    return hda->registers + STREAMS + n * STREAM_SIZE;
}

static inline bool hda_stream_is_input(unsigned n)
{
    return n < HDA_INPUTS;
}

/* hda.c: what may have changed goes to INTSTS and the interrupt. */
void hda_update_interrupt(struct hda *hda);
/* The main loop looks after the streams at once. */
void hda_wake(struct hda *hda);

/* hda_ring.c */
void hda_run_commands(struct hda *hda);
void hda_immediate_command(struct hda *hda);

/* hda_stream.c. After a write to SDCTL, whose bytes before it were these. */
void hda_stream_control(struct hda *hda, unsigned n, uint32_t before);
/* SSYNC was written. */
void hda_streams_synchronize(struct hda *hda);
void hda_streams_reset(struct hda *hda);
/* The timer's. */
void hda_streams_run(void *opaque);
void hda_stream_save(const struct hda_stream *s, struct writer *w);
void hda_stream_load(struct hda *hda, unsigned n, struct reader *r);

#endif
