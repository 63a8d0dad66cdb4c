"""Tests of what `make bench` says: never of a time."""
