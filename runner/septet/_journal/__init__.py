"""The journal: the verifiable, ordered record of a run."""
