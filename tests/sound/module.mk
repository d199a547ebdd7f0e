# A sound card that nobody here wrote, for the client. Needs libspice-server-dev.
SOUND_TEST_BIN := $(BUILD)/tests/sound/host

CFLAGS_tests_sound_host = $(shell pkg-config --cflags spice-server)

$(BUILD)/tests/sound/host: %: %.o $(patsubst %,$(BUILD)/tests/reference/%.o,device core) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(shell pkg-config --libs spice-server) $(LIBS)

E2E_NEEDS += $(SOUND_TEST_BIN)
