/*
 * fuzz_client_agent.c - what a guest's agent says to the client, in chunks of any size: the first byte says how large they are,
 * the rest is the stream. Between chunks the client says what it has to say: a file is on its way.
 */
#include "client/agent_message.h"
#include "client/outbox.h"

#include <errno.h>
#include <spice/vd_agent.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int hear(void *opaque, uint32_t type, const uint8_t *body, uint32_t size)
{
    if (type == VD_AGENT_FILE_XFER_STATUS)
        outbox_status(opaque, body, size);
    return 0;
}

static void speak(struct outbox *t, struct writer *w)
{
    for (int i = 0; i < 8; i++) {
        writer_reset(w);
        if (!outbox_write(t, w))
            return;
        if (w->bad)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outbox t;
    struct agent_reader r;
    struct writer w;
    size_t piece = size ? 1 + data[0] * 8u : 1;
    int err = 0;

    outbox_init(&t);
    agent_reader_init(&r);
    writer_init(&w, MIB(1));
    for (int i = 0; i < 3; i++)
        if (outbox_add(&t, "/proc/self/exe"))
            abort();
    for (size_t at = 1; at < size && !err; at += piece) {
        speak(&t, &w);
        err = agent_read(&r, data + at, MIN(piece, size - at), hear, &t);
        if (err && err != -EBADMSG)
            abort();
    }
    if (t.progress.done > t.progress.files || t.progress.sent > t.progress.bytes)
        abort();
    outbox_cancel(&t);
    speak(&t, &w);
    if (!outbox_idle(&t))
        abort();
    writer_fini(&w);
    agent_reader_fini(&r);
    outbox_fini(&t);
    return 0;
}
