"""Moving pictures as video: MP4 and WebM through PyAV, which carries FFmpeg's libraries (the extra ``video``)."""

from collections.abc import Mapping
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np

from sagan.figures.canvas import Pixels

# Container and codec, and the codec's options: near to what the eye can tell apart.
FORMATS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".mp4": ("mp4", "libx264", {"crf": "16", "preset": "medium"}),
    ".webm": ("webm", "libvpx-vp9", {"crf": "20", "b": "0"}),
}


def encode(frames: Pixels, suffix: str, fps: float, metadata: Mapping[str, str]) -> bytes:
    """Give the contents of a video's file, in the colours that every player shows (YUV 4:2:0, so not bit for bit).

    A side of an odd length gets a row or column more, the last one again: these formats have even sides.

    Shape: frames uint8 (N, H, W, 3), 0 to 255.

    Args:
        frames: The frames in order.
        suffix: ``.mp4`` or ``.webm``.
        fps: Frames per second.
        metadata: Written into the file as its comment, a line ``key: value`` each.

    Raises:
        ValueError: If PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(f'{suffix} files need the package av: pip install "sagan-torch[video]"') from error
    container_format, codec, options = FORMATS[suffix]
    odd = [(0, 0), *((0, side % 2) for side in frames.shape[1:3]), (0, 0)]
    frames = np.pad(frames, odd, "edge")
    file = BytesIO()
    with av.open(file, "w", format=container_format) as container:
        if metadata:
            container.metadata["comment"] = "\n".join(f"{key}: {value}" for key, value in metadata.items())
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000), options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
