# What the tests with guests boot.
E2E_NEEDS += demo $(TINY) $(EFI) $(XEN) $(BUILD)/payload/ports.img
