"""Two rules about the week: how far it has moved, and how much to hold over its end."""
