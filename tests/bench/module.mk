$(BUILD)/tests/bench/bench_codec: $(BUILD)/tests/lib/pictures.o
