"""Venues and order styles."""
