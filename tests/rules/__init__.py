"""Rules of trading, called as they are: no compiler, no file, nothing folded."""
