"""`Codec`: compress images, with or without loss, with a model learned from images like them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, get_args

import numpy as np
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from isthmus.compression.coding import chunks
from isthmus.compression.coding.archive import Reader, Writer
from isthmus.compression.coding.chunk import Chunk
from isthmus.compression.coding.chunks import Group, Member, grouped
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.parallel import in_parallel
from isthmus.compression.coding.protocols import LosslessCoding, LossyCoding
from isthmus.compression.coding.range_coder import library
from isthmus.compression.coding.reading import read_images, read_one
from isthmus.compression.images import open_images
from isthmus.compression.quality_search import find_quality, place_of
from isthmus.errors import IsthmusError, unknown_name
from isthmus.estimators.base import Estimator, anywhere
from isthmus.spec import is_integer
from isthmus.training.progress import Listener

Mode = Literal["lossless", "lossy"]
ObjectiveName = Literal["mse", "ms-ssim"]
DEFAULT_QUALITY = 50
Mapper = Callable[[Callable[[Any, Group], list[Chunk]], Iterable[Group]], Iterator[list[Chunk]]]


class Codec(Estimator):
    """Compress images with a model learned from similar images: smaller files than any general format.

        X (n, height, width) ──compress──▶ bytes ──decompress──▶ X

    What one machine compresses, every other decodes to the same bits: reading needs nothing but exact integer
    arithmetic. Images that do not fit the model (another depth, noise) are stored as PNG or xz, and also come back
    exactly.

    Parameters
    ----------
    mode : {"lossless", "lossy"}, default="lossless"
        "lossy" trains one model for all qualities; `compress` takes the quality.
    objective : {"mse", "ms-ssim"}, default="mse"
        The error that a lossy codec trades for bytes.
    epochs, minutes : optional
        Length of the training. Default: 300,000 samples (images, or blocks of 16 × 16 pixels), at most 50 epochs.
    device : str or torch.device, default="auto"
        Device of the training. Compressing runs on the CPU.
    random_state : int, NumPy generator or None, default=None
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    model_ : CodecModel, all that compressing and decompressing depend on
    training_spec_ : TrainingSpec
    history_ : list of dict, the run's losses, in bits per value
    seconds_ : float, time of training
    interrupted_ : int, number of the signal that ended the run early (2 for Ctrl-C, 15 for SIGTERM), 0 if none did
    seed_ : int, the seed that was used

    Examples
    --------
    >>> from isthmus import Codec, datasets
    >>> X = datasets.load("digits").train.images
    >>> codec = Codec(epochs=1, random_state=0).fit(X)
    >>> data = codec.compress(X)
    >>> len(data) < X.nbytes / 2
    True
    >>> bool((codec.decompress(data) == X).all())
    True
    """

    def __init__(
        self,
        mode: Mode = "lossless",
        *,
        objective: ObjectiveName = "mse",
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
    _usage = "data = model.compress(X)\nX2 = model.decompress(data)"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True  # images, never tables
        return tags

    @anywhere
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = 15.0,
        listeners: Sequence[Listener] = (),
    ) -> Self:
        """Learn from images.

        X : array of shape (n, height, width) or (n, height, width, channels), uint8, uint16 or bool; a list of such
            images of different sizes; a path, the name of a data set or a Source. y : ignored.
        checkpoint, resume, checkpoint_seconds, listeners : as in `AutoEncoder.fit`. A lossy codec of small images is
            trained in two parts: the second keeps its run in a file of its own, NAME-2 beside NAME.
        """
        from isthmus.compression.lossless_learning import learn_lossless  # torch is not needed to read archives
        from isthmus.compression.lossy_learning import OBJECTIVES, learn_lossy
        from isthmus.training.run import Run

        library()  # what is missing is said before the training, not after
        if self.mode not in get_args(Mode):
            raise unknown_name("mode", self.mode, get_args(Mode))
        if self.objective not in OBJECTIVES:
            raise unknown_name("objective", self.objective, tuple(OBJECTIVES))
        run = Run.of(
            self, listeners=listeners, checkpoint=checkpoint, resume=resume, checkpoint_seconds=checkpoint_seconds
        )
        self.seed_ = run.seed
        images = open_images(X)
        learned = learn_lossless(images, run) if self.mode == "lossless" else learn_lossy(images, self.objective, run)
        self.model_ = learned.model
        self._keep(learned.trained)
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

        X : as in `fit`. quality : for a lossy codec, 1 to 100 (default 50). Instead of it: `target_mse`, the mean
        squared error in units of the range (1 for 255²), or `target_bytes`, the size of the archive; each is met to
        within 2 % if any quality meets it. embed_model : put the model into the archive, so that nothing else is needed
        to read it.
        """
        images = open_images(X)
        quality = self.find_quality(images, quality=quality, target_mse=target_mse, target_bytes=target_bytes)
        buffer = io.BytesIO()
        as_list = isinstance(X, list | tuple) or images.paths is not None
        self.write(buffer, images, quality=quality, embed_model=embed_model, as_list=as_list)
        return buffer.getvalue()

    def find_quality(
        self,
        X: Any,
        *,
        quality: float | None = None,
        target_mse: float | None = None,
        target_bytes: float | None = None,
    ) -> float | None:
        """The quality from 1 to 100 with which X meets a target; None for a lossless codec.

        X : as in `fit`; only a target needs it. quality, target_mse, target_bytes : one of them, or none for the
        default quality. IsthmusError where no quality meets the target, or the codec loses nothing.
        """
        wanted = {"quality": quality, "target_mse": target_mse, "target_bytes": target_bytes}
        given = {name: value for name, value in wanted.items() if value is not None}
        if len(given) > 1:
            raise IsthmusError(f"give one of quality, target_mse and target_bytes, not {' and '.join(given)}")
        coding = self._coding_at(*given)
        if not isinstance(coding, LossyCoding):
            return None
        (name, value), *_ = (given or {"quality": DEFAULT_QUALITY}).items()
        return value if name == "quality" else find_quality(coding, open_images(X), name, value)

    def write(
        self,
        file: BinaryIO,
        images: Iterable[np.ndarray | Member],
        *,
        quality: float | None = None,
        embed_model: bool = False,
        as_list: bool = False,
        name: str = "",
        progress: Callable[[int], None] = lambda done: None,
        mapping: Mapper | None = None,
    ) -> int:
        """Compress images one after the other to an open file, in constant memory; returns how many there were.

        images : arrays (height, width[, channels]) of any shapes, or members with file names and files. quality : of a
        lossy codec, 1 to 100 (default 50). embed_model : as in `compress`. as_list : whether `decompress` is to give a
        list, not an array. name : that of the model, for messages. progress : called with the number of images done so
        far. mapping : a function that gives ``work(coding, group)`` for groups of images, in order, where the work is
        done elsewhere.
        """
        coding = self._coding_at(*([] if quality is None else ["quality"]))
        place = None
        if isinstance(coding, LossyCoding):
            place = place_of(DEFAULT_QUALITY if quality is None else quality)
        model = self.model_.to_bytes() if embed_model else None
        writer = Writer(file, self.model_.id, as_list=as_list, model=model)
        members = (image if isinstance(image, Member) else Member(image) for image in images)
        work, groups = partial(chunks.encode_at, place), grouped(members)
        for made in in_parallel(partial(work, coding), groups) if mapping is None else mapping(work, groups):
            for chunk in made:
                writer.add(chunk)
            progress(writer.count)
        writer.finish({"model": name} if name else {})
        return writer.count

    def _coding_at(self, *options: str) -> LosslessCoding | LossyCoding:
        """What codes; IsthmusError where options are given that only a lossy codec has."""
        check_is_fitted(self)
        coding = self.model_.coding
        if options and not isinstance(coding, LossyCoding):
            raise IsthmusError(f"{options[0]} is for lossy codecs; this one loses nothing")
        return coding

    def decompress(self, data: bytes, sample: int | None = None, *, max_pixels: int | None = None) -> Any:
        """The images of an archive: an array (n, ...), or a list where `compress` was given a list.

        sample : the number of the only image to decode, counted from 0; only its chunk is read.
        max_pixels : largest number of pixels that an archive may hold, counting each channel, and long, narrow images
            as if they were wider. Default: 4,194,304, and 4,096 for each byte.
        IsthmusError where the archive was written with another model, is damaged, or asks for more.
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
            if not is_integer(sample):
                raise IsthmusError(f"sample (={sample!r}) must be a whole number: images are counted from 0")
            return read_one(reader, self.model_, sample, max_pixels)[2]
        images = [image for _, _, image in read_images(reader, self.model_, max_pixels=max_pixels)]
        return images if reader.is_list or not images else np.stack(images)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the bits per value that X takes in an archive, so that larger is better."""
        images = open_images(X)
        values = sum(image.size for image in images)
        return -8 * len(self.compress(X)) / values

    def report(
        self, X: Any, folder: str | Path, *, title: str | None = None, saved_as: str | Path | None = None
    ) -> Path:
        """Write report.html into a folder: the bytes of X in archives beside other formats, and what comes back.

        X : images that the codec was not trained on, as in `fit`. saved_as : the codec's folder, which the page names.
        """
        from isthmus.compression.report import report  # figures are slow to import

        check_is_fitted(self)
        return report(self, X, folder, title=title, saved_as=saved_as)

    # On disk

    def _config(self) -> dict[str, Any]:
        return {"kind": self.model_.kind, "id": self.model_.id.hex(), "model": dict(self.model_.config)}

    def _tensors(self) -> Mapping[str, np.ndarray]:
        return self.model_.tensors

    def _restore(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        self.model_ = CodecModel.read(config["kind"], config["model"], tensors)

    def _describe(self) -> dict[str, str]:
        return {
            "codec": f"{self.mode}, {self.model_.kind}",
            "model": f"{self.model_.id.hex()}, {self.model_.nbytes:,} bytes; archives cannot be read without it, "
            "unless they hold it themselves",
        }

    def _validation(self, best: float) -> str:
        if self.mode == "lossy":
            return f"{best:.4g} (bits and error together)"
        return f"{best:.4f} bits per value"
