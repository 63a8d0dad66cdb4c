"""From a validated file to one generated, compiled module."""
