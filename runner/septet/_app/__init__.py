"""The application: every command as a function from values to values.

What asks (the command line, Python) parses and shows; what is done is decided here. Nothing here
prints, asks, handles a signal or knows an exit status. Long work takes a `Progress` and may be
stopped by it; what is wrong comes as an error of `septet.errors`, whose problems have places.
"""
