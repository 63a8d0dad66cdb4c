"""The Python API: the classes and functions of `import septet`."""
