#include "base/heap.h"

#include "base/base.h"

#include <malloc.h>

/*
 * Left to itself glibc raises the first bound to the largest block that was ever freed, a screen's picture, and keeps twice
 * that in the heap of each thread. A lower second bound makes bursts of pictures fault their pages in again and again.
 */
void heap_give_back(void)
{
    mallopt(M_MMAP_THRESHOLD, MIB(1));
    mallopt(M_TRIM_THRESHOLD, MIB(4));
}
