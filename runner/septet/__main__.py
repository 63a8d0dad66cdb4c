"""Run the command line: ``python -m septet``."""

from septet.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
