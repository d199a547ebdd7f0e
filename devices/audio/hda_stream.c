/*
 * Streams: samples between the guest's lists of buffers (HD Audio 1.0a, 3.6) and the seam, by the machine's clock.
 *
 * All of it is done in the main loop: the timer fires when a buffer ends, and often enough that positions are fresh. The
 * device lock is held while the guest's memory and the registers are used, and not while others hear or speak.
 */
#include "devices/audio/hda_device.h"

#include <string.h>

#define CHUNK_FRAMES 480
#define MAX_FRAME    (16 * 4)
/* Entries of a list that may follow each other in one chunk: the list, twice. */
#define MAX_ENTRIES  512

struct entry {
    uint64_t address;
    uint32_t length;
    bool interrupt;
};

static uint64_t now_of(struct hda *hda)
{
    return machine_clock(hda->pci.base.machine);
}

/* --- format, 3.7.1 --- */

static bool parse_format(uint16_t format, struct pcm *pcm)
{
    static const uint8_t bytes[8] = {1, 2, 4, 4, 4};
    unsigned multiply = (format >> 11 & 7) + 1, divide = (format >> 8 & 7) + 1;

    pcm->rate = (format & 1 << 14 ? 44100 : 48000) * multiply / divide;
    pcm->bytes = bytes[format >> 4 & 7];
    pcm->channels = (format & 15) + 1;
    return !(format & 1 << 15) && pcm->bytes && pcm->rate <= SOUND_MAX_RATE;
}

/* --- the list of buffers --- */

/* The guest has programmed nonsense: the stream says so and stands still. */
static void stop_bad(struct hda *hda, unsigned n, const char *what)
{
    log_once(LOG_WARN, "hda: the guest's stream %u has %s", n, what);
    hda->streams[n].running = false;
    hda_stream_registers(hda, n)[SDSTS] |= SDSTS_BDL_ERROR;
    hda_wake(hda); /* whoever hears is to be told */
}

static bool read_entry(struct hda *hda, unsigned n)
{
    struct hda_stream *s = &hda->streams[n];
    const uint8_t *r = hda_stream_registers(hda, n);
    uint8_t raw[16];

    if (memory_read(hda->pci.base.machine->memory, load_le64(r + SDBDPL) + s->entry * sizeof(raw), raw, sizeof(raw)))
        return false;
    s->address = load_le64(raw);
    s->length = load_le32(raw + 8);
    s->interrupt = raw[12] & 1;
    s->offset = 0;
    return true;
}

static void end_entry(struct hda *hda, unsigned n)
{
    struct hda_stream *s = &hda->streams[n];
    uint8_t *r = hda_stream_registers(hda, n);

    if (s->interrupt)
        r[SDSTS] |= SDSTS_COMPLETE;
    s->entry = s->entry < r[SDLVI] ? s->entry + 1 : 0;
    s->length = 0;
}

/* What of memory comes next: at most `size` bytes of one buffer. NULL: there is none, and the stream was stopped. */
static uint8_t *next_bytes(struct hda *hda, unsigned n, size_t *size)
{
    struct hda_stream *s = &hda->streams[n];
    const uint8_t *r = hda_stream_registers(hda, n);
    uint32_t cyclic = load_le32(r + SDCBL), position = load_le32(r + SDLPIB);
    uint8_t *bytes;

    for (unsigned i = 0; !s->length; i++) {
        if (i > MAX_ENTRIES || !read_entry(hda, n)) {
            stop_bad(hda, n, "a list of buffers that holds nothing");
            return NULL;
        }
        if (!s->length)
            end_entry(hda, n);
    }
    if (position >= cyclic) {
        stop_bad(hda, n, "buffers of no length");
        return NULL;
    }
    *size = MIN(*size, MIN(s->length - s->offset, cyclic - position));
    bytes = memory_pointer(hda->pci.base.machine->memory, s->address + s->offset, *size);
    if (!bytes)
        stop_bad(hda, n, "a buffer that is not in memory");
    return bytes;
}

static void pass(struct hda *hda, unsigned n, size_t size)
{
    struct hda_stream *s = &hda->streams[n];
    uint8_t *r = hda_stream_registers(hda, n);
    uint32_t position = load_le32(r + SDLPIB) + (uint32_t)size;

    store_le32(r + SDLPIB, position < load_le32(r + SDCBL) ? position : 0);
    s->offset += (uint32_t)size;
    if (s->offset == s->length)
        end_entry(hda, n);
}

