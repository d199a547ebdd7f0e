/*
 * The codecs are tables: a node's parameters, which never change, and beside them what verbs set.
 *
 *     node 0  root
 *     node 1  audio function group
 *     node 2  DAC, with an amplifier        node 4  ADC, with an amplifier
 *     node 3  pin: line out or speaker      node 5  pin: line in or microphone
 */
#include "devices/audio/hda_codec.h"

#include "devices/audio/volume.h"

#include <string.h>

enum { ROOT, FUNCTION, DAC, PIN_OUT, ADC, PIN_IN };

/* Parameters, HD Audio 1.0a, 7.3.4 */
enum {
    VENDOR_ID = 0x00,
    REVISION_ID = 0x02,
    SUBNODES = 0x04,
    FUNCTION_TYPE = 0x05,
    FUNCTION_CAPS = 0x08,
    WIDGET_CAPS = 0x09,
    RATES = 0x0a,
    STREAM_FORMATS = 0x0b,
    PIN_CAPS = 0x0c,
    AMP_IN_CAPS = 0x0d,
    CONNECTIONS = 0x0e,
    POWER_STATES = 0x0f,
    AMP_OUT_CAPS = 0x12,
    PARAMETERS = 0x14,
};

/* WIDGET_CAPS */
enum {
    WIDGET_STEREO = 1 << 0,
    WIDGET_AMP_IN = 1 << 1,
    WIDGET_AMP_OUT = 1 << 2,
    WIDGET_AMP_OWN = 1 << 3,
    WIDGET_FORMAT_OWN = 1 << 4,
    WIDGET_UNSOLICITED = 1 << 7,
    WIDGET_CONNECTED = 1 << 8,
    WIDGET_POWER = 1 << 10,
    WIDGET_DAC = 0 << 20,
    WIDGET_ADC = 1 << 20,
    WIDGET_PIN = 4 << 20,
};

/* 8 to 192 kHz as far as SDnFMT can say it; 8, 16, 20, 24 and 32 bits. */
#define ALL_RATES 0x1f07ff
#define PCM       1
/* D0 and D3. */
#define ALL_POWER 0x9
#define PIN_OUT_CAPS 0x0014 /* output, presence detection */
#define PIN_IN_CAPS  0x0024
/* Mute; VOLUME_STEPS steps of 1 dB, the highest is 0 dB. */
#define AMP_CAPS (0x80000000u | 3 << 16 | VOLUME_STEPS << 8 | VOLUME_STEPS)

#define CONVERTER_CAPS (WIDGET_STEREO | WIDGET_AMP_OWN | WIDGET_FORMAT_OWN | WIDGET_POWER)
#define PIN_WIDGET     (WIDGET_PIN | WIDGET_STEREO | WIDGET_UNSOLICITED | WIDGET_POWER)

/* Configuration defaults, 7.3.3.31: a jack at the back, fixed or not; device; colour; association and place in it. */
#define LINE_OUT   0x01014010
#define SPEAKER    0x90170010
#define LINE_IN    0x01813020
#define MICROPHONE 0x90a73020

#define FULL_GAIN VOLUME_STEPS
#define MUTE      0x80

struct node {
    uint32_t parameters[PARAMETERS];
    uint8_t connected; /* the one node that it takes sound from; 0: none */
    uint32_t pin_default;
};

struct hda_model {
    unsigned nodes;
    struct node node[HDA_MAX_NODES];
};

#define ROOT_NODE(id)                                                                                               \
    {                                                                                                               \
        .parameters = {[VENDOR_ID] = 0x1af40000 | (id), [REVISION_ID] = 0x00100101, [SUBNODES] = FUNCTION << 16 | 1} \
    }
#define FUNCTION_NODE(widgets)                                                                                  \
    {                                                                                                           \
        .parameters = {[SUBNODES] = DAC << 16 | (widgets), [FUNCTION_TYPE] = 1, [FUNCTION_CAPS] = 0x808,          \
                       [RATES] = ALL_RATES, [STREAM_FORMATS] = PCM, [POWER_STATES] = ALL_POWER}                 \
    }
