"""A picture of one's own, and where the discriminator looks in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sagan.data.decode import UnreadableError, decode_picture, square
from sagan.figures import save_image
from sagan.generators.attention import draw_attention, picture_maps
from sagan.generators.files import noted, save_arrays
from sagan.generators.trained import AttentionResult
from sagan.models.discriminator import Discriminator
from sagan.sampling import attention_gammas
from sagan.studio.binary import packed
from sagan.studio.drawing import coarse_queries, message_of_maps


def opened(data: bytes, size_px: int) -> NDArray[np.uint8]:
    """Decode a picture as training does: its centre square, uint8 (size_px, size_px, 3).

    Raises:
        ValueError: If it is no picture that can be read.
    """
    try:
        return np.array(square(decode_picture(data).pixels, size_px))
    except UnreadableError as error:
        raise ValueError(f"this picture cannot be used: {error}") from error


def own_picture(D: Discriminator, data: bytes) -> bytes:
    """Give the picture as D sees it and, in a message of its own behind it, where D looks in it.

    Raises:
        ValueError: If the picture cannot be read, or D has no attention.
    """
    if not D.attention:
        raise ValueError("this discriminator has no attention: it was configured without")
    image = opened(data, D.config.size_px)
    queries = coarse_queries(D)
    maps = {position: found[0] for position, found in picture_maps(D, image[None], queries).items()}
    behind = message_of_maps(maps, attention_gammas(D), D.config.size_px, queries)
    return packed({"size_px": D.config.size_px}, {"image": image, "looks": np.frombuffer(behind, np.uint8)})


def save_own(
    D: Discriminator,
    data: bytes,
    out: Path,
    query_px: tuple[int, int],
    position: int,
    metadata: dict[str, str],
) -> None:
    """Write the figure of `sagan attention --data` over this picture, or its arrays."""
    images = opened(data, D.config.size_px)[None]
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
