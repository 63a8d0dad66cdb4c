"""The journal: what happened, in order, provably."""
