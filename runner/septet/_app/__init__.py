"""The application: every command as a function whose arguments and result are plain values.

Callers (the command line, Python) parse arguments and print; the work is done here. Nothing here
prints, prompts, handles a signal or knows an exit status. Long work takes a `Progress` and may be
stopped by it; failures are errors of `septet.errors`, whose problems name a place.
"""
