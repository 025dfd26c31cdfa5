"""``sagan`` as scripts of pages call it in a test: the same verb and flags, with fewer steps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from small import small

from sagan.cli.main import main

if __name__ == "__main__":
    sys.exit(main(small(sys.argv[1:])))
