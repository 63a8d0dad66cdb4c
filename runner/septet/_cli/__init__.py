"""The commands, one file each; `septet.cli` imports them by name when they are asked for."""
