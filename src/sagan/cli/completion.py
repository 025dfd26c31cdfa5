"""``sagan completion``: a script that completes verbs, flags and values in bash, zsh or fish; tyro writes it.

Completing starts a Python without packages, so it waits neither for this package nor for PyTorch.
"""

import dataclasses
import io
import textwrap
import typing
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

import tyro

from sagan.cli.flags import ConfigFlags
from sagan.cli.parse import field_docs, parse
from sagan.recipes.presets import PRESETS

Shell = Literal["bash", "zsh", "fish"]

WHAT = """\
Print a script that completes verbs, flags and values of `sagan` in a shell; print it again after an update.

  bash  sagan completion bash > ~/.local/share/bash-completion/completions/sagan
  zsh   sagan completion zsh > FOLDER/_sagan    (a folder of $fpath)
  fish  sagan completion fish > ~/.config/fish/completions/sagan.fish"""

# Where tyro's script knows nothing, the shell completes files: runs and pictures are named by their place.
FILES: dict[str, str] = {
    "bash": """
_sagan() {
  _tyro_sagan
  [[ ${#COMPREPLY[@]} -eq 1 && -z ${COMPREPLY[0]} ]] && COMPREPLY=()
  return 0
}
complete -o filenames -o bashdefault -o default -F _sagan sagan
""",
    "zsh": " || _files\n",
    "fish": """
complete --command sagan --force-files \\
    --condition 'set -l before (commandline -opc)
        test (count $before) -gt 1; and not string match -q -- "-*" (commandline -ct) $before[-1]'
""",
}


@dataclass(frozen=True, kw_only=True)
class CompletionFlags:
    """Flags of ``sagan completion``."""

    shell: tyro.conf.Positional[Shell]
    """The shell."""


def run(arguments: list[str], verbs: Mapping[str, tuple[type[Any], str]]) -> int:
    """Parse and print.

    Args:
        arguments: What stands behind the verb.
        verbs: {verb, of one word or two: (the dataclass of its flags, what it does)}.
    """
    flags = parse(CompletionFlags, arguments, "completion", description=WHAT)
    print(script(flags.shell, verbs), end="")
    return 0


def script(shell: Shell, verbs: Mapping[str, tuple[type[Any], str]]) -> str:
    """Write the script for a shell."""
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        tyro.cli(_all_of(verbs), prog="sagan", args=["--tyro-write-completion", shell, "-"])
    return printed.getvalue().rstrip() + FILES[shell]


def _all_of(verbs: Mapping[str, tuple[type[Any], str]]) -> Any:
    """Make one type of the flags of all verbs, as tyro takes it; verbs of two words are nested."""
    found: list[Any] = []
    groups: dict[str, list[Any]] = {}
    for verb, (kind, summary) in verbs.items():
        *group, name = verb.split()
        (groups.setdefault(group[0], []) if group else found).append(_one(_in_short(kind), name, summary))
    for group_name, members in groups.items():
        inner: Any = Annotated[Union[*members], tyro.conf.arg(name="")]
        found.append(_one(dataclasses.make_dataclass("Group", [("verb", inner)]), group_name, f"sagan {group_name}"))
    return Union[*found]


def _one(kind: Any, name: str, summary: str) -> Any:
    return Annotated[kind, tyro.conf.subcommand(name, description=summary, prefix_name=False)]


def _in_short(kind: type[Any]) -> type[Any]:
    """Make a dataclass of the same flags with texts of one short line.

    Tyro takes a second line for a candidate, and fish hands all of them to Python as one argument, of 128 KiB at most.
    Names of presets, a word like any other to the parser, become values to complete.
    """
    members = []
    for field in dataclasses.fields(kind):
        hint = typing.get_type_hints(kind, include_extras=True)[field.name]
        inner, *marks = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
        default: Any = field.default
        made: Any = field.default_factory
        text = field_docs(typing.cast("Any", kind))[field.name] if not dataclasses.is_dataclass(inner) else ""
        if dataclasses.is_dataclass(inner):
            inner = made = _in_short(typing.cast("type[Any]", inner))
        elif issubclass(kind, ConfigFlags) and field.name == "preset":
            inner, default = Literal[*PRESETS], next(iter(PRESETS))
        short = tyro.conf.arg(help=textwrap.shorten(text, 40, placeholder=" ..."), metavar="")
        start = {"default": default} if made is dataclasses.MISSING else {"default_factory": made}
        members.append((field.name, Annotated[inner, *marks, short], dataclasses.field(**start)))
    return dataclasses.make_dataclass(kind.__name__, members, frozen=True, kw_only=True)
