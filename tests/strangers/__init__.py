"""Packages of strangers: what runs, what is refused, and what a run says of them."""
