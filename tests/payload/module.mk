# What guest/payload/draw.c should have drawn.
DRAW_ORACLE := $(BUILD)/tests/payload/oracle
PAYLOAD_NEEDS += $(DRAW_ORACLE)
$(DRAW_ORACLE): $(addprefix $(BUILD)/,tests/payload/oracle.o tests/lib/drawing_oracle.o tests/lib/recorded.o \
		tests/lib/pictures.o guest/payload/drawing.o) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
