"""Sizing, limits, stops and halts."""
