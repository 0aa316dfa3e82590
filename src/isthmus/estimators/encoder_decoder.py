"""What every model with an encoder and a decoder does once it is trained: encode, decode, reconstruct, score, save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.data.base import Source, spread_samples
from isthmus.data.frames import is_frame, numbers_as_frame
from isthmus.data.in_memory import as_array, loaded
from isthmus.data.scaling import Scaler
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.data.units import RescaledSource
from isthmus.device import choose_device, in_best_memory_order
from isthmus.errors import IsthmusError
from isthmus.estimators.description import description
from isthmus.estimators.model_contents import parts_of
from isthmus.estimators.network_estimator import NetworkEstimator, fill
from isthmus.estimators.table_scores import cell_scores
from isthmus.evaluation.neighbourhood_preservation import NeighbourhoodScores, neighbourhood_scores
from isthmus.latent.space import LatentSpace
from isthmus.networks import AutoEncoderNetwork, build, code_shape, load_stored_state, restored, stored_state
from isthmus.objectives import Objective
from isthmus.spec import NetworkSpec
from isthmus.training.feed import as_tensor

if TYPE_CHECKING:
    from isthmus.evaluation.figures.style import Plate

MOST_SCORED = 5_000  # samples: exact scores of neighbourhoods cost the square of their number
_NEIGHBOURS = 15
_EXAMPLES, _EXAMPLE_BYTES = 32, 1 << 22  # at most, that are remembered for the picture of a model
_DRAWN = 6  # of these


class EncoderDecoder(LatentSpace, NetworkEstimator):
    """Base of the estimators that hold an auto-encoder: `Z = f(X)`, `X' = g(Z)`. Subclasses define `fit`."""

    network_spec_: NetworkSpec | None
    deviations_: np.ndarray  # of a table with columns of any kind
    _usage = "Z = model.transform(X)\nX2 = model.inverse_transform(Z)"

    def _adopt(self, network: AutoEncoderNetwork, spec: NetworkSpec | None, device: torch.device) -> None:
        """Take a network, built for the scaler's samples, as the model's own. spec : what it was built from."""
        self.network_, self.network_spec_ = network, spec
        in_best_memory_order(network.to(device), len(self.scaler_.network_shape) + 1)
        self._measure_code(device)

    @torch.inference_mode()
    def _measure_code(self, device: torch.device) -> None:
        """The shape of the code; of modules of one's own, by running zeros through them, which says whether they fit.

        A specification says it without: what it claims of samples can be more than the memory holds.
        """
        self.network_.eval()
        spec, seen = self.network_spec_, self.scaler_.network_shape
        if spec is None:
            for n in (1, 2):  # they may mix samples up
                self.code_shape_ = code_shape(self.network_, torch.zeros((n, *seen), device=device))
        elif spec.sample_shape != seen:
            raise IsthmusError(f"a network for samples of shape {spec.sample_shape} cannot take those of shape {seen}")
        else:
            self.code_shape_ = spec.code_shape
        self._n_features_out = int(np.prod(self.code_shape_))

    _examples: np.ndarray | None = None  # in memory alone, never in a saved model

    def _remember(self, source: Source, places: np.ndarray) -> None:
        """Keep a few samples, by their numbers, for the picture that notebooks show; rows of mixed kinds have none."""
        size = max(1, source.nbytes // len(source))
        few = places[: max(1, min(_EXAMPLES, _EXAMPLE_BYTES // size))]
        self._examples = None if isinstance(source, TableSource) else source.take(few)

    def _portrait(self) -> Plate | None:
        if self._examples is None:
            return None
        from isthmus.evaluation.figures.samples import through_the_isthmus  # figures are slow to import
        from isthmus.evaluation.study import passage

        return through_the_isthmus(passage(self, self._examples), _DRAWN)

    # Use

    def transform(self, X: Any) -> np.ndarray:
        """Encode: `Z = f(X)`, float32 array of shape (n_samples, latent_dim).

        A spatial code has shape (n_samples, *spatial, latent_channels). Deterministic: a variational code is its mean.
        """
        check_is_fitted(self)
        container = getattr(self, "_sklearn_output_config", {}).get("transform") or get_config()["transform_output"]
        if container != "default" and len(self.code_shape_) > 1:
            raise IsthmusError(
                f"codes of shape {self.code_shape_} are no rows of a table: leave set_output(transform={container!r}) "
                f"out, or train with latent_dim in place of latent_channels"
            )
        return self.encode(X)

    def encode(self, X: Any) -> np.ndarray:
        """The same as `transform`."""
        check_is_fitted(self)
        source = self._open(X, reset=False)
        codes = np.empty((len(source), *self.code_shape_), np.float32)
        fill(codes, self._codes(source))
        return codes

    def iter_encode(self, X: Any) -> Iterator[np.ndarray]:
        """The codes of X in successive blocks, for data whose codes do not fit into memory."""
        check_is_fitted(self)
        return self._codes(self._open(X, reset=False))

    def inverse_transform(self, Z: Any) -> Any:
        """Decode: `X' = g(Z)`, array of shape (n_samples, *sample_shape) with the dtype of the training data."""
        return self.decode(Z)

    def decode(self, Z: Any) -> Any:
        """The same as `inverse_transform`."""
        check_is_fitted(self)
        given = as_array(loaded(Z))
        if given.dtype.kind not in "biuf":
            raise IsthmusError(f"codes must hold numbers, not {given.dtype}")
        codes = given.astype(np.float32, copy=False)
        if codes.shape[1:] != self.code_shape_:
            expected = ", ".join(map(str, ("n_samples", *self.code_shape_)))
            raise IsthmusError(f"codes have shape {codes.shape}; this model decodes shape ({expected})")
        if not np.isfinite(codes).all():
            raise IsthmusError("codes contain NaN or infinity; decode finite numbers")
        decoded = np.empty((len(codes), *self.scaler_.sample_shape), self.scaler_.dtype)
        fill(decoded, self._decoded(codes))
        return self._in_users_form(decoded)

    def _in_users_form(self, samples: np.ndarray) -> Any:
        """Decoded samples; those of a table with columns of any kind as a data frame."""
        return self.scaler_.frame_of(samples) if isinstance(self.scaler_, TableScaler) else samples

    def reconstruct(self, X: Any) -> Any:
        """`X' = g(f(X))`, with the shape and the dtype of the training data, or a data frame of the kind of X.

        Pixels of another depth than that of the training data come back in their own depth.
        """
        check_is_fitted(self)
        source = self._open(X, reset=False)
        rebuilt = np.empty((len(source), *self.scaler_.sample_shape), self.scaler_.dtype)
        fill(rebuilt, (self.scaler_.from_network(x) for _, x in self._reconstructions(source)))
        if isinstance(source, TableSource):
            return source.rebuilt(rebuilt)
        rebuilt = source.back(rebuilt) if isinstance(source, RescaledSource) else rebuilt
        return numbers_as_frame(rebuilt, X, getattr(self, "feature_names_in_", None)) if is_frame(X) else rebuilt

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the objective of each sample in scaled units, shape (n_samples,): higher is better reconstructed.

        Rows of a table with columns of any kind: the logarithm of a likelihood, the sum of `score_columns`.
        """
        check_is_fitted(self)
        source = self._open(X, reset=False)
        if isinstance(source, TableSource):
            likelihoods: np.ndarray = self._cell_scores(source).sum(axis=1)
            return likelihoods
        objective = Objective("mse" if self.training_spec_ is None else self.training_spec_.objective)
        scores = np.empty(len(source), np.float32)
        fill(scores, (-objective.per_sample(r, x).cpu().numpy() for x, r in self._reconstructions(source)))
        return scores

    def score_columns(self, X: Any) -> Any:
        """What each column adds to the score of each row: a data frame (n_samples, columns used) like that of X.

        In nats: numbers and dates are taken to have normal errors, with the deviation that those of the training had,
        in standardised units; a category has the probability that the decoder gives it. Missing cells add 0.

        Raises IsthmusError for models of anything but tables with columns of several kinds.
        """
        check_is_fitted(self)
        source = self._open(X, reset=False)
        if not isinstance(source, TableSource):
            raise IsthmusError("score_columns is for tables with columns of several kinds; take score_samples")
        return source.frame_with(self._cell_scores(source))

    def _cell_scores(self, source: TableSource) -> np.ndarray:
        assert isinstance(self.scaler_, TableScaler)
        return cell_scores(self.scaler_, self._reconstructions(source), self.deviations_)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`: minus the mean squared error in scaled units, unless another objective was set."""
        return float(self.score_samples(X).mean())

    def neighbourhood_scores(self, X: Any, k: int | None = None) -> NeighbourhoodScores:
        """How well codes keep the neighbourhoods of X: trustworthiness and continuity, in scaled units.

        X : as in `transform`; of more than 5,000 samples, 5,000 evenly spaced ones are compared with one another.
        k : neighbours of a sample, below half the number of samples. Default: 15, or as many as few samples allow.
        """
        check_is_fitted(self)
        source = self._open(X, reset=False)
        some = spread_samples(source, MOST_SCORED)
        k = max(1, min(_NEIGHBOURS, (len(some) - 1) // 2)) if k is None else k
        return neighbourhood_scores(self.scale(some), self.transform(some), k)

    def report(
        self,
        X: Any,
        folder: str | Path,
        *,
        train: Any = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        title: str | None = None,
        saved_as: str | Path | None = None,
    ) -> Path:
        """Write report.html into a folder: what the model does to X, beside PCA with the same code size.

        X : samples that the model was not trained on, as in `transform`. train : those that PCA is fitted on; by
        default a random half of X, and the other half is measured.
        class_names : what labels of X mean, where it has some. saved_as : the model's folder, which the page names.
        """
        from isthmus.evaluation.report import report  # figures are slow to import

        check_is_fitted(self)
        return report(self, X, folder, train=train, class_names=class_names, title=title, saved_as=saved_as)

    @torch.inference_mode()
    def _codes(self, source: Source) -> Iterator[np.ndarray]:
        for x in self._scaled_batches(source):
            yield self.network_.encode(x).movedim(1, -1).float().cpu().numpy()

    @torch.inference_mode()
    def _decoded(self, codes: np.ndarray) -> Iterator[np.ndarray]:
        device, size = self._place(), self._batch_size()
        for start in range(0, len(codes), size):
            z = as_tensor(codes[start : start + size]).to(device).movedim(-1, 1)
            yield self.scaler_.from_network(self.network_.decode(z))

    @torch.inference_mode()
    def _reconstructions(self, source: Source) -> Iterator[tuple[Tensor, Tensor]]:
        for x in self._scaled_batches(source):
            yield x, self.network_.reconstruct(x)

    # On disk

    def _config(self) -> dict[str, Any]:
        names = getattr(self, "feature_names_in_", None)
        return {
            "network": None if self.network_spec_ is None else self.network_spec_.to_dict(),
            "scaler": self.scaler_.to_dict(),
            "feature_names": None if names is None else [str(name) for name in names],
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = {f"network.{k}": v.detach().cpu().numpy() for k, v in stored_state(self.network_).items()}
        if isinstance(self.scaler_, TableScaler):
            tensors["scores.deviations"] = self.deviations_
        return tensors | {f"scaler.{name}": array for name, array in self.scaler_.arrays().items()}

    def _restore(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        parts = parts_of(tensors, "network", "scaler", "scores")
        kind: type[Scaler] = TableScaler if config["scaler"]["kind"] == TableScaler.KIND else Scaler
        self.scaler_ = kind.from_dict(config["scaler"], parts["scaler"])
        if parts["scores"]:
            self.deviations_ = parts["scores"]["deviations"]
        spec = None if config["network"] is None else NetworkSpec.from_dict(config["network"])
        if spec is None:
            built = self._wrapped()
            load_stored_state(built, {name: torch.from_numpy(array) for name, array in parts["network"].items()})
        else:
            built = restored(partial(build, spec, 0), parts["network"])
        self._restore_names(config["feature_names"])
        if len(self.scaler_.sample_shape) == 1:
            self.n_features_in_ = self.scaler_.sample_shape[0]
        self._adopt(built.eval(), spec, choose_device(self.device))

    def _wrapped(self) -> AutoEncoderNetwork:
        """Modules of the user's own as a network."""
        raise IsthmusError(f"a {type(self).__name__} is not made of modules of your own, and has no network")

    def _describe(self) -> dict[str, str]:
        return description(self.network_, self.network_spec_, self.training_spec_, self.scaler_, self.code_shape_)

    def _validation(self, best: float) -> str:
        return f"{best:.6g} (the objective, in scaled units)"
