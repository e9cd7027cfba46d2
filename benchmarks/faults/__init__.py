"""The bench ``faults``: one row per fault, what it did to the messages, and whether that is what the bus promises."""
