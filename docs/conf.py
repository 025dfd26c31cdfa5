"""How Sphinx makes a site of these pages: ``./dev sphinx-build -W --keep-going docs build/site``.

It opens from the disk; from a server (``python -m http.server -d build/site``) its search shows the lines around a
word, too.
The pages are plain Markdown that reads on a code host as well. What a site needs beyond that is made here while it is
built: the navigation from the lists of index.md, the API pages from the docstrings, and words in place of links that
leave docs/.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = "sagan"
author = "The sagan contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "sagan"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(DOCS / "scorer.js")
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

myst_heading_anchors = 4  # links to headings, as a code host makes them
default_role = "literal"  # docstrings write `name`
napoleon_numpy_docstring = False
autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
highlight_language = "none"  # blocks without a mark show what is printed
html_use_index = False
html_domain_indices = False
add_module_names = False
toc_object_entries_show_parents = "hide"


def rooms() -> dict[str, list[str]]:
    """Name the modules of each room of ARCHITECTURE.md; those that are one file come together."""
    source = ROOT / "src" / "sagan"
    files = [path.relative_to(source).with_suffix("") for path in sorted(source.rglob("*.py")) if path.stem[0] != "_"]
    found: dict[str, list[str]] = {}
    for path in files:
        found.setdefault(".".join(("sagan", *path.parts[:-1])), []).append(".".join(("sagan", *path.parts)))
    return found


def write(path: Path, text: str) -> None:
    """Write a page if it changed, so that a second build has only that to do."""
    path.parent.mkdir(exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_api(app: Sphinx) -> None:
    """Make docs/api/: a page of the public names, and one for each room. With ``-t without_api`` there is none."""
    if app.tags.has("without_api"):
        return
    import sagan

    def heading(text: str, line: str) -> str:
        return f"{text}\n{line * len(text)}\n\n"

    public = heading("API", "=") + (
        "What ``import sagan`` gives, name by name; :doc:`the same from Python </python>` has examples. Below them\n"
        "each room of the source has a page with all that is in it.\n\n"
    )
    for name in sorted((name for name in sagan.__all__ if name[0] != "_"), key=str.lower):
        kind = "class" if isinstance(getattr(sagan, name), type) else "function"
        public += heading(name, "-") + f".. auto{kind}:: sagan.{name}\n\n"
    public += heading("All rooms", "-") + "\n   ".join((".. toctree::", ":maxdepth: 1", "", *rooms())) + "\n"
    write(app.srcdir / "api" / "index.rst", public)
    for room, modules in rooms().items():
        page = heading(room, "=") + (f".. automodule:: {room}\n   :no-members:\n\n" if room != "sagan" else "")
        page += "".join(heading(module, "-") + f".. automodule:: {module}\n\n" for module in modules)
        write(app.srcdir / "api" / f"{room}.rst", page)


def navigation(text: str, *, api: bool) -> str:
    """Add to index.md what its lists say: under each heading the pages, as entries of the navigation."""

    def tree(caption: str, entries: Sequence[str]) -> str:
        return "\n".join(("\n```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```\n"))

    lists = ""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        links = re.findall(r"^- \[([^\]]+)\]\(([\w-]+)\.md\)", section, re.MULTILINE)
        if links:
            lists += tree(section.splitlines()[0], [f"{title.replace('`', '')} <{page}>" for title, page in links])
    return text + lists + (tree("Reference", ["api/index"]) if api else "")


def words_for_links(text: str) -> str:
    """Turn a link to a file outside docs/ into its words; one that leads nowhere stays, and the build fails on it."""

    def words(link: re.Match[str]) -> str:
        shown, place = link.groups()
        if not (DOCS / place.partition("#")[0]).exists():
            return link[0]
        name = place.removeprefix("../")
        return f"`{name}`" if shown.strip("`") in name else f"{shown} (`{name}`)"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((\.\./[^)\s]+)\)", words, text)


def links_to_api(text: str) -> str:
    """Make of `ops/attention.py:attend` a link to what the API pages say of it."""

    def link(name: re.Match[str]) -> str:
        file, function = name.groups()
        return f"{{py:obj}}`{file}.py:{function} <sagan.{file.replace('/', '.')}.{function}>`"

    return re.sub(r"(?<!`)`([\w/]+)\.py:([\w.]+)`", link, text)


def on_read(app: Sphinx, page: str, source: list[str]) -> None:
    """Change a page before Sphinx reads it."""
    if page.startswith("api/"):
        return
    text = navigation(source[0], api=not app.tags.has("without_api")) if page == "index" else source[0]
    source[0] = links_to_api(words_for_links(text))


def only_own_names(app: Sphinx, doctree: nodes.document) -> None:
    """Leave names of others as words: Sphinx would look for each among all of ours that end so, half of its time."""
    for name in list(doctree.findall(addnodes.pending_xref)):
        if name["refdomain"] == "py" and not name["reftarget"].startswith("sagan."):
            name.replace_self(name.children)


def setup(app: Sphinx) -> None:
    """Have Sphinx call the functions above."""
    app.connect("builder-inited", write_api)
    app.connect("source-read", on_read)
    app.connect("doctree-read", only_own_names)
