"""Templates to pages in one file: style and script inside, pictures as data, and a policy that forbids all else.

What goes into a page is escaped by Jinja. Should something slip through, the page's own policy lets no script or style
run but the two whose hashes it names, and nothing be loaded.
"""

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

PIXELATED_PX = 64
"""Pictures up to this size are kept without loss: their pixels are to be seen."""


FLAG = re.compile(r"(?<![\w&#-])--[a-z][\w.-]*")


def render(template: str, title: str, **content: object) -> str:
    """Make a page.

    Args:
        template: Its file in ``templates/``; it extends ``base.html``.
        title: What the browser's tab says.
        content: What the template names.
    """
    environment = Environment(
        loader=PackageLoader("sagan.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": lambda value: f"{value:,}", "flags": _flags, "unbroken": _unbroken}
    style, script = _template("page.css"), _template("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    inner = {"style": Markup(style), "script": Markup(script), "policy": policy}
    return environment.get_template(template).render(title=title, **inner, **content)


class Album:
    """Pictures as data for a page, until a number of bytes is used up; a picture after that is None.

    Args:
        pictures: RGB pictures by index.
        most_bytes: How many bytes all of them may take, each time that they are shown.
    """

    def __init__(self, pictures: Mapping[int, Image.Image], most_bytes: int) -> None:
        self.pictures = pictures
        self.left = most_bytes
        self._made: dict[int, str] = {}

    def take(self, index: int) -> str | None:
        """Give a picture as the value of ``src``, or None if it is not there or there is no room left."""
        if index not in self.pictures:
            return None
        if index not in self._made:
            self._made[index] = as_data(self.pictures[index])
        uri = self._made[index]
        if len(uri) > self.left:
            return None
        self.left -= len(uri)
        return uri

    def is_small(self, index: int) -> bool:
        """Tell whether a picture is so small that its pixels are to be seen."""
        return index in self.pictures and max(self.pictures[index].size) <= PIXELATED_PX


def as_data(image: Image.Image) -> str:
    """Write a picture as a ``data:`` address."""
    buffer = io.BytesIO()
    small = max(image.size) <= PIXELATED_PX
    image.save(buffer, "WEBP", lossless=small, quality=75)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def shortened(text: str, most: int = 160) -> str:
    """Cut the middle out of a long text."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"


def _unbroken(text: str) -> Markup:
    """Keep the flags of a command line in one piece each."""
    return Markup(FLAG.sub(lambda found: f'<span class="flag">{found[0]}</span>', str(escape(text))))


def _flags(text: str) -> Markup:
    """Show the flags in a sentence as code, and begin it with a capital."""
    capital = str(escape(text[:1].upper() + text[1:]))
    return Markup(FLAG.sub(lambda found: f'<code class="flag">{found[0]}</code>', capital))


def _template(name: str) -> str:
    return (resources.files("sagan.pages") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
