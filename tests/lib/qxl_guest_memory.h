/* qxl_guest_memory.h - between the files of qxl_guest: a script's commands in the device's memory. */
#ifndef TESTS_LIB_QXL_GUEST_MEMORY_H
#define TESTS_LIB_QXL_GUEST_MEMORY_H

#include "tests/lib/qxl_guest.h"

/* Memory for a part of a command in ram. When the end is reached all before must have been given back. */
void *qxl_guest_alloc(struct qxl_guest *g, size_t size, uint64_t *addr);
uint64_t qxl_guest_place(struct qxl_guest *g, const void *data, size_t size);
/* What the command names is copied, and named by its address. */
void qxl_guest_place_parts(struct qxl_guest *g, QXLDrawable *d);

#endif
