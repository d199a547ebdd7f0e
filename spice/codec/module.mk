CFLAGS_spice_codec_quic_v3 := -mavx2 -mbmi -mbmi2 -mlzcnt
# The inner loops are worth what the compiler can do.
CFLAGS_spice_codec_quic_any := -O3
CFLAGS_spice_codec_quic_v3 += -O3
CFLAGS_spice_codec_image := -O3
CFLAGS_spice_codec_lz_encode := -O3
CFLAGS_spice_codec_lz_decode := -O3
CFLAGS_spice_codec_glz := -O3
CFLAGS_spice_codec_glz_encode := -O3
CFLAGS_spice_codec_yuv := -O3
