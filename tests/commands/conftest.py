"""What tests of pages share: their own modules, and those that write the files of other implementations."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "exchange"), str(HERE.parent / "sources")]
