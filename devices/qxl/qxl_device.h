/*
 * qxl_device.h - the QXL device's inside, shared by the qxl_*.c files.
 *
 * The state belongs to the display thread: IO commands are carried there (qxl_io.c), the rings are drained there
 * (qxl_ring.c). Fields that other threads look at are marked atomic and accessed so.
 *
 * States: VGA (the picture is the VGA's) -> NATIVE by creating the primary surface -> UNDEFINED by destroying it -> NATIVE
 * ...; a reset, and with revisions up to 4 a write to a VGA port, lead back to VGA. COMPAT is NATIVE as the first QXL
 * drivers knew it, by SET_MODE. A secondary device has no VGA: its reset state is UNDEFINED.
 */
#ifndef DEVICES_QXL_QXL_DEVICE_H
#define DEVICES_QXL_QXL_DEVICE_H

#include "canvas/canvas.h"
#include "devices/qxl/guest_copy.h"
#include "devices/qxl/head.h"
#include "devices/qxl/qxl.h"
#include "devices/qxl/trace_writer.h"

#include <spice/qxl_dev.h>

#define QXL_SLOTS          8 /* 0 is the device's own */
#define QXL_SURFACES       1024
#define QXL_ROM_SIZE       8192
#define QXL_MEMORY_BARS    3 /* those that slots may be in */
#define QXL_VRAM64_BAR     4
#define QXL_IO_PORTS       32
#define QXL_IO_PORTS_V06   16 /* before there were asynchronous commands */
#define QXL_FREE_BUNCH     32    /* releases that make it worth to tell the guest */
#define QXL_MAX_CHUNKS     32768 /* of one list */
#define QXL_MAX_CLIPS      16384
#define QXL_MAX_COORDINATE 65536

enum qxl_mode { QXL_MODE_UNDEFINED, QXL_MODE_VGA, QXL_MODE_COMPAT, QXL_MODE_NATIVE };

/* A stretch of one of the memory BARs that guest addresses may name. */
struct qxl_slot {
    bool active;
    struct ram *ram;
    uint64_t start, size; /* in ram */
    uint64_t delta;       /* guest addresses begin here */
};

struct qxl_surface {
    struct canvas *canvas;      /* NULL: there is none */
    QXLPHYSICAL data;           /* the guest's memory of it, checked again at each use */
    int32_t stride;             /* negative: the last row comes first */
    uint32_t row_bytes;         /* what a row takes without padding */
    pixman_region32_t dirty;    /* drawn since it was last written back */
    QXLPHYSICAL create_command; /* released when the surface is destroyed; 0: none */
};

/* One of the guest's rings, in memory that it shares with us. */
struct qxl_ring {
    uint32_t *prod, *notify_on_prod, *cons, *notify_on_cons;
    uint8_t *items;
    uint32_t item_size, count;
};

struct qxl {
    struct pci_device pci;
    struct ram ram, vram, rom_ram;
    struct ram vram32; /* the begin of vram, as BAR 1 has it; its memory is vram's */
    struct region io;
    struct head head;
    struct notifier notify; /* something is in a ring */
    uint64_t
        notify_base; /* where the IO BAR was when `notify` was put on its ports; UINT64_MAX: nowhere */
    struct notifier irq; /* the interrupt line is to be looked at, in the main loop */
    unsigned revision, max_heads;
    uint32_t vgamem;
    bool secondary;
    /* As the guest is told by the ROM, also after a reset: */
    bool client_present;
    uint8_t client_capabilities[sizeof(((QXLRom *)0)->client_capabilities)];

    QXLRom *rom;
    uint8_t *header; /* QXLRam; the guest writes it at any time */
    uint32_t *int_pending, *int_mask;
    struct qxl_ring commands, cursors, releases;

    bool bug;         /* atomic: the guest broke the rules; only a reset helps */
    unsigned mode;    /* atomic: enum qxl_mode */
    bool async;       /* atomic: an asynchronous IO is under way */
    bool oom;         /* atomic: the guest lacks memory */
    bool vga_touched; /* atomic: a VGA port was written in native mode */

