"""Signals and regimes."""
