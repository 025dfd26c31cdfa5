"""The words nearest to one that is not known: what a person who mistyped may have meant, and nothing that is far.

And one thing is not several.
"""

import re
from collections.abc import Iterable

LETTERS_A_MISTAKE = 4
"""A word of so many letters may have one wrong: `evalute` is evaluate, `cat` is not pants."""
LONG = 100
SHORTEST = 3
"""A word of at least so many letters may have one wrong all the same: `dgo` is dog; and it is near to a name of which
it is a part: `tench` to `tench, Tinca tinca`."""


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """Ask whether known words are meant, the nearest first; gives an empty text where none is near."""
    near = nearest(word, known, most)
    return f"did you mean {', '.join(near)}?" if near else ""


def how_many(count: int, one: str) -> str:
    """Write how many there are of something: `1 picture`, `1,797 pictures`, `2 classes`."""
    return f"{count:,} {one if count == 1 else f'{one}es' if one.endswith('s') else f'{one}s'}"


def nearest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Find the known words that differ from ``word`` by few letters, or have it as a part; the nearest first.

    Capitals count as small letters.
    """
    wanted = word.casefold()
    found = []
    for order, name in enumerate(known):
        candidate = name.casefold()
        letters = max(len(wanted), len(candidate))
        allowed = max(1, letters // LETTERS_A_MISTAKE) if letters >= SHORTEST else 0
        # So many at least; a word of a million letters is then not compared.
        mistakes = abs(len(wanted) - len(candidate))
        mistakes = mistakes if mistakes > allowed and letters > LONG else edits(wanted, candidate)
        is_part = len(wanted) >= SHORTEST and wanted in re.split(r"[\W_]+", candidate)
        if mistakes <= allowed or is_part:
            found.append((mistakes, order, name))
    return [name for _, _, name in sorted(found)[:most]]


def edits(a: str, b: str) -> int:
    """Count the letters to put in, take out, change, or swap with a neighbour that make ``b`` of ``a``.

    Source: Damerau 1964; each letter is swapped at most once (optimal string alignment).
    """
    before, last = [0] * (len(b) + 1), list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
