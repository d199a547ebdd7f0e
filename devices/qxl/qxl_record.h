/*
 * qxl_record.h - what the guest asks of the device, written to a file as it is carried out (trace_format.h).
 *
 * For measuring the display pipeline with real guests, and for finding out what one did. The calls come from the places
 * where a command was checked and done; without a recording they do nothing. Pixels are read from the guest's memory a
 * second time, so a guest that changes them meanwhile is recorded as it was a moment later. Writing waits for the disk, and
 * the guest for it. Thread: the display thread.
 */
#ifndef DEVICES_QXL_QXL_RECORD_H
#define DEVICES_QXL_QXL_RECORD_H

#include "devices/qxl/qxl_draw.h"
#include "devices/qxl/trace_format.h"

/* A drawing command that was drawn. */
void qxl_record_draw(const struct draw *w);
/* A surface that was just made (0: the primary), or is about to be destroyed. */
void qxl_record_surface(struct qxl *q, uint32_t id);
void qxl_record_surface_end(struct qxl *q, uint32_t id);
/* A shape with its data as the guest sent it (palette and mask behind the pixels). */
void qxl_record_shape(struct qxl *q, const QXLCursorCmd *c, const QXLCursorHeader *h, const void *data,
                      uint32_t size);
/* The other cursor commands. */
void qxl_record_cursor(struct qxl *q, const QXLCursorCmd *c);
void qxl_record_heads(struct qxl *q);
void qxl_record_update(struct qxl *q, uint32_t surface, const QXLRect *area, uint32_t kind);
/* A record without more to say: TRACE_OOM and the like. */
void qxl_record_event(struct qxl *q, enum trace_type type);
/* Heads and cursor after the device's state was loaded, which made surfaces only. */
void qxl_record_loaded(struct qxl *q);

#endif
