"""Files that go with messages: what they are called, what they are, and where they are kept."""
