/*
 * Writes pixels through the VGA's window at a0000 and sleeps for ever: nothing that the host sees follows. The screen is the
 * one that a kernel without firmware finds, 32 bits a pixel; the window shows its first 64 KiB.
 */
#include "payload.h"

#define WINDOW 0xa0000
#define PIXELS 64
#define COLOUR 0x2080c0

int main(void)
{
    put("the screen is written to now\n");
    for (unsigned i = 0; i < PIXELS; i++)
        write32(WINDOW + i * 4, COLOUR + i);
    interrupts_off();
    for (;;)
        __asm__ volatile("hlt");
}
