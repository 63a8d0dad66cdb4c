"""Tests of labels, training, serving, storing and health."""
