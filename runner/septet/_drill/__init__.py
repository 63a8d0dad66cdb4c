"""The drill: a local venue, seeded faults, and the invariants checked after them."""
