"""Market data of a live run: bars, decision times and silence, from the messages of a feed."""
