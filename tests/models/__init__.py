"""Tests of the model plugins."""
