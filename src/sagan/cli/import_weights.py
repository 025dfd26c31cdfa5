"""``sagan import``: weights of other implementations."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import tyro

from sagan.cli.parse import UsageError, parse
from sagan.exchange.config import ImportConfig, SourceName, check_out
from sagan.places import check_file
from sagan.words import did_you_mean, how_many

WHAT = """\
Bring in weights that another implementation trained. Nothing in its files is executed.

SOURCE, and the FILE to give:
  biggan-pytorch  G_ema.pth (or G.pth) of its SAGAN script; D.pth goes with --discriminator
  studiogan       model=G_ema-...pth (or model=G-...pth) of SAGAN, SNGAN or ACGAN; model=D-...pth with --discriminator
  mmgeneration    the .pth of SAGAN or SNGAN-proj: it holds the moving average and the discriminator as well
  mimicry         netG_..._steps.pth of SAGAN, cGAN-PD or SNGAN; netD_..._steps.pth with --discriminator
  auto            goes by the names of the tensors

OUT is a .safetensors file for the generator alone, or a new folder that a run can start from:
  sagan sample OUT --out samples.png
  sagan train --config OUT/config.json --init-from OUT --data PICTURES"""


@dataclass(frozen=True, kw_only=True)
class ImportFlags(ImportConfig):
    """Flags of ``sagan import``: whose weights, which files, and what they do not say themselves."""

    source: Annotated[tyro.conf.Positional[SourceName], tyro.conf.arg(metavar="SOURCE")] = tyro.MISSING
    """biggan-pytorch, studiogan, mmgeneration, mimicry, or auto."""
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """The file with the generator."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """A .safetensors file, or a new folder."""


def run(arguments: list[str]) -> int:
    """Parse, bring in, say what it is and what to type next."""
    words = [word for word in arguments if not word.startswith("-")]
    if words and not arguments[0].startswith("-") and words[0] not in get_args(SourceName):
        hint = did_you_mean(words[0], get_args(SourceName), 2) or "write `auto` if you do not know."
        raise UsageError(f"no source {words[0]!r}; {hint} Known: {', '.join(get_args(SourceName))}")
    flags = parse(ImportFlags, arguments, "import", description=WHAT)
    check_out(flags.out)
    if not flags.file.exists():
        raise FileNotFoundError(f"{flags.file}: no such file")
    for flag, file in (("--discriminator", flags.discriminator), ("--class-names", flags.class_names)):
        if file is not None:
            check_file(flag, file)
    from sagan.exchange.bring_in import import_weights

    imported = import_weights(flags.file, flags.out, flags)
    config, out = imported.config, shlex.quote(str(imported.out))
    places = ", ".join(f"{k}x{k}" for k in config.attention_positions) or "nowhere"
    classes = how_many(config.num_classes, "class")
    print(f"{imported.out}: a generator of {imported.source}, {config.size_px} px, {classes}")
    print(
        f"  base width {config.base_width}, attention at {places}, "
        f"{'with' if config.spectral_norm else 'without'} spectral normalisation"
    )
    if imported.told:
        print(f"  settled: {'; '.join(imported.told)}")
    if imported.left_out:
        print(f"  left out: {'; '.join(imported.left_out)}")
    if not imported.discriminator:
        print("  no discriminator: a run that starts from it has a fresh one")
    print(f"next:\n  sagan sample {out} --out samples.png")
    if imported.discriminator:
        print(f"  sagan train --config {out}/config.json --init-from {out} --data PICTURES")
    return 0