#define DAC_NODE                                                                                                   \
    {                                                                                                              \
        .parameters = {[WIDGET_CAPS] = WIDGET_DAC | CONVERTER_CAPS | WIDGET_AMP_OUT, [RATES] = ALL_RATES,            \
                       [STREAM_FORMATS] = PCM, [AMP_OUT_CAPS] = AMP_CAPS, [POWER_STATES] = ALL_POWER}              \
    }
#define ADC_NODE                                                                                                     \
    {                                                                                                                \
        .parameters = {[WIDGET_CAPS] = WIDGET_ADC | CONVERTER_CAPS | WIDGET_AMP_IN | WIDGET_CONNECTED,                 \
                       [RATES] = ALL_RATES, [STREAM_FORMATS] = PCM, [CONNECTIONS] = 1, [AMP_IN_CAPS] = AMP_CAPS,       \
                       [POWER_STATES] = ALL_POWER},                                                                  \
        .connected = PIN_IN                                                                                          \
    }
#define OUT_NODE(what)                                                                                              \
    {                                                                                                               \
        .parameters = {[WIDGET_CAPS] = PIN_WIDGET | WIDGET_CONNECTED, [PIN_CAPS] = PIN_OUT_CAPS, [CONNECTIONS] = 1,   \
                       [POWER_STATES] = ALL_POWER},                                                                 \
        .connected = DAC, .pin_default = (what)                                                                     \
    }
#define IN_NODE(what)                                                                                              \
    {                                                                                                              \
        .parameters = {[WIDGET_CAPS] = PIN_WIDGET, [PIN_CAPS] = PIN_IN_CAPS, [POWER_STATES] = ALL_POWER},            \
        .pin_default = (what)                                                                                      \
    }

static const struct hda_model models[] = {
    [HDA_DUPLEX] = {6, {ROOT_NODE(0x22), FUNCTION_NODE(4), DAC_NODE, OUT_NODE(LINE_OUT), ADC_NODE, IN_NODE(LINE_IN)}},
    [HDA_OUTPUT] = {4, {ROOT_NODE(0x12), FUNCTION_NODE(2), DAC_NODE, OUT_NODE(LINE_OUT)}},
    [HDA_MICRO] = {6, {ROOT_NODE(0x32), FUNCTION_NODE(4), DAC_NODE, OUT_NODE(SPEAKER), ADC_NODE, IN_NODE(MICROPHONE)}},
};

static bool is_pin(const struct node *node)
{
    return node->parameters[PIN_CAPS] != 0;
}

static bool is_output_pin(const struct node *node)
{
    return is_pin(node) && node->connected;
}

static bool is_input_pin(const struct node *node)
{
    return is_pin(node) && !node->connected;
}

static bool is_converter(const struct node *node)
{
    return node->parameters[WIDGET_CAPS] & WIDGET_FORMAT_OWN;
}

static bool has_amplifier(const struct node *node)
{
    return node->parameters[WIDGET_CAPS] & (WIDGET_AMP_IN | WIDGET_AMP_OUT);
}

/* --- verbs that set --- */

/* SET_AMPLIFIER_GAIN, 7.3.3.7: bits 15 and 14: output, input; 13 and 12: left, right. */
static uint32_t set_gain(const struct node *node, struct hda_node_state *s, uint32_t payload)
{
    bool output = node->parameters[WIDGET_CAPS] & WIDGET_AMP_OUT;
    uint8_t gain = (uint8_t)(MIN(payload & 0x7f, FULL_GAIN) | (payload & MUTE));

    if (!has_amplifier(node) || !(payload & (output ? 1 << 15 : 1 << 14)))
        return 0;
    if (payload & 1 << 13)
        s->gain[0] = gain;
    if (payload & 1 << 12)
        s->gain[1] = gain;
    return 0;
}

/* Bit 15: output; bit 13: left. */
static uint32_t get_gain(const struct node *node, struct hda_node_state *s, uint32_t payload)
{
    bool output = node->parameters[WIDGET_CAPS] & WIDGET_AMP_OUT;

    if (!has_amplifier(node) || output != !!(payload & 1 << 15))
        return 0;
    return s->gain[payload & 1 << 13 ? 0 : 1];
}

