/* QUIC's inner loops for processors with AVX2, BMI2 and LZCNT; module.mk says so to the compiler. */
#define QUIC_OPS quic_ops_v3
#include "spice/codec/quic_rows.h"
