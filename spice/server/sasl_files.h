/*
 * sasl_files.h - what libsasl2 and its mechanisms read: minivm.conf at the start, Kerberos's configuration and the database of
 * users for each client. The keys of Kerberos, which are for their owner's eyes alone, are taken into memory at the start.
 *
 * Thread: the main loop's.
 */
#ifndef SPICE_SERVER_SASL_FILES_H
#define SPICE_SERVER_SASL_FILES_H

#include "base/base.h"

/* `database`: of users; NULL: as configured. Returns whether somebody wrote minivm.conf. */
bool sasl_files_init(const char *database);

/*
 * The service's keys, from minivm.conf's `keytab`, or where Kerberos has them by default if it is `offered`, into memory, for
 * the whole program. After sasl_server_init(). 0, or -EACCES with fail_text().
 */
int sasl_files_take_keys(bool offered);

/* Files and folders that are read for each client, ended by NULL; valid until sasl_files_init(). */
const char *const *sasl_files_read(void);

/* Once the user is who it will be: those that must be read can be. 0, or -EACCES with fail_text(). */
int sasl_files_check(void);

#endif
