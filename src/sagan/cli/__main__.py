"""``python -m sagan.cli`` is the command ``sagan``."""

import sys

from sagan.cli.main import main

sys.exit(main())
