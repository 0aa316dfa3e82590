"""`Denoiser`: clean signals, images and volumes, with clean examples or without."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from isthmus.data.base import is_labels
from isthmus.data.channels_last import channels_last, from_channels_last, grey_if_equal, has_alpha
from isthmus.data.scaling import check_finite, finite_sample, sample_channel_axis, to_dtype, unit_of
from isthmus.data.sources import Source, open_source
from isthmus.denoising.inference import averaged, clean, tiles, without_itself
from isthmus.denoising.network import SIZES, DenoisingNetwork
from isthmus.device import choose_device, in_best_memory_order, memory_format
from isthmus.errors import IsthmusError, unknown_name
from isthmus.estimators.base import NetworkEstimator
from isthmus.estimators.model_folder import StoredModel, best_validation, complete_model, load_model, save_model
from isthmus.training.progress import Listener

LEARN_FROM = ("auto", "clean", "noisy")
_MOST_VALUES = 1 << 27  # of the samples that are learned from
_BATCH_VALUES = 1 << 19
_STEP = 8  # tiles begin at multiples of it, those of blind spots too


class Denoiser(TransformerMixin, BaseEstimator):
    """Learn to take noise away, from clean samples, from pairs, or from noisy samples alone.

        noisy (n, height, width) ──denoise──▶ clean (n, height, width)

    Samples are images, signals (n, length) or volumes; they may have different sizes, and be cleaned in any other.

    Parameters
    ----------
    noise : str, optional
        As in "gaussian:0.1" (deviation), "gaussian:0-0.6" (unknown within this range), "poisson:30" (counts at full
        brightness), "speckle:0.2", "rows:0.1" (correlated along rows), "salt-and-pepper:0.1", "masking:0.3" (missing
        values), or several as in "poisson:30+gaussian:0.05". In units of the range of integers (1 for 255 in uint8),
        in the data's own units where they are floats or integers of 64 bits. None: what `fit` gets is noisy, and the
        noise is estimated.
    learn_from : {"auto", "clean", "noisy"}, default="auto"
        What `fit` gets. "auto": noisy samples where `noise` is None, else clean ones. With "noisy" a noise without a
        level, as in "gaussian" or "poisson+gaussian", has its level estimated.
    size : {"small", "medium", "large"}, default="medium"
        Of the network.
    channel_axis : int, "auto" or None, default="auto"
        Axis of X with the channels, the sample axis counted; -1 for signals (n, length, channels).
    epochs, minutes : optional
        Length of the training. Default: 100,000 samples or crops, at most 50 epochs.
    device : str or torch.device, default="auto"
    random_state : int, NumPy generator or None, default=None
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    network_ : DenoisingNetwork, the torch module
    noise_ : str or None, the noise as it was given, or estimated
    history_ : list of dict, the run's losses, in units of the data's variance
    interrupted_ : bool, whether Ctrl-C ended the run

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import Denoiser, datasets
    >>> X = datasets.load("digits").train.images / 255
    >>> noisy = X + 0.2 * np.random.default_rng(0).standard_normal(X.shape)
    >>> denoiser = Denoiser("gaussian:0-0.4", size="small", epochs=3, random_state=0).fit(X)
    >>> bool(((denoiser.denoise(noisy) - X) ** 2).mean() < 0.5 * ((noisy - X) ** 2).mean())
    True
    """

    def __init__(
        self,
        noise: str | None = None,
        *,
        learn_from: str = "auto",
        size: str = "medium",
        channel_axis: int | str | None = "auto",
        epochs: int | None = None,
        minutes: float | None = None,
        device: Any = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.noise = noise
        self.learn_from = learn_from
        self.size = size
        self.channel_axis = channel_axis
        self.epochs = epochs
        self.minutes = minutes
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    network_: DenoisingNetwork
    history_: list[dict[str, Any]]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any = None, *, listeners: Sequence[Listener] = ()) -> Self:
        """Learn from X.

        X : array of shape (n, height, width[, channels]), (n, length) or (n, depth, height, width); a list of arrays
            of different sizes; a path, the name of a data set or a Source. Clean or noisy: see `learn_from`.
        y : the clean samples, where X are noisy ones and pairs are at hand; it may have fewer channels. Labels, one a
            sample, as a pipeline hands them on, are ignored.
        """
        from isthmus.denoising.learning import fit_denoiser
        from isthmus.spec import parse_corruption
        from isthmus.training.run import Run

        if self.noise is not None:
            parse_corruption(self.noise)
        if self.size not in SIZES:
            raise unknown_name("size", self.size, tuple(SIZES))
        paired = y is not None and not is_labels(y)
        how, run = self._how(paired), Run.of(self, listeners)
        self.seed_ = run.seed
        samples = self._learned_from(self._open(X, reset=True))
        targets = 0
        if paired:
            clean_samples = self._learned_from(open_source(y, on_mixed_sizes="keep"), shuffle=False)
            samples, targets = _paired(samples, clean_samples)
        scale = 1 / unit_of(samples[0].dtype)
        fitted = fit_denoiser(samples, scale, self.noise, how, targets, self.size, run)
        self.network_, self.config_, self.training_spec_ = fitted.network, dict(fitted.config), fitted.spec
        self.blind_, self.noise_, self.dtype_ = fitted.blind, fitted.noise, samples[0].dtype.name
        self.symmetries_ = [fitted.trainer.flips, fitted.trainer.turns]
        self.history_ = fitted.trainer.position.history
        self.seconds_, self.interrupted_ = fitted.trainer.position.seconds, fitted.trainer.interrupted
        return self

    def transform(self, X: Any) -> Any:
        """The same as `denoise`."""
        return self.denoise(X)

    def denoise(self, X: Any, *, averaging: bool = False, return_std: bool = False) -> Any:
        """Clean samples.

        X : as in `fit`. What comes back has its kind: an array of the same shape and dtype, or a list of arrays.
        averaging : the mean over flips and, in images, quarter turns: slightly better, and so many times slower. Only
            where the model learned from crops, which may be turned, as it does from large images.
        return_std : also give the standard deviation of the error that is left, for every value, float32, in X's units.
        """
        check_is_fitted(self)
        if averaging and not self.symmetries_[0]:
            raise IsthmusError(
                "this model learned from whole samples, which are not the same turned over: averaging would harm"
            )
        samples = self._open(X)
        blocks = (self._cleaned(block, averaging, return_std) for block in self._blocks(samples))
        if not samples.uniform:
            each = [(cleaned[0], None if std is None else std[0]) for cleaned, std in blocks]
            return ([a for a, _ in each], [b for _, b in each]) if return_std else [a for a, _ in each]
        parts = list(blocks)
        together = np.concatenate([cleaned for cleaned, _ in parts])
        return (together, np.concatenate([std for _, std in parts if std is not None])) if return_std else together

    def score(self, X: Any, y: Any) -> float:
        """Minus the mean squared error of the cleaned X against the clean y, in the user's units."""
        if is_labels(y):
            raise IsthmusError(f"score compares with clean samples, and what was given are {len(y)} labels")
        cleaned, expected = self.denoise(X), open_source(y, on_mixed_sizes="keep")
        unit = unit_of(np.asarray(cleaned[0]).dtype)
        if len(cleaned) != len(expected):
            raise IsthmusError(f"there are {len(cleaned)} noisy samples and {len(expected)} clean ones; give pairs")
        errors = [((np.float64(a) - finite_sample(expected, i)) / unit) ** 2 for i, a in enumerate(cleaned)]
        return -float(np.concatenate([error.ravel() for error in errors]).mean())

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder; nothing in it is ever executed."""
        check_is_fitted(self)
        params = {**self.get_params(deep=False), "device": str(self.device), "random_state": self.seed_}
        config = {
            "params": params,
            "network": self.config_,
            "blind": None if self.blind_ is None else self.blind_.to_dict(),
            "noise": self.noise_,
            "symmetries": self.symmetries_,
            "dtype": self.dtype_,
            "training": self.training_spec_.to_dict(),
            "seconds": self.seconds_,
        }
        tensors = {k: v.detach().cpu().numpy() for k, v in self.network_.state_dict().items()}
        stored = StoredModel("Denoiser", config, tensors, self.history_)
        return save_model(folder, stored, _card(self, Path(folder).name))

    @classmethod
    def load(cls, folder: str | Path, device: Any = "auto") -> Denoiser:
        """Read a model that `save` wrote."""
        from isthmus.denoising.learning import Blind
        from isthmus.spec import TrainingSpec

        stored = load_model(folder, cls.__name__)
        config = stored.config
        with complete_model(folder):
            model = cls(**{**config["params"], "device": device, "verbose": False})
            model.config_, model.noise_, model.dtype_ = config["network"], config["noise"], config["dtype"]
            model.network_ = DenoisingNetwork(**model.config_)
            model.network_.load_state_dict({k: torch.from_numpy(v) for k, v in stored.tensors.items()})
            model.symmetries_, blind = config["symmetries"], config["blind"]
            model.blind_ = None if blind is None else Blind.from_dict(blind)
            model.training_spec_ = TrainingSpec.from_dict(config["training"])
            model.seed_, model.seconds_, model.interrupted_ = model.random_state, config["seconds"], False
        in_best_memory_order(model.network_.eval(), model.config_["num_spatial_dims"] + 2)
        model.history_ = [dict(entry) for entry in stored.history]
        return model

    def _open(self, X: Any, *, reset: bool = False) -> Source:
        """The user's samples; rows of a table in memory, which are signals here, as scikit-learn checks them.

        Signals of another length than those of the training are no error.
        """
        if NetworkEstimator._is_array_like(X) and not hasattr(X, "columns"):
            X = check_array(X, dtype="numeric", ensure_all_finite=False, estimator=self)
        samples = open_source(X, on_mixed_sizes="keep")
        if len(samples) == 0:
            raise IsthmusError(f"{samples.name} holds 0 samples; at least 1 is needed")
        if reset and len(samples.shape) == 2:
            self.n_features_in_ = samples.shape[1]
        return samples

    def _how(self, paired: bool) -> str:
        if self.learn_from not in LEARN_FROM:
            raise unknown_name("learn_from", self.learn_from, LEARN_FROM)
        if paired:
            return "pairs"
        how = ("noisy" if self.noise is None else "clean") if self.learn_from == "auto" else self.learn_from
        if how == "clean" and self.noise is None:
            raise IsthmusError(
                "learn_from='clean' needs to know which noise to add: give noise, as in 'gaussian:0-0.5'"
            )
        return how

    def _learned_from(self, data: Source, *, shuffle: bool = True) -> list[np.ndarray]:
        """Samples (*spatial, channels) of the commonest dtype and number of channels: all, or a random part."""
        order = np.random.default_rng([self.seed_, 4]).permutation(len(data))
        groups: dict[tuple, list[tuple[int, np.ndarray]]] = {}
        values = 0
        for index in order.tolist():
            sample = finite_sample(data, index)
            plane = channels_last(sample, self._axis(sample.shape))
            plane = grey_if_equal(plane[..., :-1] if has_alpha(plane) else plane)
            groups.setdefault((plane.ndim, plane.dtype.str, plane.shape[-1]), []).append((index, plane))
            values += plane.size
            if values >= _MOST_VALUES and shuffle:
                break
        found = max(groups.values(), key=lambda group: sum(plane[..., 0].size for _, plane in group))
        return [plane for _, plane in sorted(found, key=lambda pair: pair[0])]

    def _axis(self, sample_shape: tuple[int, ...]) -> int | None:
        """The axis of the channels within a sample."""
        return sample_channel_axis(sample_shape, self.channel_axis)

    def _blocks(self, data: Source) -> Iterator[np.ndarray]:
        """Arrays (n, ...) of samples of one shape, a few at a time."""
        if not data.uniform:
            for index in range(len(data)):
                yield finite_sample(data, index)[None]
            return
        size = max(1, _BATCH_VALUES // max(1, math.prod(data.shape[1:])))
        start = 0
        for chunk in data.chunks(size):
            check_finite(data, chunk, start)
            start += len(chunk)
            yield chunk

    def _cleaned(self, samples: np.ndarray, averaging: bool, with_std: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Samples (n, ...) of one shape in the user's layout, and the deviations of the errors."""
        axis = self._axis(samples.shape[1:])
        d = samples.ndim - 1 - (axis is not None)
        expected = self.config_["num_spatial_dims"]
        if d != expected:
            raise IsthmusError(
                f"samples of shape {samples.shape[1:]} have {d} dimensions beside channels, but the model was trained "
                f"with {expected}; give channel_axis if one of them holds channels"
            )
        planes = channels_last(samples, None if axis is None else axis + 1)
        alpha = planes[..., -1:] if has_alpha(planes) else None
        colours = planes if alpha is None else planes[..., :-1]
        cleaned = np.empty((*colours.shape[:-1], self._channels_out(colours.shape[-1])), samples.dtype)
        std = np.zeros(cleaned.shape, np.float32) if with_std else None
        self._fill(colours, cleaned, std, averaging)
        if alpha is not None:
            cleaned = np.concatenate([cleaned, alpha], -1)
            std = None if std is None else np.concatenate([std, np.zeros(alpha.shape, np.float32)], -1)
        return from_channels_last(cleaned, axis), None if std is None else from_channels_last(std, axis)

    def _channels_out(self, channels: int) -> int:
        """How many channels come out where so many go in."""
        inside, outside = self.config_["in_channels"], self.config_["out_channels"]
        if channels == inside:
            return outside
        if inside == outside and 1 in (inside, channels):
            return channels
        raise IsthmusError(f"samples have {channels} channels, but the model was trained on {inside}")

    def _fill(self, planes: np.ndarray, cleaned: np.ndarray, std: np.ndarray | None, averaging: bool) -> None:
        """Clean tile by tile into `cleaned` and `std`, (n, *spatial, channels)."""
        device = choose_device(self.device)
        network = self.network_.to(device)
        unit = unit_of(planes.dtype if planes.dtype.kind != "f" else np.dtype(self.dtype_))
        reach = network.reach + (8 if self.blind_ is not None else 0)
        for read, kept, place in tiles(planes.shape[1:-1], planes.shape[-1], max(_STEP, network.step), reach):
            part = np.moveaxis(planes[(slice(None), *read)], -1, 1)
            guess, variance = self._run(
                torch.from_numpy(part.astype(np.float32) / np.float32(unit)).to(device), averaging
            )
            inner = (slice(None), slice(None), *kept)
            where = (slice(None), *place)
            cleaned[where] = to_dtype(np.moveaxis((guess[inner].double() * unit).cpu().numpy(), 1, -1), cleaned.dtype)
            if std is not None:
                std[where] = np.moveaxis((variance[inner].sqrt() * unit).cpu().numpy(), 1, -1)

    @torch.inference_mode()
    def _run(self, x: Tensor, averaging: bool) -> tuple[Tensor, Tensor]:
        """Samples (N, C, *S) in the user's units: cleaned, and the variance of the error."""
        inside, channels = self.config_["in_channels"], x.shape[1]
        if channels != inside:  # each colour by itself, or grey as a colour
            x = x.flatten(0, 1)[:, None] if inside == 1 else x.expand(-1, inside, *x.shape[2:])
        x = x.contiguous(memory_format=memory_format(x.ndim))
        function = self._function()
        guess, variance = averaged(function, x, turns=self.symmetries_[1]) if averaging else function(x)
        if channels != inside:
            guess, variance = (
                part.unflatten(0, (-1, channels))[:, :, 0] if inside == 1 else part.mean(1, keepdim=True)
                for part in (guess, variance)
            )
        return guess, variance

    def _function(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        network, blind = self.network_, self.blind_
        if blind is None:
            return lambda x: clean(network, x)
        return lambda x: blind.mix(x, *without_itself(network, x, rows=blind.rows))


def _paired(noisy: list[np.ndarray], clean_samples: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Noisy samples with the clean ones as further channels, and how many these are."""
    if len(noisy) != len(clean_samples):
        raise IsthmusError(f"there are {len(noisy)} noisy samples and {len(clean_samples)} clean ones; give pairs")
    targets = clean_samples[0].shape[-1]
    for index, (a, b) in enumerate(zip(noisy, clean_samples, strict=True)):
        if a.shape[:-1] != b.shape[:-1] or a.dtype != b.dtype:
            raise IsthmusError(
                f"pair {index} has shapes {a.shape[:-1]} and {b.shape[:-1]}, {a.dtype} and {b.dtype}; both must be "
                f"equal"
            )
    if targets not in (1, noisy[0].shape[-1]):
        raise IsthmusError(f"{noisy[0].shape[-1]} channels cannot be cleaned to {targets}: give as many, or 1")
    return [np.concatenate(pair, -1) for pair in zip(noisy, clean_samples, strict=True)], targets


def _card(model: Denoiser, name: str) -> str:
    """The model card."""
    best = best_validation(model.history_)
    quality = "" if best is None else f"Validation: {best:.4g}.\n\n"
    return (
        f"# {name}\n\nA denoiser made with isthmus: {model.size}, {model.network_.num_parameters:,} parameters, noise "
        f"{model.noise_ or 'of the pairs it learned from'}.\n\n{quality}"
        f"```python\nfrom isthmus import Denoiser\n\ndenoiser = Denoiser.load({name!r})\n"
        f"clean = denoiser.denoise(noisy)\n```\n"
    )
