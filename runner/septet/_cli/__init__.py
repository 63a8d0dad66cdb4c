"""The commands, one module each; `septet.cli` imports each by name at its first use."""
