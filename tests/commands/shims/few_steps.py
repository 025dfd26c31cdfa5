"""``sagan`` as scripts of pages call it in a test: the same verb and flags, with fewer steps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from page_changes import small

from sagan.cli.main import main

if __name__ == "__main__":
    if sys.argv[1] == "train":
        from sagan.generators import pretrained

        pretrained.STANDING_BATCHES = 3  # as in all tests
    sys.exit(main(small(sys.argv[1:])))
