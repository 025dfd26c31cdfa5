"""Which preset: the one that is named, else the one that fits this machine."""

from typing import NamedTuple

from sagan.recipes.config import Changes, RunConfig, with_changes, with_steps
from sagan.recipes.presets import PRESETS, PROJECTED
from sagan.recipes.written import Written
from sagan.sizes import Size, size_of
from sagan.words import did_you_mean

SIZES = (32, 64, 128, 256)
WHICH_PICTURES = (
    "which pictures? --data takes a folder, zip, .npz or packed file, or a name: digits, pairs, fashion-mnist, "
    "cifar10, cifar100"
)


class Choice(NamedTuple):
    """A preset and why, or a configuration from a file."""

    name: str
    """Its name, or that of the file."""
    reason: str
    """Why it was chosen, in a few words; empty where it was named."""
    written: Written | None = None
    """What the file says, if it is one."""
    steps: int | None = None
    """As many steps as are wanted in place of its own."""

    @property
    def config(self) -> RunConfig:
        """Its configuration; where a preset's learning rates fall, they do from the same share of the steps on."""
        config = PRESETS[self.name]() if self.written is None else self.written.config
        planned = self.written is None or self.written.length_of_preset
        return config if self.steps is None or not planned else with_steps(config, self.steps)

    @property
    def called(self) -> str:
        """What it is, without the reason."""
        return f"{'preset' if self.written is None else 'configuration'} {self.name}"

    def says_pictures(self, config: RunConfig, data: str | None = None) -> bool:
        """Tell whether anyone said which pictures: the demo does itself, another preset leaves them open.

        Args:
            config: The configuration, with all changes.
            data: Pictures that were named, even if they are those that every configuration begins with.
        """
        said = self.name == "demo" if self.written is None else self.written.says_pictures
        return said or data is not None or config.data.path != self.config.data.path

    @property
    def sentence(self) -> str:
        """The name, with the reason."""
        return self.called + (f" ({self.reason})" if self.reason else "")


def preset(
    name: str | None = None,
    *,
    data: str | None = None,
    size: Size | None = None,
    base_width: int | None = None,
    attention: tuple[int, ...] | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
) -> RunConfig:
    """Give the configuration of a preset with the changes that are often made; others are made with ``replace``.

    Args:
        name: Its name; unset chooses one that fits this machine and the size.
        data: As in :func:`with_changes`, like all that follow.
        size: In pixels: the side of a square, or "64x96" or (64, 96) for 64 high and 96 wide.
        base_width: Of both networks.
        attention: Feature maps, by their shorter side, with attention in both networks.
        steps: Generator updates in all; learning rates that fall do so from the same share of them on.
        batch_size: Images in a batch.

    Returns:
        The configuration; it is frozen.

    Raises:
        ValueError: If there is none of that name (the nearest one is told), or a value is wrong.
    """
    if name is None:
        import torch

        shorter = None if size is None else min(size_of(size))
        choice = choose_preset(None, shorter, cuda=torch.cuda.is_available())
    else:
        choice = choose_preset(name, None, cuda=False)
    changes = Changes(
        data=data, size=size, base_width=base_width, attention=attention, steps=steps, batch_size=batch_size
    )
    return with_changes(choice._replace(steps=steps).config, changes)


def choose_preset(name: str | None, size_px: int | None, *, cuda: bool) -> Choice:
    """Choose a preset.

    Args:
        name: The one that is wanted; None takes one for this machine.
        size_px: The size that is wanted, if one is: the shorter side of a rectangle.
        cuda: Whether there is a CUDA GPU.

    Raises:
        ValueError: If there is none of that name, or none for that size without a GPU.
    """
    if name is not None:
        if name not in PRESETS:
            hint = did_you_mean(name, PRESETS)
            raise ValueError(f"unknown preset {name!r}; {f'{hint} ' if hint else ''}known: {', '.join(PRESETS)}")
        return Choice(name, "")
    size = size_px or (64 if cuda else 32)
    if size <= 16:
        return Choice("demo", f"{size} px")
    if cuda:
        return Choice(f"sagan-{min(size, 128)}" if size in SIZES else "sagan-64", "a GPU, --size chooses another")
    if size >= 128:
        raise ValueError(
            f"no preset trains {size} px without a GPU in reasonable time; take --size 64, or insist with --preset "
            "sagan-128 and a small --base-width, --train.batch-size and --steps"
        )
    better = f"; of photos --preset {PROJECTED[size]} makes better pictures" if size in PROJECTED else ""
    return Choice("sagan-64-cpu" if size == 64 else "sagan-32-cpu", f"no GPU, --size chooses another{better}")
