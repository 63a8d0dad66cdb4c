"""The deterministic engine: no clock, no I/O."""
