"""Run mailfs as ``python -m mailfs VERB ...``."""

import sys

from mailfs.cmd.main import main

sys.exit(main())
