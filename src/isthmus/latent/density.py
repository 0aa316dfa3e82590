"""How codes are distributed: what new samples are drawn from.

An auto-encoder's codes fill some part of their space in some way; a density is fitted to them afterwards (Ghosh et al.
2020, "From variational to deterministic autoencoders", arXiv:1903.12436).
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import evenly_spread
from isthmus.errors import IsthmusError, of_a_file, unknown_name
from isthmus.files import atomic_path
from isthmus.latent.flow import Flow
from isthmus.networks import restored, seeded
from isthmus.remote.paths import as_path
from isthmus.spec import TrainingSpec
from isthmus.training.loop import Trainer
from isthmus.training.run import seed_from
from isthmus.training.task import Loss, Task
from isthmus.typed_json import read_json, typed

DensityName = Literal["mixture", "flow", "prior"]
_MOST_FITTED = 20_000  # codes that a mixture is fitted to
_COMPONENTS = (1, 2, 4, 8, 16, 32, 64)  # that are tried for a mixture
_STEPS, _BATCH, _LEARNING_RATE = 2_000, 256, 0.003  # of a flow's training: seconds
_HELD_OUT = 0.1  # share of the codes that choose the flow's weights
_LEAST_SPREAD = 1e-4  # of a number of the code, relative to the largest: dead numbers must not divide by zero


class CodeDensity(ABC):
    """A probability density over codes: draw new ones, or ask how likely some are.

    code_shape : shape of one code.
    """

    kind: ClassVar[DensityName]

    def __init__(self, code_shape: tuple[int, ...]) -> None:
        self.code_shape = code_shape

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over codes of shape {self.code_shape}>"

    @classmethod
    @abstractmethod
    def fit(cls, codes: np.ndarray, code_shape: tuple[int, ...], seed: int) -> Self:
        """Fit to rows of numbers (n, d)."""

    def sample(self, n: int, random_state: Any = None) -> np.ndarray:
        """Draw codes, float32 array of shape (n, *code_shape)."""
        rng = np.random.default_rng(seed_from(random_state))
        return self._draw(n, rng).astype(np.float32).reshape(n, *self.code_shape)

    def score_samples(self, Z: Any) -> np.ndarray:
        """Natural logarithm of the density at codes (n, *code_shape), float64 array of shape (n,)."""
        codes = np.asarray(Z, np.float32)
        if codes.shape[1:] != self.code_shape:
            raise IsthmusError(f"codes have shape {codes.shape}; this density is over codes of shape {self.code_shape}")
        return self._log_density(codes.reshape(len(codes), -1))

    def save(self, path: str | Path) -> Path:
        """Write the density to one safetensors file."""
        from safetensors.numpy import save_file

        metadata = {"density": self.kind, "code_shape": json.dumps(self.code_shape)}
        with atomic_path(path) as temporary:
            save_file({k: np.ascontiguousarray(v) for k, v in self._arrays().items()}, temporary, metadata=metadata)
        return as_path(path)

    @abstractmethod
    def _draw(self, n: int, rng: np.random.Generator) -> np.ndarray: ...

    @abstractmethod
    def _log_density(self, codes: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]: ...

    @classmethod
    @abstractmethod
    def _from_arrays(cls, arrays: Mapping[str, np.ndarray], code_shape: tuple[int, ...]) -> Self: ...


class Prior(CodeDensity):
    """The standard normal distribution, which training draws variational codes towards."""

    kind: ClassVar[DensityName] = "prior"

    @classmethod
    def fit(cls, codes: np.ndarray, code_shape: tuple[int, ...], seed: int) -> Self:
        return cls(code_shape)

    def _draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal((n, int(np.prod(self.code_shape))))

    def _log_density(self, codes: np.ndarray) -> np.ndarray:
        density: np.ndarray = -0.5 * (
            np.square(codes, dtype=np.float64).sum(axis=1) + codes.shape[1] * np.log(2 * np.pi)
        )
        return density

    def _arrays(self) -> dict[str, np.ndarray]:
        return {}

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, np.ndarray], code_shape: tuple[int, ...]) -> Self:
        return cls(code_shape)


class Mixture(CodeDensity):
    """A mixture of Gaussians, whose number the Bayesian information criterion chooses (Schwarz 1978).

    weights (k,), means (k, d), factors (k, d, d) : the lower triangular L of each covariance L Lᵀ.
    """

    kind: ClassVar[DensityName] = "mixture"

    def __init__(
        self, weights: np.ndarray, means: np.ndarray, factors: np.ndarray, code_shape: tuple[int, ...]
    ) -> None:
        super().__init__(code_shape)
        self.weights, self.means, self.factors = weights, means, factors

    @classmethod
    def fit(cls, codes: np.ndarray, code_shape: tuple[int, ...], seed: int) -> Self:
        from sklearn.mixture import GaussianMixture

        some = codes[evenly_spread(len(codes), _MOST_FITTED)]
        center, spread = _standard(some)
        rows = ((some - center) / spread).astype(np.float64)
        best, lowest = None, np.inf
        for count in (c for c in _COMPONENTS if c == 1 or c * (rows.shape[1] + 1) < len(rows)):
            mixture = GaussianMixture(count, reg_covar=1e-4, random_state=seed % 2**32).fit(rows)
            criterion = mixture.bic(rows)
            if criterion >= lowest:
                break  # it falls, then rises
            best, lowest = mixture, criterion
        assert best is not None
        factors = np.linalg.cholesky(best.covariances_) * spread[:, None]
        return cls(best.weights_, best.means_ * spread + center, factors, code_shape)

    def _draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        which = rng.choice(len(self.weights), n, p=self.weights / self.weights.sum())
        noise = rng.standard_normal((n, self.means.shape[1]))
        codes: np.ndarray = self.means[which] + np.einsum("nij,nj->ni", self.factors[which], noise)
        return codes

    def _log_density(self, codes: np.ndarray) -> np.ndarray:
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(len(self.weights))
        mixture.weights_, mixture.means_ = self.weights, self.means
        mixture.precisions_cholesky_ = np.linalg.inv(self.factors).swapaxes(1, 2)
        density: np.ndarray = mixture.score_samples(codes.astype(np.float64))
        return density

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, np.ndarray], code_shape: tuple[int, ...]) -> Self:
        return cls(arrays["weights"], arrays["means"], arrays["factors"], code_shape)


class NormalisingFlow(CodeDensity):
    """A flow of affine couplings, trained for some seconds: it takes any shape, where a mixture has ellipsoids."""

    kind: ClassVar[DensityName] = "flow"

    def __init__(self, network: Flow, code_shape: tuple[int, ...]) -> None:
        super().__init__(code_shape)
        self.network = network.eval()

    @classmethod
    def fit(cls, codes: np.ndarray, code_shape: tuple[int, ...], seed: int) -> Self:
        n, d = codes.shape
        if d < 2:
            raise IsthmusError("a flow needs codes of at least 2 numbers; take density 'mixture' for one number")
        with seeded(seed):
            network = Flow(d)
        center, spread = _standard(codes)
        network.center.copy_(torch.from_numpy(center))
        network.spread.copy_(torch.from_numpy(spread))
        held_out = np.sort(np.random.default_rng([seed, 1]).choice(n, int(_HELD_OUT * n), replace=False))
        per_epoch = max(1, (n - len(held_out)) // _BATCH)
        spec = TrainingSpec(
            objective={},
            epochs=max(1, _STEPS // per_epoch),
            minutes=None,
            batch_size=min(_BATCH, n - len(held_out)),
            optimizer="adam",
            learning_rate=_LEARNING_RATE,
            seed=seed,
        )
        Trainer(FlowTask(network), _Codes(codes), spec, validation=held_out).run()
        return cls(network, code_shape)

    @torch.inference_mode()
    def _draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal((n, len(self.network.center)), np.float32)
        return self.network.decode(torch.from_numpy(noise)).numpy()

    @torch.inference_mode()
    def _log_density(self, codes: np.ndarray) -> np.ndarray:
        return self.network.log_density(torch.from_numpy(codes)).double().numpy()

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, np.ndarray], code_shape: tuple[int, ...]) -> Self:
        return cls(restored(partial(Flow, math.prod(code_shape)), arrays), code_shape)


class FlowTask(Task):
    """Minus the logarithm of the likelihood of codes."""

    network: Flow

    def __init__(self, network: Flow) -> None:
        super().__init__(network, validation_batch=4096)

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The mean over codes (n, d)."""
        return Loss(-self.network.log_density(batch).mean())


