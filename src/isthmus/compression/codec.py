"""`Codec`: compress images, with or without loss, with a model learned from images like them."""

from __future__ import annotations

import io
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from isthmus.compression.coding import chunks
from isthmus.compression.coding.archive import LIST, Chunk, Reader, Writer
from isthmus.compression.coding.chunks import Member, grouped
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.protocols import LossyCoding
from isthmus.data.images import open_images
from isthmus.errors import IsthmusError, unknown_name
from isthmus.estimators.model_folder import StoredModel, best_validation, complete_model, load_model, save_model
from isthmus.training.progress import Listener

MODES = ("lossless", "lossy")
DEFAULT_QUALITY = 50


class Codec(BaseEstimator):
    """Compress images with a model learned from images like them: smaller files than any general format.

        X (n, height, width) ──compress──▶ bytes ──decompress──▶ X

    What was compressed on one machine decodes to the same bits on every other: all that reading depends on is exact
    integer arithmetic. Images that do not fit the model (another depth, noise) are stored as PNG or xz and come
    back exactly too.

    Parameters
    ----------
    mode : {"lossless", "lossy"}, default="lossless"
        "lossy" trains one model for all qualities; `compress` takes the quality.
    objective : {"mse", "ms-ssim"}, default="mse"
        What a lossy codec keeps small beside the bytes.
    epochs, minutes : optional
        Length of the training. Default: 300,000 samples (images, or blocks of 16 × 16 pixels), at most 50 epochs.
    device : str or torch.device, default="auto"
        Of the training. Compressing runs on the CPU.
    random_state : int, NumPy generator or None, default=None
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    model_ : CodecModel, all that compressing and decompressing depend on
    history_ : list of dict, the run's losses, in bits per value

    Examples
    --------
    >>> from isthmus import Codec, datasets
    >>> X = datasets.load("digits").train.images
    >>> codec = Codec(epochs=2, random_state=0).fit(X)
    >>> data = codec.compress(X)
    >>> len(data) < X.nbytes / 2
    True
    >>> bool((codec.decompress(data) == X).all())
    True
    """

    def __init__(
        self,
        mode: str = "lossless",
        *,
        objective: str = "mse",
        epochs: int | None = None,
        minutes: float | None = None,
        device: Any = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.mode = mode
        self.objective = objective
        self.epochs = epochs
        self.minutes = minutes
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    model_: CodecModel
    history_: list[dict[str, Any]]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True  # images, never tables
        return tags

    def fit(self, X: Any, y: Any = None, *, listeners: Sequence[Listener] = ()) -> Self:
        """Learn from images.

        X : array of shape (n, height, width) or (n, height, width, channels), uint8, uint16 or bool; a list of such
            images of different sizes; a path, the name of a data set or a Source. y : ignored.
        """
        from isthmus.compression.coding.range_coder import library
        from isthmus.compression.lossless_learning import fit_lossless
        from isthmus.compression.lossy_learning import OBJECTIVES, fit_lossy
        from isthmus.training.run import Run

        library()  # what is missing is said before the training, not after
        if self.mode not in MODES:
            raise unknown_name("mode", self.mode, MODES)
        if self.objective not in OBJECTIVES:
            raise unknown_name("objective", self.objective, OBJECTIVES)
        run = Run.of(self, listeners)
        self.seed_ = run.seed
        images = open_images(X)
        fitted = fit_lossless(images, run) if self.mode == "lossless" else fit_lossy(images, self.objective, run)
        self.model_, self.training_spec_ = fitted.model, fitted.spec
        self.history_, self.seconds_ = fitted.history, fitted.seconds
        self.interrupted_ = fitted.trainer.interrupted
        return self

    def compress(
        self,
        X: Any,
        *,
        quality: float | None = None,
        target_mse: float | None = None,
        target_bytes: float | None = None,
        embed_model: bool = False,
    ) -> bytes:
        """The images as an archive.

        X : as in `fit`. quality : of a lossy codec, 1 to 100 (default 50); or, in place of it, `target_mse`, the mean
        squared error in units of the range (1 for 255²), or `target_bytes`, the size of the archive, both met within
        2 % where any quality does. embed_model : put the model inside, so that nothing else is needed to read it.
        """
        check_is_fitted(self)
        images = open_images(X)
        buffer = io.BytesIO()
        mixed = isinstance(X, list | tuple) or images.paths is not None
        dial = self.dial(images, quality, target_mse, target_bytes)
        samples = (Member(image) for image in images)
        self.write(buffer, samples, embed_model=embed_model, flags=LIST if mixed else 0, dial=dial)
        return buffer.getvalue()

    def dial(
        self,
        X: Any,
        quality: float | None = None,
        target_mse: float | None = None,
        target_bytes: float | None = None,
    ) -> float | None:
        """The place on a lossy codec's scale from 0 to 1 that a quality or a target asks for; None without loss."""
        from isthmus.compression.quality_search import find_dial

        check_is_fitted(self)
        wanted = {"quality": quality, "target_mse": target_mse, "target_bytes": target_bytes}
        given = {name: value for name, value in wanted.items() if value is not None}
        coding = self.model_.coding
        if not isinstance(coding, LossyCoding):
            if given:
                raise IsthmusError(f"{next(iter(given))} is for lossy codecs; this one loses nothing")
            return None
        return find_dial(coding, X, given or {"quality": DEFAULT_QUALITY})

    def write(
        self,
        file: BinaryIO,
        samples: Iterable[Member],
        *,
        embed_model: bool = False,
        flags: int = 0,
        dial: float | None = None,
        name: str = "",
        progress: Callable[[int], None] = lambda done: None,
    ) -> int:
        """Compress samples one after the other to an open file, in constant memory; returns how many there were.

        dial : see `dial`. name : of the model, for messages. progress : called with the number of samples done so far.
        """
        check_is_fitted(self)
        writer = Writer(file, self.model_.id, flags=flags, model=self.model_.to_bytes() if embed_model else None)
        coding = self.model_.coding
        if isinstance(coding, LossyCoding) and dial is None:
            dial = DEFAULT_QUALITY / 100
        for made in in_parallel(lambda group: chunks.encode(group, coding, dial), grouped(samples)):
            for chunk in made:
                writer.add(chunk)
            progress(writer.count)
        writer.finish({"model": name} if name else {})
        return writer.count

    def decompress(self, data: bytes, sample: int | None = None) -> Any:
        """The images of an archive: an array (n, ...), or a list where `compress` was given a list.

        sample : the number of the only image wanted, counted from 0; no chunk but its own is read.
        IsthmusError where the archive was written with another model or is damaged.
        """
        check_is_fitted(self)
        reader = Reader(io.BytesIO(data))
        if reader.model_id != self.model_.id:
            raise IsthmusError(
                f"the archive was written with model {reader.model_id.hex()}, and this is {self.model_.id.hex()}: load "
                f"the model that compressed it"
            )
        if reader.damaged:
            raise IsthmusError(f"the archive is damaged: {'; '.join(reader.damaged)}")
        if sample is not None:
            return read_one(reader, self.model_, sample)[2]
        images = [image for _, _, image in read_images(reader, self.model_)]
        return images if reader.flags & LIST or not images else np.stack(images)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the bits per value that X takes in an archive, so that larger is better."""
        images = open_images(X)
        values = sum(image.size for image in images)
        return -8 * len(self.compress(X)) / values

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder; nothing in it is ever executed."""
        check_is_fitted(self)
        params = {**self.get_params(deep=False), "device": str(self.device), "random_state": self.seed_}
        config = {
            "params": params,
            "kind": self.model_.kind,
            "id": self.model_.id.hex(),
            "model": dict(self.model_.config),
            "training": self.training_spec_.to_dict(),
            "seconds": self.seconds_,
        }
        stored = StoredModel("Codec", config, self.model_.tensors, self.history_)
        return save_model(folder, stored, _card(self, Path(folder).name))

    @classmethod
    def load(cls, folder: str | Path, device: Any = "auto") -> Codec:
        """Read a model that `save` wrote."""
        from isthmus.spec import TrainingSpec

        stored = load_model(folder, cls.__name__)
        config = stored.config
        with complete_model(folder):
            codec = cls(**{**config["params"], "device": device, "verbose": False})
            codec.model_ = CodecModel(config["kind"], config["model"], stored.tensors)
            codec.training_spec_ = TrainingSpec.from_dict(config["training"])
            codec.seed_, codec.seconds_, codec.interrupted_ = codec.random_state, config["seconds"], False
        codec.history_ = [dict(entry) for entry in stored.history]
        return codec


def read_images(
    reader: Reader, model: CodecModel, on_damage: Callable[[IsthmusError], None] | None = None
) -> Iterator[tuple[Chunk, int, np.ndarray]]:
    """The samples of an archive in order, each with its chunk and its number in it; bands are put together.

    What is damaged is told to `on_damage` and left out; without it, IsthmusError is raised.
    """

    def decoded(number: int) -> tuple[Chunk, np.ndarray] | IsthmusError:
        try:
            chunk = reader.chunk(number)
            return chunk, chunks.decode(chunk, model.coding)
        except IsthmusError as error:
            if on_damage is None:
                raise
            return error

    band: list[np.ndarray] = []
    first: Chunk | None = None
    for found in in_parallel(decoded, range(len(reader.chunks))):
        if isinstance(found, IsthmusError):
            assert on_damage is not None
            on_damage(found)
            band, first = [], None
            continue
        chunk, images = found
        if chunk.band is None:
            yield from ((chunk, i, image) for i, image in enumerate(images))
            continue
        first = chunk if chunk.band[0] == 0 else first
        band = [images[0]] if chunk.band[0] == 0 else [*band, images[0]]
        rows = sum(map(len, band))
        if first is None or rows != chunk.band[0] + chunk.shape[1]:
            continue  # another band of it is damaged
        if rows == chunk.band[1]:
            yield first, 0, np.concatenate(band)


def read_one(reader: Reader, model: CodecModel, sample: int) -> tuple[Chunk, int, np.ndarray]:
    """One sample as `read_images` gives it; no chunk but its own is read."""
    number, band = reader.holding(sample), list[np.ndarray]()
    while True:
        chunk = reader.chunk(number)
        images = chunks.decode(chunk, model.coding)
        if chunk.band is None:
            return chunk, sample - chunk.first, images[sample - chunk.first]
        band.append(images[0])
        if sum(map(len, band)) >= chunk.band[1]:
            return chunk, 0, np.concatenate(band)
        number += 1


def in_parallel(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """`map` on all cores, in order, with only a few items at a time in memory."""
    workers = os.cpu_count() or 1

    def limited(item: Any) -> Any:
        with threadpool_limits(1):
            return function(item)

    with ThreadPoolExecutor(workers, "isthmus-codec") as pool:
        waiting: deque[Future] = deque()
        iterator = iter(items)
        for item in itertools.islice(iterator, workers + 1):
            waiting.append(pool.submit(limited, item))
        while waiting:
            yield waiting.popleft().result()
            for item in itertools.islice(iterator, 1):
                waiting.append(pool.submit(limited, item))


def _card(codec: Codec, name: str) -> str:
    """The model card."""
    model = codec.model_
    best = best_validation(codec.history_)
    quality = "" if best is None or codec.mode == "lossy" else f"Validation: {best:.4f} bits per value.\n\n"
    return (
        f"# {name}\n\nA codec made with isthmus: {codec.mode}, {model.kind}, {model.nbytes:,} bytes, "
        f"model {model.id.hex()}.\n\n{quality}"
        f"```python\nfrom isthmus import Codec\n\ncodec = Codec.load({name!r})\ndata = codec.compress(X)\n"
        f"X2 = codec.decompress(data)\n```\n\nKeep this folder: archives that were made with it cannot be read "
        f"without it (unless they hold the model themselves).\n"
    )
