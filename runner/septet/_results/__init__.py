"""A finished run as values: its tables, the figures made of them, and the verdict."""
