/* QUIC's inner loops for any x86-64. */
#define QUIC_OPS quic_ops_any
#include "spice/codec/quic_rows.h"
