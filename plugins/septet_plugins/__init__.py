"""The built-in plugins, registered like those of any other package."""
