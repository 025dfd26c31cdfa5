"""``python -m sagan`` is the command ``sagan``."""

import sys

from sagan.cli import main

sys.exit(main())
