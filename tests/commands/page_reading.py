"""What pages hold that can be run: commands in blocks and in running text, blocks of Python, and marks in comments.

The rule:

- Each line of a block marked ``sh``, ``bash`` or ``console`` is a command (of ``console`` those behind ``$``); a line
  that ends in a backslash goes on, ``...`` says "and so on". A block that begins with ``#!``, or uses variables,
  pipes or conditions, is one script. A block marked ``python`` is one command. Blocks with other marks, or none, show
  what is printed.
- In running text and tables a span of code that begins with ``sagan``, ``./dev``, ``python``, ``pip`` or ``torchrun``
  is a *mention* if it has no arguments, a *synopsis* if it has a place to fill in (``RUN``, ``...``, ``[--num N]``),
  and a command or a script otherwise. A span that begins with ``--`` names a *flag*.
- ``<!-- not run: REASON -->`` before a block, paragraph, list or table: its commands are not run; ``<!-- not run
  `./dev pytest`: REASON -->`` means those that begin so. ``<!-- given: CODE -->`` is Python that is run first, for what
  a page takes for granted. ``<!-- leaves: FILE ... -->`` before a block names files that must be there after it. All
  are invisible wherever Markdown is drawn.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
SHELL, PYTHON = ("sh", "bash", "console", "shell"), ("python", "py")
PROGRAMS = ("sagan", "./dev", "python", "pip", "torchrun")
MARKS = re.compile(r"<!--\s*(not run|given|leaves)(?: `(.+?)`)?:\s*(.*?)\s*-->", re.DOTALL)
PLACE = re.compile(r"\.\.\.|\[|(?<![\w-])[A-Z]{1,}(?:_[A-Z]+)*(?![\w-])")
SCRIPT = re.compile(r"^#!|[|;&<>]|\$[\w({]|^\w+=", re.MULTILINE)
READER = MarkdownIt("commonmark").enable("table")

Kind = Literal["command", "script", "python", "mention", "synopsis", "flag"]


@dataclass(frozen=True)
class Found:
    """Something on a page that can be run, or looked up."""

    page: Path
    line: int
    kind: Kind
    text: str
    in_block: bool = False
    not_run: str | None = None
    """The reason of a mark."""
    given: str = ""
    leaves: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}: {self.text.splitlines()[0]}"

    @cached_property
    def words(self) -> list[str]:
        """Give the words of a command, without ``./dev``."""
        words = shlex.split(self.text, comments=self.in_block)
        return words[1:] if words[:1] == ["./dev"] else words

    @property
    def can_run(self) -> bool:
        return self.kind in ("command", "script", "python")

    @property
    def installs(self) -> bool:
        return self.kind == "command" and self.words[:2] == ["pip", "install"]


def pages() -> list[Path]:
    """Give the pages whose commands are run."""
    folders = [page for name in ("docs", "examples") for page in sorted((ROOT / name).rglob("*.md"))]
    return [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *folders]


def read(page: Path) -> list[Found]:
    """Find all that a page has, in its order.

    Raises:
        ValueError: If a mark marks nothing or has no reason, or a block with commands does not say that it has some.
    """
    found: list[Found] = []
    marks: list[tuple[str, str, str]] = []
    for block in _blocks(page.read_text(encoding="utf-8")):
        if block[0].type == "html_block":
            if "<!-- not run" in block[0].content and not MARKS.search(block[0].content):
                raise ValueError(f"{page.name}: write <!-- not run: REASON -->, found {block[0].content.strip()}")
            marks += MARKS.findall(block[0].content)
            continue
        new = [item for token in block for item in _in_token(page, token)]
        for mark in marks:
            _mark(new, *mark)
        found += new
        marks = []
    return found


def _mark(items: list[Found], name: str, beginning: str, said: str) -> None:
    """Write a mark to what it marks.

    Raises:
        ValueError: If there is nothing.
    """
    meant = [i for i, item in enumerate(items) if item.can_run and item.text.startswith(beginning)]
    if not meant:
        raise ValueError(f"nothing to run stands behind the mark `{name} {beginning}: {said}`")
    if name == "given":
        items[meant[0]] = replace(items[meant[0]], given=said)
    elif name == "leaves":
        items[meant[-1]] = replace(items[meant[-1]], leaves=tuple(said.split()))
    else:
        for i in meant:
            items[i] = replace(items[i], not_run=said)


def _blocks(text: str) -> Iterator[list[Token]]:
    """Give the tokens of each block that is in no other: a paragraph, a list, a table, a fence."""
    block: list[Token] = []
    for token in READER.parse(text):
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


def _in_token(page: Path, token: Token) -> list[Found]:
    line = token.map[0] + 1 if token.map else 0
    if token.type in ("fence", "code_block"):
        return list(_in_block(page, line + (token.type == "fence"), token))
    if any("<!-- not run" in child.content for child in token.children or [] if child.type == "html_inline"):
        raise ValueError(f"{page.name}:{line}: a mark stands on a line of its own, before what it marks")
    spans = [child.content for child in token.children or [] if child.type == "code_inline"]
    return [Found(page, line, kind, " ".join(span.split())) for span in spans if (kind := _kind_of_span(span))]


def _in_block(page: Path, line: int, token: Token) -> Iterator[Found]:
    language = token.info.split()[0] if token.info.strip() else ""
    if language in PYTHON:
        yield Found(page, line, "python", token.content, in_block=True)
        return
    if language not in SHELL:
        for text in token.content.splitlines():
            if text.removeprefix("$ ").split(" ")[0] in PROGRAMS:
                raise ValueError(f"{page.name}:{line}: a block with commands is marked sh: ```sh, found ```{language}")
        return
    text = token.content
    if language == "console":
        text = "\n".join(row[2:] if row.startswith("$ ") else "" for row in text.splitlines())
    if SCRIPT.search(re.sub(r"(^|\s)#(?!!).*|\"[^\"]*\"|'[^']*'", "", text, flags=re.MULTILINE)):
        yield Found(page, line, "script", text, in_block=True)
        return
    start, whole = line, ""
    for number, row in enumerate(text.splitlines(), line):
        start = start if whole else number
        whole += row.removesuffix("\\")
        if not row.endswith("\\"):
            if shlex.split(whole, comments=True) not in ([], ["..."]):
                yield Found(page, start, "command", whole, in_block=True)
            whole = ""


def _kind_of_span(span: str) -> Kind | None:
    words = span.split()
    if words and re.fullmatch(r"--[a-z][\w.-]*", words[0]):
        return "flag"
    if not words or words[0] not in PROGRAMS:
        return None
    if PLACE.search(span) and words[0] != "pip":
        return "synopsis"
    if SCRIPT.search(span):
        return "script"
    words = words[1:] if words[0] == "./dev" else words
    verb = 3 if words[:2] in (["sagan", "data"], ["sagan", "paper"]) else 2
    alone = words[:1] == ["sagan"] and len(words) <= verb and not words[-1].startswith("-")
    return "mention" if alone or len(words) < 2 else "command"
