"""`septet top`: one run on a terminal that is redrawn, or as a line every few seconds."""