/* Between the guest's buffers and ours. Returns false if the stream was stopped. */
static bool transfer(struct hda *hda, unsigned n, uint8_t *data, size_t size)
{
    /* Buffers of a byte each are no use to anybody: a frame of them at a time would take forever. */
    for (unsigned budget = MAX_ENTRIES; size; budget--) {
        size_t part = size;
        uint8_t *bytes = budget ? next_bytes(hda, n, &part) : NULL;

        if (!bytes) {
            if (!budget)
                stop_bad(hda, n, "buffers that are too small");
            return false;
        }
        if (hda_stream_is_input(n))
            memcpy(bytes, data, part);
        else
            memcpy(data, bytes, part);
        pass(hda, n, part);
        data += part;
        size -= part;
    }
    return true;
}

/* 3.6.1: where each stream is, in memory, every 8 bytes. */
static void write_position(struct hda *hda, unsigned n)
{
    uint64_t base = load_le64(hda->registers + DPLBASE);

    if (base & 1)
        memory_write(hda->pci.base.machine->memory, (base & ~127ull) + n * 8, hda_stream_registers(hda, n) + SDLPIB, 4);
}

/* --- beginning and end --- */

static bool is_held(struct hda *hda, unsigned n)
{
    return hda->registers[SSYNC] & 1 << n;
}

static void begin(struct hda *hda, unsigned n)
{
    struct hda_stream *s = &hda->streams[n];
    uint8_t *r = hda_stream_registers(hda, n);

    if (!parse_format(load_le16(r + SDFMT), &s->pcm)) {
        stop_bad(hda, n, "a format that is none");
        return;
    }
    pace_start(&s->pace, s->pcm.rate, now_of(hda));
    s->running = true;
    r[SDSTS] |= SDSTS_FIFO_READY;
}

static void reset_stream(struct hda *hda, unsigned n)
{
    uint8_t *r = hda_stream_registers(hda, n);

    memset(r, 0, STREAM_SIZE);
    store_le16(r + SDFIFOS, hda_stream_is_input(n) ? 0x77 : 0xbf);
    hda->streams[n] = (struct hda_stream){0};
}

void hda_streams_reset(struct hda *hda)
{
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        reset_stream(hda, n);
}

static void start_or_stop(struct hda *hda, unsigned n)
{
    struct hda_stream *s = &hda->streams[n];
    bool run = hda_stream_registers(hda, n)[SDCTL] & SDCTL_RUN && !is_held(hda, n);

    if (run && !s->running)
        begin(hda, n);
    else if (!run)
        s->running = false;
    hda_wake(hda);
}

void hda_stream_control(struct hda *hda, unsigned n, uint32_t before)
{
    uint8_t *r = hda_stream_registers(hda, n);

    if (r[SDCTL] & SDCTL_RESET) {
        if (!(before & SDCTL_RESET))
            reset_stream(hda, n);
        r[SDCTL] = SDCTL_RESET; /* as long as the driver says so */
    }
    start_or_stop(hda, n);
}

void hda_streams_synchronize(struct hda *hda)
{
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        if (hda_stream_registers(hda, n)[SDCTL] & SDCTL_RUN)
            start_or_stop(hda, n);
}

/* --- the seam --- */

/* The stream that a converter is connected with; HDA_STREAMS: none. */
static unsigned find_stream(struct hda *hda, enum sound_direction direction, unsigned *channel)
{
    unsigned tag = hda_codec_stream(&hda->codec, direction, channel);
    unsigned first = direction == SOUND_RECORD ? 0 : HDA_INPUTS, count = direction == SOUND_RECORD ? HDA_INPUTS : HDA_OUTPUTS;

    for (unsigned n = first; tag && n < first + count; n++)
        if (hda->streams[n].running && hda_stream_registers(hda, n)[SDCTL + 2] >> 4 == tag)
            return n;
    return HDA_STREAMS;
}

struct route {
    unsigned stream, channel;
    struct sound_format format; /* rate 0: none */
    struct sound_volume volume;
};

static struct route find_route(struct hda *hda, enum sound_direction direction)
{
    struct route route = {.volume = hda_codec_volume(&hda->codec, direction)};

    route.stream = find_stream(hda, direction, &route.channel);
    if (route.stream < HDA_STREAMS) {
        const struct pcm *pcm = &hda->streams[route.stream].pcm;

        route.format = (struct sound_format){pcm->rate, MIN(pcm->channels, SOUND_MAX_CHANNELS)};
    }
    return route;
}

static struct route tell_route(struct hda *hda, enum sound_direction direction)
{
    struct sound *sound = hda->sound;
    struct route route;

    machine_lock(hda->pci.base.machine);
    route = find_route(hda, direction);
    machine_unlock(hda->pci.base.machine);
    sound_set_volume(sound, direction, &route.volume);
    sound_run(sound, direction, route.format.rate ? &route.format : NULL);
    return route;
}

/* --- running --- */

