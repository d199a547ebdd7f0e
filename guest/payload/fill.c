/* A machine whose memory is all in use, and that shows that it runs: for tests/bench/save. */
#include "payload.h"

#define FIRST 0x1000000  /* above all that the payload uses */
#define END   0x3f000000 /* of a machine with 1 GiB; the firmware's tables lie above */

int main(void)
{
    uint64_t page;

    for (page = FIRST; page < END; page += 4096)
        *(volatile uint64_t *)(uintptr_t)page = page;
    put("filled\n");
    for (;;) {
        put_char('.');
        delay_ms(1);
    }
}