class _Codes:
    """Rows of numbers as a feed."""

    def __init__(self, codes: np.ndarray) -> None:
        self._codes = torch.from_numpy(codes)

    def __len__(self) -> int:
        return len(self._codes)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[Tensor]:
        return (self._codes[torch.from_numpy(indices)] for indices in order)


DENSITIES: dict[str, type[CodeDensity]] = {kind.kind: kind for kind in (Mixture, NormalisingFlow, Prior)}


def fit_density(codes: Any, kind: DensityName = "mixture", random_state: Any = None) -> CodeDensity:
    """The density of codes (n, *code_shape) of data: "mixture", "flow" or "prior", which looks at none of them.

    Raises IsthmusError for an unknown kind, for fewer than 10 codes, and for numbers that are not finite.
    """
    if kind not in DENSITIES:
        raise unknown_name("density", kind, DENSITIES)
    codes = np.ascontiguousarray(codes, np.float32)
    if codes.ndim < 2 or len(codes) < 10:
        raise IsthmusError(
            f"codes have shape {codes.shape}; a density needs at least 10 codes, as transform gives them"
        )
    if not np.isfinite(codes).all():
        raise IsthmusError("codes contain NaN or infinity; give finite numbers")
    return DENSITIES[kind].fit(codes.reshape(len(codes), -1), codes.shape[1:], seed_from(random_state))


def load_density(path: str | Path) -> CodeDensity:
    """The density in a file that `save` wrote.

    Raises IsthmusError where the file holds none.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import load_density
    >>> from isthmus.latent.density import fit_density
    >>> density = fit_density(np.random.default_rng(0).standard_normal((200, 2)), random_state=0)
    >>> load_density(density.save("codes.safetensors")).sample(5, random_state=0).shape
    (5, 2)
    """
    from safetensors import safe_open

    with of_a_file(f"{path} holds no density of codes that can be read"):
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dictionary
            metadata = file.metadata()
        shape = typed(read_json(metadata["code_shape"].encode(), "code_shape"), tuple[int, ...], "code_shape")
        return DENSITIES[metadata["density"]]._from_arrays(arrays, shape)


def _standard(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each number, the latter not zero."""
    spread = codes.std(axis=0)
    return codes.mean(axis=0), np.maximum(spread, _LEAST_SPREAD * (spread.max() or 1.0))
