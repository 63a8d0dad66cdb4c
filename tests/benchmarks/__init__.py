"""Tests of what `make bench` reports: never of a time."""
