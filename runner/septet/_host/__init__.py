"""Plugins: declarations, discovery, loading."""
