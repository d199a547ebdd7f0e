/*
 * run_private.h - one run of a machine: what run.c and control.c share.
 *
 * Thread: the main loop's.
 */
#ifndef VMM_RUN_PRIVATE_H
#define VMM_RUN_PRIVATE_H

#include "spice/server/server.h"
#include "vmm/board.h"
#include "vmm/expect.h"
#include "vmm/qmp.h"
#include "vmm/relay.h"
#include "vmm/run.h"

enum run_state {
    RUN_STATE_RUNNING,
    RUN_STATE_PAUSED,
    RUN_STATE_IO_ERROR, /* it stands still until the host can do what a disk is asked for */
    RUN_STATE_SHUTDOWN,
    RUN_STATE_CRASHED
};

struct run {
    const struct vm_config *config;
    struct broker_link *link; /* NULL: there is no sandbox */
    struct loop loop;
    struct board *board;
    struct spice_server *spice;
    struct qmp *qmp; /* NULL: no --control */
    struct relay *relay;
    struct registry *registry; /* NULL: not in it */
    char password[CONFIG_MAX_PASSWORD + 1]; /* "": none is asked for */
    char view_password[CONFIG_MAX_PASSWORD + 1];
    char certificate_print[CERTIFICATE_PRINT]; /* "": no TLS */
    struct expect expect;
    bool expecting;
    uv_timer_t timeout, grace, retry, tell;
    unsigned tellings; /* of the last pause, still to come */
    int disk_errors[BOARD_MAX_DRIVES]; /* -errno for which a drive's requests are kept; 0: it works */
    enum run_state state;
    uint64_t signalled_at[2]; /* ms, by the loop's clock; 0: never. [1]: by the broker */
    bool terminating; /* a signal has asked the guest to power off */
    bool saving;      /* the machine is in a file, but for its disks' last writes; somebody waits for the answer */
    bool ended;
    enum run_status status;
};

/* --- run.c --- */

/* The state of a struct run, by QEMU's names. */
const char *run_state_name(void *run);
void run_pause(struct run *run);
/* -EBUSY with fail_text() for a machine that has ended and is only kept. */
int run_resume(struct run *run);
int run_reset(struct run *run);
/* Presses the power button; a paused machine goes on. */
void run_power_down(struct run *run);
/* A file that a command writes: refused, with fail_text(), where it would be lost with a software host. */
int run_check_output(const struct run *run, const char *path);
/* Ends the run if it works; 0 or -errno with fail_text(), and then the machine is as it was. */
int run_save(struct run *run, const char *path);
/* Ends it without asking the guest. */
void run_quit(struct run *run);

/* --- run_disk.c --- */

void run_watch_disks(struct run *run);
/* Before the machine goes on: what waits for its disks is tried again. */
void run_retry_disks(struct run *run);

/* --- control_block.c --- */

int control_query_block(void *opaque, const json_t *arguments, json_t **result);
int control_query_blockstats(void *opaque, const json_t *arguments, json_t **result);

/* --- control_spice.c --- */

int control_set_password(void *opaque, const json_t *arguments, json_t **result);
int control_expire_password(void *opaque, const json_t *arguments, json_t **result);
int control_client_migrate_info(void *opaque, const json_t *arguments, json_t **result);

/* --- control.c --- */

/* --control's socket and the connections that a relay hands over. */
int control_start(struct run *run);

/* --- control_plug.c: commands, as struct qmp_command has them --- */

int control_blockdev_add(void *opaque, const json_t *arguments, json_t **result);
int control_blockdev_del(void *opaque, const json_t *arguments, json_t **result);
int control_netdev_add(void *opaque, const json_t *arguments, json_t **result);
int control_netdev_del(void *opaque, const json_t *arguments, json_t **result);
int control_device_add(void *opaque, const json_t *arguments, json_t **result);
int control_device_del(void *opaque, const json_t *arguments, json_t **result);
/* For board_on_unplugged(). */
void control_unplugged(void *opaque, const char *id);

#endif
