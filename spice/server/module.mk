# The SPICE server with a fake display, which tests/e2e/test_server_stock.py lets stock clients connect to.
FAKE_SERVER := $(BUILD)/tests/e2e/fake_server

$(FAKE_SERVER): $(BUILD)/tests/e2e/fake_server.o $(BUILD)/tests/lib/fake_display.o $(BUILD)/tests/lib/fake_card.o $(BUILD)/tests/lib/tones.o $(BUILD)/tests/lib/null_modem.o $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
