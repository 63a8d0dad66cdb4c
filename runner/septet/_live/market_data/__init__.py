"""Market data of a live run: bars and decision times from what a feed says, and its silence."""
