"""Ask the health page of the run in this container: exit status 0 only while it is healthy.

    septet-health [ADDRESS]

The address is that of `monitoring.metrics.prometheus`, by default SEPTET_HEALTH or 127.0.0.1:9108.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

__all__ = ["main"]


def main() -> int:
    """Print what the page answers; return 0 for status 200, else 1."""
    default = os.environ.get("SEPTET_HEALTH", "127.0.0.1:9108")
    address = sys.argv[1] if len(sys.argv) > 1 else default
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{address}/healthz", timeout=4) as answer:
            print(answer.read(4096).decode("utf-8", "replace"))
            return 0
    except urllib.error.HTTPError as error:
        print(error.read(4096).decode("utf-8", "replace"))
    except OSError as error:
        print(f"http://{address}/healthz does not answer: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
