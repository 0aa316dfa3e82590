"""`Denoiser`: clean signals, images and volumes, with clean examples or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted

from isthmus.data.channels_last import channels_last, from_channels_last, grey_if_equal, has_alpha, sample_channel_axis
from isthmus.data.in_memory import loaded, refuse_masked
from isthmus.data.labels import is_labels
from isthmus.data.scaling import ChannelAxis, finite_sample, unit_of
from isthmus.data.sources import Source, open_source
from isthmus.data.tiles import blocks
from isthmus.data.units import Units, sound_scale
from isthmus.denoising.blind_spots import Blind
from isthmus.denoising.float_units import FloatUnits
from isthmus.denoising.inference import Cleaner
from isthmus.denoising.learning import learn_denoiser
from isthmus.denoising.risk import NoiseVariance, caution
from isthmus.device import choose_device, in_best_memory_order, move
from isthmus.errors import IsthmusError, sklearn_validation, unknown_name, warn
from isthmus.estimators.base import Estimator, anywhere
from isthmus.estimators.network_estimator import is_array_like
from isthmus.networks import restored
from isthmus.networks.unet import SIZES, SizeName, UNet, UNetSpec
from isthmus.spec import parse_corruption
from isthmus.training.progress import Listener
from isthmus.training.run import Run
from isthmus.training.selection import commonest_kind
from isthmus.typed_json import typed

LearnFrom = Literal["auto", "clean", "noisy"]
MOST_VALUES = 1 << 27  # of the samples that are learned from


class Denoiser(TransformerMixin, Estimator):  # type: ignore[misc]  # scikit-learn has no types
    """Learn to remove noise: from clean samples, from pairs, or from noisy samples alone.

    Where the estimated risk says that the network would make samples worse, only a part of the noise that it finds is
    removed, or none; a warning says so (`share_`). Constant regions, such as borders and silence, stay as they are.

        noisy (n, height, width) ──denoise──▶ clean (n, height, width)

    Samples are images, signals (n, length) or volumes. They may differ in size, and so may those that are cleaned.

    Parameters
    ----------
    noise : str, optional
        As in "gaussian:0.1" (deviation), "gaussian:0-0.6" (unknown within this range), "poisson:30" (counts at full
        brightness), "speckle:0.2", "rows:0.1" (correlated along rows), "salt-and-pepper:0.1", "masking:0.3" (missing
        values), or several as in "poisson:30+gaussian:0.05". Levels of integers are fractions of their range (1 is 255
        in uint8), those of floats and of integers of 64 bits in the data's own units. None: `fit` gets noisy samples,
        and the noise is estimated.
    learn_from : {"auto", "clean", "noisy"}, default="auto"
        What `fit` gets. "auto": noisy samples where `noise` is None, else clean ones. With "noisy", the level of a
        noise that has none, as in "gaussian" or "poisson+gaussian", is estimated.
    size : {"small", "medium", "large"}, default="medium"
        Size of the network.
    channel_axis : int, "auto" or None, default="auto"
        Axis of X with the channels, where axis 0 counts samples; -1 for signals (n, length, channels).
    epochs, minutes : optional
        Length of the training. Default: 100,000 samples or crops, at most 50 epochs.
    device : str or torch.device, default="auto"
    random_state : int, NumPy generator or None, default=None
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    network_ : UNet, the torch module
    network_spec_ : UNetSpec, what it is made of
    noise_ : str or None, the noise as it was given, or estimated; "poisson:30 above 0.1" is photon noise of what is
        above 0.1, the value that a camera gives to darkness
    blind_ : Blind or None, how values that the network does not see are cleaned
    variance_ : NoiseVariance or None, the variance of the noise, where it is known
    share_ : float, the share of the noise found by the network that is removed: 1, or less where the estimated risk
        says that removing all makes the data worse; 0 where removing any does
    flips_, turns_ : bool, whether samples may be flipped, and turned by quarters, for `averaging`
    units_ : Units, the dtype and the range of the samples that were learned from
    training_spec_ : TrainingSpec
    history_ : list of dict, the run's losses, in units of the data's variance
    seconds_ : float, time of training
    interrupted_ : int, number of the signal that ended the run early (2 for Ctrl-C, 15 for SIGTERM), 0 if none did
    seed_ : int, the seed that was used
    n_features_in_ : int, where signals were given as rows of an array

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import Denoiser, datasets
    >>> X = datasets.load("digits").train.images / 255
    >>> noisy = X + 0.2 * np.random.default_rng(0).standard_normal(X.shape)
    >>> denoiser = Denoiser("gaussian:0-0.4", size="small", epochs=8, random_state=0).fit(X)
    >>> bool(((denoiser.denoise(noisy) - X) ** 2).mean() < 0.5 * ((noisy - X) ** 2).mean())
    True
    """

    def __init__(
        self,
        noise: str | None = None,
        *,
        learn_from: LearnFrom = "auto",
        size: SizeName = "medium",
        channel_axis: ChannelAxis = "auto",
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

    network_: UNet
    units_: Units
    _floats = FloatUnits()
    _usage = "clean = model.denoise(noisy)"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
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
        """Learn from X.

        X : array of shape (n, height, width[, channels]), (n, length) or (n, depth, height, width); a list of arrays
            of different sizes; a path, the name of a data set or a Source. Clean or noisy: see `learn_from`.
        y : the clean samples, where X are their noisy partners; it may have fewer channels. Labels, one for each
            sample, such as a pipeline passes on, are ignored.
        checkpoint, resume, checkpoint_seconds, listeners : as in `AutoEncoder.fit`.
        """
        if self.noise is not None:
            parse_corruption(self.noise)
        if self.size not in SIZES:
            raise unknown_name("size", self.size, tuple(SIZES))
        paired = y is not None and not is_labels(y)
        how = self._how(paired)
        run = Run.of(
            self, listeners=listeners, checkpoint=checkpoint, resume=resume, checkpoint_seconds=checkpoint_seconds
        )
        self.seed_ = run.seed
        data = self._open(X, reset=True)
        samples, targets = (
            self._pairs(data, open_source(y, on_mixed_sizes="keep")) if paired else (self._samples(data), 0)
        )
        self.units_ = Units.of(samples)
        self._floats = FloatUnits.suiting(self.units_, self.noise)
        samples, noise = self._floats.brought(samples), self._floats.noise(self.noise)
        learned = learn_denoiser(samples, 1 / unit_of(samples[0].dtype), noise, how, targets, self.size, run)
        self.network_, self.network_spec_ = learned.network, learned.spec
        self.noise_, self.blind_ = self._floats.noise(learned.noise, back=True), learned.blind
        self.variance_, self.share_ = learned.variance, learned.share
        self.flips_, self.turns_ = learned.flips, learned.turns
        if self.share_ < 1 and not learned.trained.signal:
            warn(caution(self.share_))
        self._keep(learned.trained)
        return self

    @property
    def dtype_(self) -> str:
        """The dtype of the samples that were learned from."""
        return self.units_.dtype

    def transform(self, X: Any) -> Any:
        """The same as `denoise`."""
        return self.denoise(X)

    def denoise(self, X: Any, *, averaging: bool = False, return_std: bool = False, sound: bool = False) -> Any:
        """Clean samples.

        X : as in `fit`. What comes back is of the same kind: an array of the same shape, dtype and range, or a list of
            arrays. Pixels of another depth than that of the training data are converted, and so are whole numbers
            where the model learned from floats between 0 and 1; floats must be in the units of the training data.
        averaging : whether to take the mean over flips and, in images, quarter turns: slightly better, and as many
            times slower. Only for models that learned from crops, as they do from large images.
        return_std : also return the standard deviation of the error that is left in every value, float32, X's units.
        sound : whether X, and what the model learned from, are sound as .wav files hold it: silence and full scale are
            what these files mean by them (0 and 32,768 in int16, 128 and 128 in uint8, 0 and 1 in floats).

        Raises IsthmusError where X are in other units than the training data, with both ranges.
        """
        check_is_fitted(self)
        if averaging and not self.flips_:
            raise IsthmusError(
                "this model learned from whole samples, which are not the same turned over: averaging would harm"
            )
        samples = self._open(X)
        cleaned, stds, shares = zip(
            *(self._cleaned(block, averaging, return_std, sound) for block in blocks(samples)), strict=True
        )
        left = int((np.concatenate(shares) < self.share_).sum())
        if left:
            warn(
                f"{left} of {len(samples)} samples were left as they are, or nearly: they hold less noise than would "
                f"have been taken away"
            )
        together = np.concatenate if samples.uniform else lambda parts: [part[0] for part in parts]
        return (together(cleaned), together(stds)) if return_std else together(cleaned)

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

    def report(
        self,
        X: Any,
        folder: str | Path,
        *,
        clean: Any = None,
        noise: str | None = None,
        title: str | None = None,
        saved_as: str | Path | None = None,
    ) -> Path:
        """Write report.html into a folder: samples before and after, what was taken away, and how wrong the rest is.

        X : noisy samples, as in `denoise`. clean : the same ones without noise, where they are known. noise : added to
        X, which are then the clean ones. saved_as : the model's folder, which the page names.
        """
        from isthmus.denoising.report import report  # figures are slow to import

        check_is_fitted(self)
        return report(self, X, folder, clean=clean, noise=noise, title=title, saved_as=saved_as)

    # On disk

    def _config(self) -> dict[str, Any]:
        return {
            "network": self.network_spec_.to_dict(),
            "blind": None if self.blind_ is None else self.blind_.to_dict(),
            "noise": self.noise_,
            "variance": None if self.variance_ is None else self.variance_.to_dict(),
            "share": self.share_,
            "symmetries": [self.flips_, self.turns_],
            **self.units_.to_dict(),
            "floats": [self._floats.zero, self._floats.unit],
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.network_.state_dict().items()}

    def _restore(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        self.network_spec_ = UNetSpec.from_dict(config["network"])
        self.network_ = restored(self.network_spec_.build, tensors)
        in_best_memory_order(self.network_, self.network_spec_.num_spatial_dims + 2)
        self.blind_ = None if config["blind"] is None else Blind.from_dict(config["blind"])
        variance, self.share_ = config.get("variance"), typed(config.get("share", 1.0), float, "share")
        self.variance_ = None if variance is None else NoiseVariance.from_dict(variance)
        self.noise_, self.units_ = typed(config["noise"], str | None, "noise"), Units.from_dict(config)
        self.flips_, self.turns_ = typed(config["symmetries"], tuple[bool, bool], "symmetries")
        self._floats = FloatUnits(*typed(config.get("floats", (0.0, 1.0)), tuple[float, float], "floats"))

    def _describe(self) -> dict[str, str]:
        spec = self.network_spec_
        return {
            "denoiser": f"{self.size}, {self.network_.num_parameters:,} parameters",
            "samples": f"{spec.num_spatial_dims} dimensions, {spec.in_channels} channels, {self.units_}",
            "noise": self.noise_ or "that of the pairs it learned from",
        } | ({} if self.share_ == 1 else {"caution": caution(self.share_)})

    def _validation(self, best: float) -> str:
        return f"{best:.4g} (in variances of the data)"

    # Inside

    def _open(self, X: Any, *, reset: bool = False) -> Source:
        """The user's samples; rows of a table in memory, which are signals here, as scikit-learn checks them.

        Signals may have another length than those of the training.
        """
        X = loaded(X)
        refuse_masked(X)
        if is_array_like(X):
            with sklearn_validation():
                X = check_array(X, dtype="numeric", ensure_all_finite=False, estimator=self)
        samples = open_source(X, on_mixed_sizes="keep")
        if len(samples) == 0:
            raise IsthmusError(f"{samples.name} holds 0 samples; at least 1 is needed")
        if reset and len(samples.shape) == 2:
            self.n_features_in_ = samples.shape[1]
        return samples

    def _how(self, paired: bool) -> str:
        if self.learn_from not in get_args(LearnFrom):
            raise unknown_name("learn_from", self.learn_from, get_args(LearnFrom))
        if paired:
            return "pairs"
        how = ("noisy" if self.noise is None else "clean") if self.learn_from == "auto" else self.learn_from
        if how == "clean" and self.noise is None:
            raise IsthmusError(
                "learn_from='clean' needs to know which noise to add: give noise, as in 'gaussian:0-0.5'"
            )
        return how

    def _samples(self, data: Source) -> list[np.ndarray]:
        """What is learned from: samples (*spatial, channels) of the commonest dtype and number of channels."""
        return commonest_kind(
            len(data), lambda index: self._layout(data, index), _kind, seed=self.seed_, most_values=MOST_VALUES
        )

    def _pairs(self, noisy: Source, clean: Source) -> tuple[list[np.ndarray], int]:
        """Noisy samples with the clean ones as further channels, and how many these are."""
        if len(noisy) != len(clean):
            raise IsthmusError(f"there are {len(noisy)} noisy samples and {len(clean)} clean ones; give pairs")
        targets = self._layout(clean, 0).shape[-1]

        def pair(index: int) -> np.ndarray:
            a, b = self._layout(noisy, index), self._layout(clean, index)
            if a.shape[:-1] != b.shape[:-1] or a.dtype != b.dtype:
                raise IsthmusError(
                    f"pair {index} has shapes {a.shape[:-1]} and {b.shape[:-1]}, {a.dtype} and {b.dtype}; both must be "
                    f"equal"
                )
            if b.shape[-1] != targets or targets not in (1, a.shape[-1]):
                raise IsthmusError(f"{a.shape[-1]} channels cannot be cleaned to {b.shape[-1]}: give as many, or 1")
            return np.concatenate([a, b], -1)

        return commonest_kind(len(noisy), pair, _kind, seed=self.seed_, most_values=MOST_VALUES), targets

    def _layout(self, data: Source, index: int) -> np.ndarray:
        """One sample as (*spatial, channels), without transparency; grey where all colours are the same."""
        sample = finite_sample(data, index)
        plane = channels_last(sample, self._axis(sample.shape))
        return grey_if_equal(plane[..., :-1] if has_alpha(plane) else plane)

    def _axis(self, sample_shape: tuple[int, ...]) -> int | None:
        """The axis of the channels within a sample."""
        return sample_channel_axis(sample_shape, self.channel_axis)

    def _cleaned(
        self, samples: np.ndarray, averaging: bool, with_std: bool, sound: bool
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Samples (n, ...) of one shape in the user's layout, the deviations of the errors, and see `Cleaner.clean`."""
        axis = self._axis(samples.shape[1:])
        d, expected = samples.ndim - 1 - (axis is not None), self.network_spec_.num_spatial_dims
        if d != expected:
            raise IsthmusError(
                f"samples of shape {samples.shape[1:]} have {d} dimensions beside channels, but the model was trained "
                f"with {expected}; give channel_axis if one of them holds channels"
            )
        planes = channels_last(samples, None if axis is None else axis + 1)
        alpha = planes[..., -1:] if has_alpha(planes) else None
        planes = planes if alpha is None else planes[..., :-1]
        cleaned, std, shares = self._cleaner(planes, averaging, sound).clean(planes, with_std)
        if alpha is not None:
            cleaned = np.concatenate([cleaned, alpha], -1)
            std = None if std is None else np.concatenate([std, np.zeros(alpha.shape, np.float32)], -1)
        return from_channels_last(cleaned, axis), None if std is None else from_channels_last(std, axis), shares

    def _cleaner(self, samples: np.ndarray, averaging: bool, sound: bool) -> Cleaner:
        """The network for samples in their own units, which are held against those of the training data."""
        name, own, zero = "what is to be cleaned", np.dtype(self.dtype_), 0.0
        if sound:
            (silence, loud), (own_silence, own_loud) = sound_scale(samples.dtype), sound_scale(own)
            factor = own_loud / loud
            zero = silence - own_silence / factor
        else:
            factor = self.units_.factor(samples.dtype, float(samples.min()), float(samples.max()), name)
        converted = samples if factor == 1 and zero == 0 else (samples - np.float64(zero)) * factor
        self.units_.check(converted, name, given=samples, fractions=not sound)
        move(self.network_, choose_device(self.device))
        zero, unit = zero + self._floats.zero / factor, unit_of(own) * self._floats.unit / factor
        learned = self.network_spec_, self.blind_
        return Cleaner(self.network_, *learned, zero, unit, averaging, self.turns_, self.share_, self.variance_)


def _kind(sample: np.ndarray) -> tuple[int, str, int]:
    """What samples that are learned together share."""
    return sample.ndim, sample.dtype.str, sample.shape[-1]
