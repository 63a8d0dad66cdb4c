"""The page: all runs and one run in a browser of this machine, from the journals alone."""
