"""Run mailfs as ``python -m mailfs VERB ...``."""

import signal
import sys


def run() -> int:
    """Run the command; an interrupt that comes while it is loaded is one too."""
    try:
        from mailfs.cmd.main import main

        return main()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


sys.exit(run())