    struct qxl_slot slots[QXL_SLOTS];
    struct qxl_surface surfaces[QXL_SURFACES]; /* 0 is the primary */
    struct canvas *shadow;                     /* the primary as BGRx, if it is not that itself */
    pixman_region32_t damage;                  /* of the primary, not reported yet */
    uint32_t free_count;                       /* releases collected in the ring's next item */
    QXLPHYSICAL last_release;
    unsigned taken;        /* commands, in this millisecond of the loop: */
    uint64_t taken_at;
    uv_timer_t poll_timer; /* runs while the guest is busy: it tells of few commands */
    uv_timer_t push_timer; /* tries again to hand over what found the ring full */
    struct qxl_pending *pending; /* drawing commands that wait, and how long */
    uv_timer_t draw_timer;
    struct trace_writer trace; /* fd -1: nothing is recorded */
};

/* --- qxl_memslot.c: guest addresses --- */

/* Where the memory BARs are; UINT64_MAX: nowhere. The device lock is held. */
void qxl_find_bars(const struct qxl *q, uint64_t bars[QXL_MEMORY_BARS]);
/* bars: where they were when the IO was made. A slot that is not possible is a guest bug. */
void qxl_slot_add(struct qxl *q, uint32_t id, const QXLMemSlot *slot, const uint64_t bars[QXL_MEMORY_BARS],
                  uint64_t delta);
void qxl_slot_delete(struct qxl *q, uint32_t id);
/*
 * Host memory of [addr, addr + size), or NULL if not all of it lies in one active slot of the right generation. Not to be
 * kept: use it within the call.
 */
void *qxl_pointer(struct qxl *q, QXLPHYSICAL addr, uint64_t size);
/* Copies; 0 or -EFAULT. */
int qxl_read(struct qxl *q, QXLPHYSICAL addr, void *to, uint64_t size);
int qxl_write(struct qxl *q, QXLPHYSICAL addr, const void *from, uint64_t size);
/*
 * The data of a list of chunks, the first of which is at addr, as one block: `size` bytes exactly. A list that ends
 * earlier is an error, bytes after it are ignored. The block is the caller's to free(). -EFAULT, -EINVAL, -ENOMEM.
 */
int qxl_read_chunks(struct qxl *q, QXLPHYSICAL addr, uint64_t size, uint8_t **data);

/* --- qxl_ring.c: rings, releases, interrupts --- */

