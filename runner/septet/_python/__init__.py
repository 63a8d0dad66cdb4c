"""Python's face of the application: what `import septet` offers, class by class."""
