"""Turns a validated file into one generated, compiled module."""
