"""Programs that publish and read on one bus, told what to do and judged: for fault rows, and for the tests of faults."""
