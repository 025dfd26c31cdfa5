"""The documentation site: what Sphinx makes of docs/, strictly; and links of all pages, as a code host follows them."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import sagan

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES += [
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "results").rglob("*.md")),
    *sorted(ROOT.glob("examples/*.md")),
]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|srcset|data)=["']?\s*(?:https?:)?//"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|icon|preconnect|dns-prefetch))[^>]*\bhref=["']?(?:https?:)?//"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def prose(page: Path) -> str:
    """Give a page without its code."""
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as a code host does: lower case, words joined by dashes."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """Name the relative links and pictures of a page that lead nowhere."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`", "", prose(page))):
        place, _, anchor = unquote(target).partition("#")
        if re.match(r"[a-z]+:", place):
            continue
        file = page.parent / place if place else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_of_a_page_is_dead(page: Path) -> None:
    assert dead_links(page) == []


def test_dead_links_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading: of `code`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#a-heading-of-code) [b](there.md#no) [c](gone.md) ![d](gone.png) [e](#no) [f](https://x.y)\n"
    )
    assert dead_links(page) == ["there.md#no", "gone.md", "gone.png", "#no"]


def test_the_first_page_names_all_others() -> None:
    named = re.findall(
        r"^- \[[^\]]+\]\(([\w-]+)\.md\)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted([*named, "index"]) == sorted(page.stem for page in (ROOT / "docs").glob("*.md"))


def opened_marks(source: str) -> list[str]:
    """Docstrings with a bar before a word outside backticks: reStructuredText takes it for a substitution."""
    texts = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [text for text in texts if re.search(r"(?<!\S)\|[^\s|]", re.sub(r"`+[^`]*`+", "", text))]


def test_no_docstring_opens_a_substitution() -> None:
    """The strict build stops there; this says so without minutes of building."""
    assert opened_marks('class A:\n    x = 1\n    """Half of |grad D|^2, and `|quoted`."""')
    assert not opened_marks('def f():\n    """A `|quoted` bar, a | b."""')
    sources = sorted((ROOT / "src").rglob("*.py"))
    assert {path.name: marks for path in sources if (marks := opened_marks(path.read_text(encoding="utf-8")))} == {}


def build(docs: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", *options, str(docs), str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of docs/, with the rest of the repository beside it."""
    for name in ("results", "src", "README.md", "ARCHITECTURE.md", "LICENSE"):
        (tmp_path / name).symlink_to(ROOT / name)
    return Path(shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("api")))


@pytest.mark.slow("imports all modules and builds all pages")
def test_the_site_is_whole_keeps_to_itself_and_can_be_searched(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    built = build(ROOT / "docs", tmp_path)
    assert built.returncode == 0, built.stderr
    check_pages(tmp_path)
    check_api(tmp_path / "api")
    check_search(tmp_path, open_page)


def check_pages(site: Path) -> None:
    """All pages are there, load nothing from elsewhere, and no link leaves them for a file that a site has not."""
    pages = {page.stem for page in site.glob("*.html")}
    assert pages >= {page.stem for page in (ROOT / "docs").glob("*.md")}
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css", ".js", ".svg")]
    assert len(files) > 30
    found = {
        str(file.relative_to(site)): match[0] for file in files if (match := LOADED.search(file.read_text("utf-8")))
    }
    assert found == {}
    assert (
        "(../" not in (site / "hooks.html").read_text(encoding="utf-8").split("<article", 1)[1].split("</article>")[0]
    )


@pytest.mark.parametrize(
    "loads",
    [
        '<script async src="https://cdn.example/a.js">',
        "<link rel='stylesheet' href='//fonts.example/css'>",
        '<link href="https://fonts.example" rel="preconnect">',
        "@import url(https://fonts.example/css);",
        "src: url('https://fonts.example/a.woff2')",
        "<img alt='' src=https://example.org/a.png>",
    ],
)
def test_what_is_loaded_from_elsewhere_is_noticed(loads: str) -> None:
    assert LOADED.search(loads)
    assert not LOADED.search('<a href="https://example.org">there</a><script src="_static/a.js"></script>')


def check_api(folder: Path) -> None:
    """Every public name is on one page, and every room has its own."""
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<dt class="sig[^"]*" id="sagan\.(\w+)"', page)) == set(sagan.__all__) - {"__version__"}
    rooms = {path.name for path in (ROOT / "src" / "sagan").iterdir() if (path / "__init__.py").is_file()}
    assert rooms == {page.stem.removeprefix("sagan.") for page in folder.glob("sagan.*.html")}
    assert 'id="sagan.ops.attention.SelfAttention2d.attention_map"' in (folder / "sagan.ops.html").read_text("utf-8")


def check_search(site: Path, open_page: Callable[..., Any]) -> None:
    """Words are found with the site opened from disk."""
    for word, title in (("truncation", "The studio"), ("FID", "Numbers that can be compared")):
        page = open_page(f"{site.as_uri()}/search.html?q={word}")
        # Results come one by one.
        page.wait_for_function(
            "title => document.querySelector('#search-results').innerText.includes(title)", arg=title
        )
        assert [url for url in page.asked if not url.startswith("file:")] == []


@pytest.mark.slow("builds the pages several times")
def test_dead_links_and_lost_pages_fail_the_build(copied: Path, tmp_path: Path) -> None:
    def said(name: str, old: str, new: str) -> str:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert old in text
        (copied / name).write_text(text.replace(old, new), encoding="utf-8")
        built = build(copied, tmp_path / "out", "-E", "-t", "without_api")
        (copied / name).write_text(text, encoding="utf-8")
        assert (built.returncode == 0) == (old == new), built.stderr
        return built.stderr

    assert said("index.md", "", "") == ""
    assert "metrcs.md" in said("collapse.md", "(metrics.md)", "(metrcs.md)")
    assert "no-such" in said("index.md", "[Data](data.md)", "[Data](data.md#no-such)")
    assert "../GONE.md" in said("hooks.md", "../ARCHITECTURE.md", "../GONE.md")
    assert "toctree" in said("index.md", "- [Licences](licences.md)", "- Licences")
