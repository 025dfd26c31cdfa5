"""The description for a package index: README.md without links and pictures that would lead nowhere there."""

import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).parent / "README.md"


def described(text: str) -> str:
    """Leave out pictures and comments, turn links into the repository to their words, and install by name."""
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.S)
    text = re.sub(r"!\[[^\]]*\]\((?!https?://)[^)]*\)\n*", "", text)
    text = re.sub(r"\[([^\]]*)\]\((?!https?://)[^)]*\)", r"\1", text)
    text = re.sub(r'pip install "\.(\[[\w,]+\])"', r'pip install "sagan-torch\1"', text)
    return re.sub(r"pip install(.*?) \.(?=[`\s])", r"pip install\1 sagan-torch", text)


setup(long_description=described(README.read_text(encoding="utf-8")), long_description_content_type="text/markdown")
