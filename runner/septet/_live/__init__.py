"""The live shell: one loop around the deterministic core, paper and live."""
