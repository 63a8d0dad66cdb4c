"""Tests of the monitoring plugins."""
