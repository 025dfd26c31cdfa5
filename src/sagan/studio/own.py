"""A picture of one's own, and where the discriminator looks in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sagan.data.alike import fitted_alike, plan_alike
from sagan.data.config import DataConfig
from sagan.data.decode import UnreadableError, decode_picture
from sagan.data.fit import fitted
from sagan.figures import save_image
from sagan.generators.attention import draw_attention, picture_maps
from sagan.generators.files import noted, save_arrays
from sagan.generators.trained import AttentionResult
from sagan.models.discriminator import Discriminator
from sagan.sampling import attention_gammas
from sagan.sizes import Size, size_of
from sagan.studio.binary import packed
from sagan.studio.drawing import coarse_queries, message_of_maps


def opened(data: bytes, size_px: Size, trained_on: object) -> NDArray[np.uint8]:
    """Decode a picture and bring it to its size as training did, uint8 (H, W, 3).

    Args:
        data: The file.
        size_px: The size that the discriminator takes.
        trained_on: What the run says of its pictures.

    Raises:
        ValueError: If it is no picture that can be read.
    """
    try:
        pixels = decode_picture(data, plan_alike(trained_on)).pixels
        config = fitted_alike(DataConfig(), trained_on)
        return np.array(fitted(pixels, size_of(size_px), config.fit, config.border))
    except UnreadableError as error:
        raise ValueError(f"this picture cannot be used: {error}") from error


def own_picture(D: Discriminator, data: bytes, trained_on: object) -> bytes:
    """Give the picture as D sees it and, in a message of its own behind it, where D looks in it.

    Raises:
        ValueError: If the picture cannot be read, or D has no attention.
    """
    if not D.attention:
        raise ValueError("this discriminator has no attention: it was configured without")
    image = opened(data, D.config.image_size, trained_on)
    queries = coarse_queries(D)
    maps = {position: found[0] for position, found in picture_maps(D, image[None], queries).items()}
    behind = message_of_maps(maps, D)
    return packed({}, {"image": image, "looks": np.frombuffer(behind, np.uint8)})


def save_own(
    D: Discriminator,
    image: NDArray[np.uint8],
    out: Path,
    query_px: tuple[int, int],
    position: int,
    metadata: dict[str, str],
) -> None:
    """Write the figure of `sagan attention --data` over a picture as :func:`opened` gives it, or its arrays."""
    images = image[None]
    queries: Sequence[tuple[int, int]] = [query_px]
    maps, gammas = picture_maps(D, images, queries), attention_gammas(D)
    if out.suffix == ".npz":
        arrays = {"images": images, "queries": np.array(queries)} | noted(metadata)
        save_arrays(out, arrays | {f"maps_feat{k}": values for k, values in maps.items()})
        return
    result = AttentionResult(images, None, maps, gammas)
    caption = f"a picture of one's own; form {D.config.attention_form}"
    figure = draw_attention(
        result, queries, position=position, names=None, network="discriminator", caption=caption, style="heat"
    )
    save_image(figure, out, metadata=metadata)
