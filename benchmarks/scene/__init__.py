"""Programs that publish and read on one bus, told what to do and judged: for rows of faults, and for their tests."""
