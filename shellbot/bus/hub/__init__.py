"""The process behind a publisher: one of those on an address is the hub, which sends for all; the others hand it
their queues, and one of them goes on when it dies."""
