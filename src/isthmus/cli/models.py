"""Models that encode, and the data that they are used on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.cli import options
from isthmus.errors import IsthmusError

if TYPE_CHECKING:
    from isthmus.data.sources import Source
    from isthmus.estimators.encoder_decoder import EncoderDecoder

_BLOCK = 1024  # samples that are read, encoded and written at a time
_BLOCK_BYTES = 1 << 26  # and fewer of large ones


def open_model(model: str, data: str, reading: options.Reading, device: str) -> tuple[EncoderDecoder, Source]:
    """A model that encodes and decodes, and data read as it takes them."""
    coder = load_coder(model, device)
    return coder, open_for(coder, data, reading)


def load_coder(folder: str, device: str) -> EncoderDecoder:
    """A model that encodes and decodes, of whichever kind."""
    import isthmus
    from isthmus.estimators.encoder_decoder import EncoderDecoder

    model = isthmus.load(folder, device=device)
    if not isinstance(model, EncoderDecoder):
        raise IsthmusError(f"{folder} holds a {type(model).__name__}, which has no codes; give an AutoEncoder")
    return model


def open_for(model: EncoderDecoder, data: str, reading: options.Reading) -> Source:
    """Data as a source; image files are read in the mode that the model was trained on, and in its size if asked."""
    from isthmus.data.folders import ImageFiles

    source = reading.open(data, _image_mode(model, data))
    size = model.scaler_.sample_shape[:2]
    if isinstance(source, ImageFiles) and source.shape[1:3] != size and len(size) == 2:
        if reading.mixed_sizes != "resize":
            (height, width), (rows, columns) = source.shape[1:3], size
            raise IsthmusError(
                f"images of {data} have {width}×{height} pixels and the model takes {columns}×{rows}; give "
                f"--mixed-sizes resize to scale them"
            )
        return source.resized(*size)
    return source


def blocks(source: Source) -> Iterator[Source]:
    """Successive parts of a source, read into memory one after the other."""
    import numpy as np

    from isthmus.data.base import LoadedSource
    from isthmus.data.sources import subset

    size = max(1, min(_BLOCK, _BLOCK_BYTES * len(source) // max(1, source.nbytes)))
    for start in range(0, len(source), size):
        yield LoadedSource(subset(source, np.arange(start, min(start + size, len(source)))))


def halves(source: Source) -> tuple[Source, Source]:
    """Two random halves of a source, always the same ones; of fewer than four samples, all of them twice."""
    import numpy as np

    from isthmus.data.sources import subset

    if len(source) < 4:
        return source, source
    order, middle = np.random.default_rng(0).permutation(len(source)), len(source) // 2
    return subset(source, np.sort(order[:middle])), subset(source, np.sort(order[middle:]))


def _image_mode(model: EncoderDecoder, data: str) -> str | None:
    """The mode that image files must be read in for this model; None for other data."""
    from isthmus.data.folders import SUFFIXES

    scaler, path = model.scaler_, Path(data).expanduser()
    files = path.is_dir() or path.suffix.lower() in SUFFIXES
    if not files or scaler.dtype != "uint8" or len(scaler.sample_shape) not in (2, 3):
        return None
    return {2: "grey", 3: {3: "rgb", 4: "rgba"}.get(scaler.sample_shape[-1])}[len(scaler.sample_shape)]
