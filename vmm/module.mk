# The DSDT is ASL with C macros, compiled by iasl into a C array.
$(BUILD)/vmm/dsdt.hex: vmm/dsdt.asl
	@mkdir -p $(@D)
	@echo "  IASL  $<"
	$(Q)$(CC) -E -P -x c $< -o $(@D)/dsdt.i.asl
	$(Q)iasl -vs -tc -p $(@D)/dsdt $(@D)/dsdt.i.asl >$(@D)/dsdt.log 2>&1 || { grep -E -B2 "^(Error|Warning)" $(@D)/dsdt.log; exit 1; }

$(BUILD)/vmm/acpi.o: $(BUILD)/vmm/dsdt.hex
CFLAGS_vmm_acpi = -I$(BUILD)/vmm
