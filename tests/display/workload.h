/*
 * workload.h - guests that never were: drawing by the thousand, the same at each run.
 *
 * They are of the kinds and counts that the reference's figures were taken with, so that ratios may be compared.
 */
#ifndef TESTS_DISPLAY_WORKLOAD_H
#define TESTS_DISPLAY_WORKLOAD_H

#include "tests/lib/script.h"

/* Frames of a video have their number in their first rows, in squares that survive a lossy codec. */
#define VIDEO_WIDTH  640
#define VIDEO_HEIGHT 360
#define VIDEO_X      320
#define VIDEO_Y      240

/* `scale` times the usual length. -EINVAL with fail_text() when there is no such workload. */
int workload_make(struct script *s, const char *name, double scale);
bool workload_is_video(const char *name);
/* The number of the video frame that a screen shows; rows of BGRx. */
unsigned video_frame_shown(const uint8_t *screen, uint32_t stride);

#endif
