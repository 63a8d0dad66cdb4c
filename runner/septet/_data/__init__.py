"""One path from raw rows to validated bars, for history and live alike."""
