"""Clean a grey volume: an ordered list of filters."""
