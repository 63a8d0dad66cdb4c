"""Monitors and alerts."""
