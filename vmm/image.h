/*
 * image.h - "minivm image": disk images made, looked at, checked, copied and changed without a machine.
 */
#ifndef VMM_IMAGE_H
#define VMM_IMAGE_H

/* argv[0] is "image". Returns the exit status: enum image_status in image_tool.h. */
int image_main(int argc, char **argv);

#endif
