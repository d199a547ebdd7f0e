/*
 * uart16550.h - a serial port (National PC16550D) in front of a character back end.
 *
 * The line is infinitely fast: the transmitter counts as empty while the queue behind it has room for a FIFO's worth, so
 * nothing is lost when the other end is slow. Received bytes wait in the back end until the FIFO has room. The PC's
 * wiring holds: interrupts pass only while OUT2 is set and loopback is not.
 */
#ifndef DEVICES_PLATFORM_UART16550_H
#define DEVICES_PLATFORM_UART16550_H

#include "backend/chardev.h"
#include "vmm/device.h"

#define UART_COM1     0x3f8
#define UART_COM1_IRQ 4
#define UART_COM2     0x2f8
#define UART_COM2_IRQ 3

/* The back end stays the caller's and must outlive the device; NULL: an unconnected port. */
struct device *uart16550_create(struct machine *machine, uint16_t base, unsigned irq,
                                struct chardev *chardev);

#endif