/* Frames of the next chunk, `most` at most; 0: none is due, or the stream is not what it was. */
static size_t due(struct hda *hda, unsigned n, size_t most)
{
    struct hda_stream *s = &hda->streams[n];

    return s->running ? pace_due(&s->pace, now_of(hda), (uint32_t)most) : 0;
}

/* Takes a chunk from an output; true: there may be more. */
static bool play(struct hda *hda, unsigned n, const struct route *route)
{
    struct machine *machine = hda->pci.base.machine;
    struct hda_stream *s = &hda->streams[n];
    uint8_t data[CHUNK_FRAMES * MAX_FRAME];
    int16_t samples[CHUNK_FRAMES * SOUND_MAX_CHANNELS];
    size_t frames;

    machine_lock(machine);
    frames = due(hda, n, CHUNK_FRAMES);
    if (frames && !transfer(hda, n, data, frames * pcm_frame(&s->pcm)))
        frames = 0;
    pace_take(&s->pace, (uint32_t)frames);
    if (frames && route && route->stream == n)
        pcm_to_samples(&s->pcm, route->channel, data, frames, samples, route->format.channels);
    machine_unlock(machine);
    if (frames && route && route->stream == n)
        sound_play(hda->sound, samples, frames);
    return frames == CHUNK_FRAMES;
}

static bool record(struct hda *hda, unsigned n, const struct route *route)
{
    struct machine *machine = hda->pci.base.machine;
    struct hda_stream *s = &hda->streams[n];
    uint8_t data[CHUNK_FRAMES * MAX_FRAME];
    int16_t samples[CHUNK_FRAMES * SOUND_MAX_CHANNELS] = {0};
    unsigned channels = 0;
    size_t frames;

    machine_lock(machine);
    frames = due(hda, n, CHUNK_FRAMES);
    machine_unlock(machine);
    if (frames && route && route->stream == n) {
        channels = route->format.channels;
        sound_record(hda->sound, samples, frames);
    }
    machine_lock(machine);
    frames = due(hda, n, frames); /* it may have been stopped meanwhile */
    if (frames) {
        pcm_from_samples(&s->pcm, route ? route->channel : 0, data, frames, samples, channels);
        if (!transfer(hda, n, data, frames * pcm_frame(&s->pcm)))
            frames = 0;
        pace_take(&s->pace, (uint32_t)frames);
    }
    machine_unlock(machine);
    return frames == CHUNK_FRAMES;
}

static uint64_t next_tick(const struct hda_stream *s, uint64_t now)
{
    uint32_t left = (s->length - s->offset + (uint32_t)pcm_frame(&s->pcm) - 1) / (uint32_t)pcm_frame(&s->pcm);

    return pace_tick(&s->pace, s->length ? left : 1, now);
}

static void set_timer(struct hda *hda)
{
    uint64_t now = now_of(hda), tick = UINT64_MAX;

    for (unsigned n = 0; n < HDA_STREAMS; n++)
        if (hda->streams[n].running)
            tick = MIN(tick, next_tick(&hda->streams[n], now));
    pace_set_timer(&hda->timer, hda->pci.base.machine, tick);
}

void hda_streams_run(void *opaque)
{
    struct hda *hda = opaque;
    struct machine *machine = hda->pci.base.machine;
    struct route to_guest = tell_route(hda, SOUND_RECORD), from_guest = tell_route(hda, SOUND_PLAYBACK);

    for (unsigned n = 0; n < HDA_STREAMS; n++)
        while (hda_stream_is_input(n) ? record(hda, n, &to_guest) : play(hda, n, &from_guest))
            ;
    machine_lock(machine);
    for (unsigned n = 0; n < HDA_STREAMS; n++)
        if (hda->streams[n].pcm.rate)
            write_position(hda, n);
    hda_update_interrupt(hda);
    set_timer(hda);
    machine_unlock(machine);
}

/* --- state --- */

void hda_stream_save(const struct hda_stream *s, struct writer *w)
{
    writer_u32(w, s->entry);
    writer_u32(w, s->offset);
    writer_u64(w, s->address);
    writer_u32(w, s->length);
    writer_u8(w, s->interrupt);
}

/* After the registers. */
void hda_stream_load(struct hda *hda, unsigned n, struct reader *r)
{
    struct hda_stream *s = &hda->streams[n];

    *s = (struct hda_stream){.entry = reader_u32(r) & 0xff};
    s->offset = reader_u32(r);
    s->address = reader_u64(r);
    s->length = reader_u32(r);
    s->interrupt = reader_u8(r) & 1;
    if (s->offset >= s->length)
        s->length = s->offset = 0;
    if (hda_stream_registers(hda, n)[SDCTL] & SDCTL_RUN && !is_held(hda, n))
        begin(hda, n);
}