static uint32_t get_parameter(const struct node *node, struct hda_node_state *s UNUSED, uint32_t payload)
{
    return payload < PARAMETERS ? node->parameters[payload] : 0;
}

/* Four entries of a byte; a list has one. */
static uint32_t get_connections(const struct node *node, struct hda_node_state *s UNUSED, uint32_t payload)
{
    return payload < 4 ? node->connected : 0;
}

static uint32_t set_power(const struct node *node UNUSED, struct hda_node_state *s, uint32_t payload)
{
    s->power = payload & 3;
    return 0;
}

/* What was set, and what it is: the same at once. */
static uint32_t get_power(const struct node *node UNUSED, struct hda_node_state *s, uint32_t payload UNUSED)
{
    return s->power | (uint32_t)s->power << 4;
}

/* Something is plugged in, always: there is no jack to draw. */
static uint32_t get_pin_sense(const struct node *node, struct hda_node_state *s UNUSED, uint32_t payload UNUSED)
{
    return is_pin(node) ? 0x80000000 : 0;
}

static uint32_t get_pin_default(const struct node *node UNUSED, struct hda_node_state *s, uint32_t payload UNUSED)
{
    return s->pin_default;
}

/* 7.3.3: verbs of 12 bits with 8 of payload. */
static const struct {
    uint16_t verb;
    uint32_t (*run)(const struct node *node, struct hda_node_state *s, uint32_t payload);
} verbs[] = {
    {0xf00, get_parameter}, {0xf02, get_connections}, {0x705, set_power},
    {0xf05, get_power},     {0xf09, get_pin_sense},   {0xf1c, get_pin_default},
};

/* A byte that nodes of a kind have: 0x700 and these bits set it, 0xf00 and these get it. */
static const struct byte_setting {
    uint8_t verb, mask;
    size_t offset;
    bool (*has)(const struct node *node);
} byte_settings[] = {
    {0x06, 0xff, offsetof(struct hda_node_state, stream), is_converter},
    {0x07, 0x40, offsetof(struct hda_node_state, pin_control), is_output_pin},
    {0x07, 0x20, offsetof(struct hda_node_state, pin_control), is_input_pin},
    {0x08, 0xbf, offsetof(struct hda_node_state, unsolicited), is_pin},
    {0x0c, 0x07, offsetof(struct hda_node_state, eapd), is_pin},
};

static uint32_t byte_verb(const struct node *node, struct hda_node_state *s, uint32_t verb, uint32_t payload)
{
    for (size_t i = 0; i < ARRAY_SIZE(byte_settings); i++) {
        const struct byte_setting *b = &byte_settings[i];
        uint8_t *byte = (uint8_t *)s + b->offset;

        if ((verb & 0xff) != b->verb || !b->has(node))
            continue;
        if (verb >> 8 == 0x7)
            *byte = payload & b->mask;
        return verb >> 8 == 0xf ? *byte : 0;
    }
    return 0;
}

/* --- of the function group alone --- */

enum { FUNCTION_RESET = 0x7ff, GET_SUBSYSTEM = 0xf20, SET_SUBSYSTEM = 0x720, SET_PIN_DEFAULT = 0x71c };

/* One byte of four, by the verb's last two bits. */
static void set_byte(uint32_t *value, uint32_t verb, uint32_t payload)
{
    unsigned shift = (verb & 3) * 8;

    *value = (*value & ~(0xffu << shift)) | payload << shift;
}

static bool function_verb(struct hda_codec *codec, uint32_t verb, uint32_t payload, uint32_t *response)
{
    *response = 0;
    if (verb == FUNCTION_RESET)
        hda_codec_reset(codec);
    else if (verb == GET_SUBSYSTEM)
        *response = codec->subsystem;
    else if ((verb & ~3u) == SET_SUBSYSTEM)
        set_byte(&codec->subsystem, verb, payload);
    else
        return false;
    return true;
}

