# Scenes played into our display and into libspice-server's, and a client on spice-gtk that checks and measures: what
# tests/bench/display drives. Needs libspice-server-dev and libspice-client-glib-2.0-dev.
DISPLAY_BIN := $(patsubst %,$(BUILD)/tests/display/%,ours reference client viewer heads)
SCENE_OBJ := $(patsubst %,$(BUILD)/tests/%.o,display/scene display/workload \
	display/workload_pictures lib/pictures lib/script lib/trace lib/trace_draw lib/mapped_file)
PLAYER_OBJ := $(BUILD)/tests/display/player.o
DISPLAY_PKG = $(if $(filter %/client %/heads,$@),spice-client-glib-2.0,$(if $(filter %/reference,$@),spice-server))

CFLAGS_tests_display_reference = $(shell pkg-config --cflags spice-server)
CFLAGS_tests_display_client = $(shell pkg-config --cflags spice-client-glib-2.0) -Wno-deprecated-declarations
CFLAGS_tests_display_heads = $(CFLAGS_tests_display_client)
CFLAGS_tests_display_client_play = $(CFLAGS_tests_display_client)
CFLAGS_tests_display_client_film = $(CFLAGS_tests_display_client)
CFLAGS_tests_display_client_measure = $(CFLAGS_tests_display_client)

.PHONY: display
display: $(DISPLAY_BIN)
$(BUILD)/tests/display/ours: $(PLAYER_OBJ) $(patsubst %,$(BUILD)/tests/lib/%.o,qxl_guest qxl_guest_memory fake_machine)
$(BUILD)/tests/display/reference: $(PLAYER_OBJ) $(patsubst %,$(BUILD)/tests/reference/%.o,device core)
$(BUILD)/tests/display/client: $(patsubst %,$(BUILD)/tests/%.o,display/client_play display/client_film display/client_measure display/latency lib/replay)
$(BUILD)/tests/display/viewer: $(BUILD)/tests/lib/replay.o $(BUILD)/tests/display/latency.o $(CLIENT_LIB)
$(DISPLAY_BIN): $(BUILD)/%: $(BUILD)/%.o $(SCENE_OBJ) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter $(CLIENT_LIB),$^) $(LIB) $(if $(filter $(CLIENT_LIB),$^),$(CLIENT_LIBS)) \
		$(if $(DISPLAY_PKG),$(shell pkg-config --libs $(DISPLAY_PKG))) $(LIBS)

E2E_NEEDS += $(patsubst %,$(BUILD)/tests/display/%,ours client viewer heads)
