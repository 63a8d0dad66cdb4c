"""The drill: a local venue, faults from a seed, and what must hold after them."""
