"""What can be done in the space of codes of any trained auto-encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.data.base import Source, spread_samples
from isthmus.data.shown import drawn, facts_html
from isthmus.errors import IsthmusError, unknown_name
from isthmus.evaluation import directions
from isthmus.latent.density import CodeDensity, DensityName, Prior, fit_density
from isthmus.latent.distance_to_data import (
    MOST_USUAL,
    NEAREST,
    OffManifold,
    TrainingNeighbours,
    among_themselves,
    nearest,
    training_neighbours,
)
from isthmus.latent.geodesic import Decode, decoded_steps, geodesic, spherical, straight
from isthmus.latent.uncertain_decoder import UncertainDecoder
from isthmus.networks.bottleneck import Variational
from isthmus.spec import is_integer
from isthmus.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from isthmus.data.scaling import Scaler
    from isthmus.networks import AutoEncoderNetwork

PathName = Literal["straight", "spherical", "geodesic"]
PATHS: tuple[str, ...] = get_args(PathName)
_ROW = 8  # samples of a path side by side in a notebook
_MOST_REFERENCE = 10_000  # samples of the data that a place is compared with


@dataclass(frozen=True)
class LatentPath:
    """Codes on a path, and what the decoder makes of them.

    codes : float32 array of shape (steps, *code_shape). samples : array of shape (steps, *sample_shape).
    length : of the path as the decoder sees it, the sum of the Euclidean distances between successive decoded samples,
    in scaled units.
    """

    codes: np.ndarray
    samples: np.ndarray
    length: float

    def __repr__(self) -> str:
        return (
            f"<LatentPath: {count(len(self.codes), 'code')} of shape {self.codes.shape[1:]}, length {self.length:.4g}>"
        )

    def _repr_html_(self) -> str:
        facts = {"codes": f"{len(self.codes)}, of shape {self.codes.shape[1:]}", "length": f"{self.length:.4g}"}
        return facts_html("LatentPath", facts, drawn(np.asarray(self.samples), _ROW))


@dataclass(frozen=True)
class LatentGrid:
    """What the decoder makes of a square grid of codes.

    codes : float32 array of shape (size, size, *code_shape), from the top left. samples : (size, size, *sample_shape).
    """

    codes: np.ndarray
    samples: np.ndarray

    def __repr__(self) -> str:
        return f"<LatentGrid: {len(self.codes)} × {len(self.codes)} codes of shape {self.codes.shape[2:]}>"

    def _repr_html_(self) -> str:
        size, samples = len(self.codes), np.asarray(self.samples)
        picture = drawn(samples.reshape(size * size, *samples.shape[2:]), size)
        return facts_html("LatentGrid", {"codes": f"{size} × {size}, of shape {self.codes.shape[2:]}"}, picture)


class LatentSpace:
    """What every trained auto-encoder can do in the space of its codes.

    Codes are what `transform` gives, and are called `Z` where they are those of data, array (n_samples, *code_shape);
    samples are what `fit` takes. No method guesses which of the two it was given.
    """

    code_shape_: tuple[int, ...]
    network_: AutoEncoderNetwork
    scaler_: Scaler

    if TYPE_CHECKING:

        def _place(self) -> torch.device: ...
        def _open(self, X: Any, *, reset: bool) -> Source: ...
        def _reconstructions(self, source: Source) -> Iterator[tuple[Tensor, Tensor]]: ...
        def encode(self, X: Any) -> np.ndarray: ...
        def decode(self, Z: Any) -> Any: ...

    def interpolate(
        self, start: Any, end: Any, steps: int = 16, path: PathName = "straight", Z: Any = None
    ) -> LatentPath:
        """A path from one code to another, ends included, and the samples on it.

        To go from sample to sample: `model.interpolate(*model.transform(X[:2]))`.

        start, end : codes of shape code_shape, (latent_dim,) unless the code is spatial.
        steps : codes on the path, at least 2.
        path : "straight"; "spherical", about the origin, for normally distributed codes (White 2016); or
            "geodesic", along which the decoded samples change least (Shao et al. 2018), at equal steps of that change.
        Z : codes of data that a geodesic should stay near, at least 20 (Arvanitidis et al. 2018).

        Raises IsthmusError for codes of another shape or that are not finite, for too few steps and unknown paths.
        """
        check_is_fitted(self)
        if path not in PATHS:
            raise unknown_name("path", path, PATHS)
        _check_at_least_two("steps", steps)
        ends = self._one_code(start, "start"), self._one_code(end, "end")
        if path != "geodesic":
            return self._path((straight if path == "straight" else spherical)(*ends, steps))
        if Z is None:
            return self._path(geodesic(*ends, steps, self._decoder()))
        decoder_on_data = UncertainDecoder(self._rows(Z, least=20), self._decoder())
        return self._path(geodesic(*ends, steps, decoder_on_data, decoder_on_data.path(*ends)))

    def traverse(self, Z: Any, dimension: int, start: Any = None, steps: int = 9, reach: float = 2.0) -> LatentPath:
        """A walk along one number of the code; all others stay as they are.

        Z : codes of data, which say what the number's mean and standard deviation are.
        dimension : number of the code, from 0; in spatial codes and those of more than 256 numbers, the number of a
            principal direction of Z.
        start : the code that is walked from; by default the mean of Z.
        reach : how many standard deviations the walk goes below and above the mean.

        Raises IsthmusError where there is no such dimension.
        """
        _check_at_least_two("steps", steps)
        rows = self._rows(Z, least=3)
        axes, names = directions.code_axes(rows, flat=len(self.code_shape_) == 1)
        if not is_integer(dimension) or not 0 <= dimension < len(axes):
            raise IsthmusError(
                f"dimension (={dimension!r}) must be from 0 to {len(axes) - 1}, for {names[0]} and so on"
            )
        axis, center = axes[dimension], rows.mean(axis=0)
        base = center if start is None else self._one_code(start, "start")
        reached = np.linspace(-reach, reach, steps) * ((rows - center) @ axis).std()
        return self._path((base + np.outer(reached - (base - center) @ axis, axis)).astype(np.float32))

    def latent_grid(self, Z: Any, size: int = directions.GRID) -> LatentGrid:
        """The decoded plane of codes: over both numbers where there are two, else along two principal directions.

        Z : codes of data, 98 % of whose range in either direction is covered.
        """
        _check_at_least_two("size", size)
        codes = directions.grid_codes(self._rows(Z, least=3), size).reshape(size * size, *self.code_shape_)
        samples = self.decode(codes)
        return LatentGrid(*(array.reshape(size, size, *array.shape[1:]) for array in (codes, samples)))

    def fit_density(self, Z: Any, kind: DensityName = "mixture", random_state: Any = None) -> CodeDensity:
        """Fit a density to codes Z of data, from which new codes can be drawn.

        kind : "mixture", Gaussians, whose number the data choose; or "flow", a normalising flow, which takes any shape.
        """
        return fit_density(self._rows(Z).reshape(-1, *self.code_shape_), kind, random_state)

    def sample(self, n: int, density: CodeDensity | None = None, random_state: Any = None) -> Any:
        """New samples, array of shape (n, *sample_shape): codes are drawn from a density, and decoded.

        density : what `fit_density` gave. Variational codes need none: they are drawn from the standard normal
            distribution.

        Raises IsthmusError where a density is needed, or belongs to codes of another shape.
        """
        check_is_fitted(self)
        if density is None:
            if not isinstance(self.network_.bottleneck, Variational):
                raise IsthmusError(
                    "only variational codes have a distribution of their own; fit one to codes of data first: "
                    "model.sample(n, model.fit_density(model.transform(X)))"
                )
            density = Prior(self.code_shape_)
        return self.decode(density.sample(n, random_state))

    def neighbours(self, X: Any, Z: Any, k: int = 5, held_out: Any = None) -> TrainingNeighbours:
        """The training samples that are most like each sample of X, and whether samples of X are copies of them.

        X : samples, such as `sample` gives. Z : codes of the training data.
        held_out : samples that the model was not trained on; they say how near to the training data new data usually
            come. Without them the training data themselves say it.
        """
        rows = self._rows(Z)
        others = None if held_out is None else self._rows(self.encode(held_out))
        return training_neighbours(self._rows(self.encode(X)), rows, k, others)

    def off_manifold(self, X: Any, data: Any) -> OffManifold:
        """How far each sample of X lies from the manifold that the decoder spans, and its code from those of data.

        data : samples of the training data, or better some that were held out; at most 10,000 of them are used.
        """
        check_is_fitted(self)
        reference = spread_samples(self._open(data, reset=False), _MOST_REFERENCE)
        rows = self._rows(self.encode(reference))
        return OffManifold(
            error=self._errors(self._open(X, reset=False)),
            distance=nearest(self._rows(self.encode(X)), rows, NEAREST)[1].mean(axis=1),
            usual_error=float(np.median(self._errors(spread_samples(reference, MOST_USUAL)))),
            usual_distance=float(np.median(among_themselves(rows, NEAREST).mean(axis=1))),
        )

    def _errors(self, source: Source) -> np.ndarray:
        """Root mean squared error of the reconstruction of each sample, in scaled units."""
        pairs = self._reconstructions(source)
        return np.concatenate([(r - x).square().flatten(1).mean(1).sqrt().cpu().numpy() for x, r in pairs])

    def _path(self, codes: np.ndarray) -> LatentPath:
        length = float(decoded_steps(codes, self._decoder()).sum())
        shaped = codes.reshape(len(codes), *self.code_shape_)
        return LatentPath(shaped, self.decode(shaped), length)

    def _rows(self, Z: Any, least: int = 1) -> np.ndarray:
        """Codes as rows of numbers, (n, d)."""
        check_is_fitted(self)
        codes = np.asarray(Z, np.float32)
        if codes.shape[1:] != self.code_shape_ or len(codes) < least:
            expected = ", ".join(map(str, ("n_samples", *self.code_shape_)))
            raise IsthmusError(
                f"codes have shape {codes.shape}; those of this model have shape ({expected}), at least {least} of "
                f"them: encode samples with transform first"
            )
        if not np.isfinite(codes).all():
            raise IsthmusError("codes contain NaN or infinity; give finite numbers")
        return codes.reshape(len(codes), -1)

    def _one_code(self, code: Any, name: str) -> np.ndarray:
        """A code as a row of numbers."""
        numbers = np.asarray(code, np.float32)
        if numbers.shape != self.code_shape_:
            raise IsthmusError(
                f"{name} has shape {numbers.shape}; one code of this model has shape {self.code_shape_}: encode "
                f"samples with transform first"
            )
        if not np.isfinite(numbers).all():
            raise IsthmusError(f"{name} contains NaN or infinity; give a code of finite numbers")
        return numbers.ravel()

    def _decoder(self) -> Decode:
        """From rows of numbers to decoded samples in scaled units, with gradients."""
        device = self._place()
        self.network_.eval()

        def decode(codes: Tensor) -> Tensor:
            z = codes.to(device).reshape(len(codes), *self.code_shape_).movedim(-1, 1)
            return self.network_.decode(z).float()

        return decode


def _check_at_least_two(name: str, value: Any) -> None:
    if not is_integer(value) or value < 2:
        raise IsthmusError(f"{name} (={value!r}) must be an integer of at least 2: a way has a start and an end")
