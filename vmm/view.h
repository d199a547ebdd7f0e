/* view.h - minivm view. */
#ifndef VMM_VIEW_H
#define VMM_VIEW_H

int view_main(int argc, char **argv);

#endif