void qxl_rings_attach(struct qxl *q);
void qxl_rings_reset(struct qxl *q);
/* Take what is in the rings, up to a limit; true if there is more. Returns what is free. */
bool qxl_drain(struct qxl *q, unsigned limit);
/* Take what was in the rings when called, and draw all that waits. */
void qxl_drain_all(struct qxl *q);
/* The guest may have this command's memory back. */
void qxl_release(struct qxl *q, QXLPHYSICAL info);
/* Hand over what was released, if the ring has room. */
void qxl_push_releases(struct qxl *q);
/* The same; what finds no room goes later. */
void qxl_push_soon(struct qxl *q);
/* Any thread. */
void qxl_interrupt(struct qxl *q, uint32_t bits);
void qxl_update_irq(struct qxl *q);
/* Latches the error state. */
void qxl_bug(struct qxl *q, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* --- qxl_rom.c --- */

void qxl_rom_init(struct qxl *q);
/* What the client wants, as client_heads(). */
bool qxl_rom_set_heads(struct qxl *q, const struct display_head *heads, size_t count);
/* The driver may have said by the interrupt mask that it listens to that: tell the display's watchers. */
void qxl_rom_watch_driver(struct qxl *q);
void qxl_rom_set_capabilities(struct qxl *q, bool present, const uint8_t caps[58]);
/* The ROM came out of a saved machine: its client is gone, ours is there. */
void qxl_rom_loaded(struct qxl *q);
/* Resolution of a mode number of the ROM's table; NULL: there is none. */
const QXLMode *qxl_rom_mode(const struct qxl *q, uint32_t id);

/* --- qxl_surface.c --- */

/* What a create command or IO says of a surface. */
struct qxl_surface_args {
    uint32_t format, width, height;
    int32_t stride;
    QXLPHYSICAL data;
    bool keep; /* the memory has its content already */
};

struct qxl_surface *qxl_surface(struct qxl *q, uint32_t id); /* NULL: there is none */
int qxl_surface_create(struct qxl *q, uint32_t id, const struct qxl_surface_args *args,
                       QXLPHYSICAL command);
/* Writes back, frees, releases the create command. None is fine. */
void qxl_surface_destroy(struct qxl *q, uint32_t id);
void qxl_surfaces_destroy(struct qxl *q);
/* Drop everything without touching the guest's memory. */
void qxl_surfaces_reset(struct qxl *q);
/* Note that something was drawn; the region is in the surface's coordinates. */
void qxl_surface_drawn(struct qxl *q, uint32_t id, pixman_region32_t *region);
/* Bring the guest's memory up to date; area NULL: all. */
void qxl_surface_write_back(struct qxl *q, uint32_t id, const struct rect *area);
void qxl_surfaces_write_back(struct qxl *q);
void qxl_command_surface(struct qxl *q, QXLPHYSICAL addr);

/* --- qxl_primary.c: the primary surface and the modes --- */

void qxl_primary_create(struct qxl *q, const QXLSurfaceCreate *create, unsigned mode);
/* false: there was none */
bool qxl_primary_destroy(struct qxl *q);
void qxl_set_mode(struct qxl *q, uint32_t id, const uint64_t bars[QXL_MEMORY_BARS]);
void qxl_enter_vga(struct qxl *q);
void qxl_report_damage(struct qxl *q);
/* What was drawn since the last report, one rectangle, came from (dx, dy) before it. */
void qxl_report_moved(struct qxl *q, int32_t dx, int32_t dy);
void qxl_monitors_config(struct qxl *q, QXLPHYSICAL addr);

/* --- qxl_image.c --- */

/* A picture of the guest's, for one drawing operation. */
struct qxl_picture {
    pixman_image_t *image;
    uint8_t *buffer; /* behind it, if that is ours */
    bool is_surface;
};

/* Bytes that a row's pixels take; 0: there is no such bitmap. */
uint32_t qxl_bitmap_row(const QXLBitmap *b);
/* surface_format: of what is drawn on, which says how 16-bit pixels and palettes are coded. */
int qxl_picture_open(struct qxl *q, struct qxl_picture *p, QXLPHYSICAL addr,
                     uint32_t surface_format);
/* A one-bit picture as a mask of PIXMAN_a1. */
int qxl_mask_open(struct qxl *q, struct qxl_picture *p, QXLPHYSICAL addr, bool inverted);
void qxl_picture_close(struct qxl_picture *p); /* zeroed is fine */

/* --- qxl_pending.c: drawing commands, which wait until somebody looks --- */

int qxl_pending_init(struct qxl *q);
void qxl_pending_fini(struct qxl *q);
/* Draws later, or now if too much waits. */
void qxl_command_draw(struct qxl *q, QXLPHYSICAL addr);
/* Tell the display's watchers if something waits, and see to it that it is drawn soon. */
void qxl_pending_announce(struct qxl *q);
/* Draw what waits, give it back to the guest, report the damage. */
void qxl_pending_draw(struct qxl *q);
/* Forget it, with the guest's memory of it. */
void qxl_pending_drop(struct qxl *q);

/* --- qxl_cursor.c --- */

void qxl_command_cursor(struct qxl *q, QXLPHYSICAL addr);
void qxl_cursor_reset(struct qxl *q);

/* --- qxl_io.c --- */

extern const struct region_ops qxl_io_ops;
/* In the display thread. */
void qxl_hard_reset(struct qxl *q);
void qxl_notified(void *opaque);

/* --- qxl_state.c --- */

void qxl_save(struct device *device, struct writer *w);
int qxl_load(struct device *device, struct reader *r, uint32_t version);

#endif
