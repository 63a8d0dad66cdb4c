"""Strategy files: positions, validation, origins, overlays."""
