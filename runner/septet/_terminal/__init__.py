"""`septet top`: one run on a terminal that redraws itself, or as a line every few seconds."""
