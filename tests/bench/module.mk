$(BUILD)/tests/bench/bench_codec: $(BUILD)/tests/lib/pictures.o

# Static: it runs in a guest that is only an initial RAM disk.
IN_GUEST := $(BUILD)/tests/bench/in_guest
$(IN_GUEST): tests/bench/in_guest.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) -std=gnu2x -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -o $@ $<
