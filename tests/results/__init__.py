"""Tests of figures and verdicts."""
