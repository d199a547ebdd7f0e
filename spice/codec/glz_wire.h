/* glz_wire.h - what GLZ's encoder and decoder share. */
#ifndef SPICE_CODEC_GLZ_WIRE_H
#define SPICE_CODEC_GLZ_WIRE_H

#include "spice/codec/lz_wire.h"

#define GLZ_HEADER_BYTES 33
#define GLZ_TOP_DOWN     0x10

#endif
