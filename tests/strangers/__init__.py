"""Packages of strangers: what runs, what is refused, and what a run reports of them."""
