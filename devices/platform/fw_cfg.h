/*
 * fw_cfg.h - the firmware configuration device (QEMU's docs/specs/fw_cfg): items by key, files by name.
 *
 * Ports 0x510 (selector), 0x511 (data), 0x514 (DMA address, big endian). SeaBIOS and Linux' qemu_fw_cfg read it.
 * Content does not change while the guest runs, but for built files, which are built when first selected after a
 * reset, and writable files, which the guest fills by DMA.
 *
 * Thread: add everything before the guest runs. The build callback runs in a vCPU's thread with the device lock held.
 */
#ifndef DEVICES_PLATFORM_FW_CFG_H
#define DEVICES_PLATFORM_FW_CFG_H

#include "vmm/device.h"

#define FW_CFG_MAX_FILES 64
#define FW_CFG_NAME_SIZE 56 /* the terminating zero included */

/* Keys with a fixed meaning; the rest is files. */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05, /* le16 */
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f, /* le16: highest APIC id + 1 */
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
};

struct fw_cfg;

struct fw_cfg *fw_cfg_create(struct machine *machine);

/* The data is copied. Adding a key or name anew replaces it. 0, -EINVAL (key or name), -ENOSPC, -ENOMEM. */
int fw_cfg_add(struct fw_cfg *fw_cfg, uint16_t key, const void *data, size_t size);
int fw_cfg_add_u16(struct fw_cfg *fw_cfg, uint16_t key, uint16_t value);
int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, size_t size);
/*
 * build() fills in `size` zeroed bytes when the guest first selects the file after a reset. The size cannot depend on
 * the guest, since firmware reads the directory long before.
 */
int fw_cfg_add_built_file(struct fw_cfg *fw_cfg, const char *name, size_t size,
                          void (*build)(void *opaque, uint8_t *data, size_t size), void *opaque);
/* The guest may write it; `data`, all zero at first, is found by fw_cfg_file_data(). */
int fw_cfg_add_writable_file(struct fw_cfg *fw_cfg, const char *name, size_t size);
/* What a file holds now, or NULL if there is none of that name. Device lock held. */
const uint8_t *fw_cfg_file_data(struct fw_cfg *fw_cfg, const char *name, size_t *size);

#endif
