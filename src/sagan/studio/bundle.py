"""The page's modules as one script, for a page that is a single file."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources

IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
EXPORT = re.compile(r"^export ", re.MULTILINE)


def page_file(name: str) -> str:
    """Read a file of the page."""
    return (resources.files("sagan.studio") / "page" / name).read_text(encoding="utf-8")


def joined(names: Sequence[str]) -> str:
    """Put modules behind each other, those that others import first; their names must not clash."""
    return "".join(EXPORT.sub("", IMPORT.sub("", page_file(name))) for name in names)


def single_file(template: str, styles: Sequence[str], scripts: Sequence[str], data: Mapping[str, bytes]) -> str:
    """Make a page in one file; its own policy lets nothing run or load but what is in it.

    Args:
        template: The page's body, a file of the page.
        styles: Files of the page.
        scripts: Files of the page, see :func:`joined`.
        data: What scripts find by ``document.getElementById``, in base64.
    """
    style = "".join(page_file(name) for name in styles)
    script = f'"use strict";\n{joined(scripts)}'
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    held = "".join(
        f'<script type="text/plain" id="{name}">{base64.b64encode(content).decode("ascii")}</script>\n'
        for name, content in data.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>sagan report</title>\n<style>{style}</style>\n</head>\n<body>\n{page_file(template)}\n{held}"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