uint32_t hda_codec_verb(struct hda_codec *codec, uint32_t word)
{
    unsigned id = word >> 20 & 0x7f;
    uint32_t verb = word >> 8 & 0xfff, payload = word & 0xff, response;
    const struct node *node;
    struct hda_node_state *s;

    if (id >= codec->model->nodes)
        return 0;
    if (id == FUNCTION && function_verb(codec, verb, payload, &response))
        return response;
    node = &codec->model->node[id];
    s = &codec->nodes[id];
    /* Verbs of 4 bits have 16 of payload. */
    switch (verb >> 8) {
    case 0x2:
        if (is_converter(node))
            s->format = (uint16_t)word;
        return 0;
    case 0x3:
        return set_gain(node, s, word & 0xffff);
    case 0xa:
        return s->format;
    case 0xb:
        return get_gain(node, s, word & 0xffff);
    }
    if ((verb & ~3u) == SET_PIN_DEFAULT && is_pin(node))
        set_byte(&s->pin_default, verb, payload);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (verbs[i].verb == verb)
            return verbs[i].run(node, s, payload);
    return byte_verb(node, s, verb, payload);
}

/* --- what follows --- */

static unsigned converter_of(enum sound_direction direction)
{
    return direction == SOUND_PLAYBACK ? DAC : ADC;
}

unsigned hda_codec_stream(const struct hda_codec *codec, enum sound_direction direction, unsigned *channel)
{
    unsigned id = converter_of(direction);

    *channel = codec->nodes[id].stream & 15;
    return id < codec->model->nodes ? codec->nodes[id].stream >> 4 : 0;
}

struct sound_volume hda_codec_volume(const struct hda_codec *codec, enum sound_direction direction)
{
    unsigned id = converter_of(direction);
    const struct hda_node_state *s = &codec->nodes[id], *pin = &codec->nodes[id + 1];
    struct sound_volume v = {.mute = !pin->pin_control || (s->gain[0] & s->gain[1] & MUTE)};

    for (unsigned c = 0; c < SOUND_MAX_CHANNELS; c++)
        v.level[c] = s->gain[c] & MUTE && !v.mute ? 0 : volume_of_steps(s->gain[c] & 0x7f);
    return v;
}

void hda_codec_reset(struct hda_codec *codec)
{
    codec->subsystem = codec->model->node[ROOT].parameters[VENDOR_ID];
    memset(codec->nodes, 0, sizeof(codec->nodes));
    for (unsigned id = 0; id < codec->model->nodes; id++) {
        const struct node *node = &codec->model->node[id];
        struct hda_node_state *s = &codec->nodes[id];

        s->pin_default = node->pin_default;
        s->pin_control = !is_pin(node) ? 0 : node->connected ? 0x40 : 0x20;
        s->format = is_converter(node) ? 0x11 : 0; /* 48 kHz, 16 bits, stereo */
        if (has_amplifier(node))
            s->gain[0] = s->gain[1] = FULL_GAIN;
    }
}

void hda_codec_init(struct hda_codec *codec, enum hda_codec_kind kind)
{
    codec->model = &models[kind];
    hda_codec_reset(codec);
}

void hda_codec_save(const struct hda_codec *codec, struct writer *w)
{
    writer_u32(w, codec->subsystem);
    for (unsigned id = 0; id < HDA_MAX_NODES; id++) {
        const struct hda_node_state *s = &codec->nodes[id];

        writer_u16(w, s->format);
        writer_u8(w, s->stream);
        writer_bytes(w, s->gain, sizeof(s->gain));
        writer_u8(w, s->pin_control);
        writer_u8(w, s->power);
        writer_u8(w, s->unsolicited);
        writer_u8(w, s->eapd);
        writer_u32(w, s->pin_default);
    }
}

void hda_codec_load(struct hda_codec *codec, struct reader *r)
{
    codec->subsystem = reader_u32(r);
    for (unsigned id = 0; id < HDA_MAX_NODES; id++) {
        struct hda_node_state *s = &codec->nodes[id];

        s->format = reader_u16(r);
        s->stream = reader_u8(r);
        reader_copy(r, s->gain, sizeof(s->gain));
        s->pin_control = reader_u8(r);
        s->power = reader_u8(r) & 3;
        s->unsolicited = reader_u8(r);
        s->eapd = reader_u8(r);
        s->pin_default = reader_u32(r);
    }
}
