/* core.h - libspice-server's timers and watches on one of our loops; one server in a program. */
#ifndef TESTS_REFERENCE_CORE_H
#define TESTS_REFERENCE_CORE_H

#include "base/loop.h"

#include <spice.h>

SpiceCoreInterface *core_on_loop(struct loop *loop);

#endif
