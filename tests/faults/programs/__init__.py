"""Programs that the fault tests start, kill and watch."""
