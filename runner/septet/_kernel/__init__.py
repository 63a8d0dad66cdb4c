"""Compiled building blocks; numpy and numba only."""
