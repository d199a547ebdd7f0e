/* Results, time, and the few functions of memory that the compiler counts on. */
#include "payload.h"

#define SERIAL      0x3f8
#define SERIAL_LSR  (SERIAL + 5)
#define LSR_THRE    0x20
#define PM1_CONTROL (PM_BASE + 4)
#define SLP_EN      0x2000 /* with SLP_TYP 0: off */

unsigned checks_done;

void put_char(char c)
{
    while (!(inb(SERIAL_LSR) & LSR_THRE))
        ;
    outb(SERIAL, (uint8_t)c);
}

void put(const char *text)
{
    while (*text)
        put_char(*text++);
}

void put_hex(uint64_t value)
{
    int shift = 60;

    put("0x");
    while (shift > 0 && !(value >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put_char("0123456789abcdef"[value >> shift & 15]);
}

static void put_decimal(unsigned n)
{
    if (n >= 10)
        put_decimal(n / 10);
    put_char((char)('0' + n % 10));
}

void check(bool passed, const char *what)
{
    put(passed ? "ok " : "not ok ");
    put_decimal(++checks_done);
    put(" - ");
    put(what);
    put("\n");
}

void check_equal(uint64_t value, uint64_t expected, const char *what)
{
    check(value == expected, what);
    if (value == expected)
        return;
    put("# got ");
    put_hex(value);
    put(", expected ");
    put_hex(expected);
    put("\n");
}

void finish(void)
{
    put("1..");
    put_decimal(checks_done);
    put("\n");
    interrupts_off();
    outw(PM1_CONTROL, SLP_EN);
    for (;;)
        asm volatile("hlt");
}

void delay_ms(unsigned ms)
{
    uint32_t start = inl(PM_TIMER);

    while (pm_ticks_since(start) < ms * (PM_TIMER_HZ / 1000))
        ;
}

bool wait_for(const volatile uint32_t *counter, uint32_t value, unsigned ms)
{
    for (; ms; ms--) {
        uint32_t start = inl(PM_TIMER);

        while (pm_ticks_since(start) < PM_TIMER_HZ / 1000)
            if (*counter >= value)
                return true;
    }
    return false;
}

void *memcpy(void *to, const void *from, size_t size)
{
    void *p = to;

    asm volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(size)::"memory");
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    void *p = to;

    asm volatile("rep stosb" : "+D"(p), "+c"(size) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;

    for (; size; size--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}
