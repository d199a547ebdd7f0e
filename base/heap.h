/* heap.h - how malloc() shall treat large blocks: for programs that live long, once, at their start. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

/* Blocks of a megabyte and more go back to the system when they are freed, and what a thread's heap has to spare. */
void heap_give_back(void);

#endif
