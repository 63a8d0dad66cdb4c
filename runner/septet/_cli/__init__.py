"""The commands, one file each; `septet.cli` imports each by name when it is used."""
