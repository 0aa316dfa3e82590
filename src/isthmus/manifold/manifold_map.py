"""`ManifoldMap`: a picture of a data set that keeps neighbourhoods, takes new samples, and leads back to data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.data.base import Source, spread_samples
from isthmus.data.neighbour_graph import neighbour_graph
from isthmus.data.scaling import ChannelAxis, ScalingName, fit_scaler
from isthmus.errors import IsthmusError
from isthmus.estimators.base import anywhere
from isthmus.estimators.encoder_decoder import EncoderDecoder
from isthmus.manifold.tasks import Anchors, NeighbourhoodTask
from isthmus.networks import build
from isthmus.networks.dense import DenseEncoder
from isthmus.networks.neighbour_encoder import NeighbourEncoder
from isthmus.spec import NetworkSpec, is_integer, is_real
from isthmus.training.feed import SourceFeed
from isthmus.training.progress import Listener
from isthmus.training.run import Length, Run, digest

_LENGTH = Length(samples=1_500_000, least_steps=1_000)
_ANCHORS, _DECODED = 512, 256  # of a step, at most
_LEAST_ANCHORS = 64
_ANCHORS_OF_FEW = 256  # codes that are no network's cost nothing: more of them, to be told apart from each other
_LEARNING_RATE = 0.015
_COMPONENTS = 64  # principal components that neighbours are searched in and the encoder is given
_WAVES = 64  # Fourier features of the map's coordinates that the decoder is given
_UNIT = 0.05  # of distances on the map; its points then lie a few ones from its centre
_FEW = 4_096  # samples up to which codes are learned one by one, and new samples placed among them
_VOTERS, _VOTE_UNIT = 10, 0.2  # remembered samples that place a new one, and how far apart they may lie on the map
_SMOOTHINGS, _SPREAD = 20, 0.5  # of the codes that learning starts from: steps, and their standard deviation
_MOST_SAMPLES = 1 << 20  # that a map is learned from: graph, index and components of so many take about 1 GB
_MOST_ROWS, _MOST_NUMBERS = 20_000, 1 << 26  # of the samples that principal components are taken from


class ManifoldMap(EncoderDecoder):
    """A map of a data set in two (or more) dimensions, with an encoder onto it and a decoder back.

        X (n, ...) ──f──▶ Z (n, 2): neighbours stay neighbours ──g──▶ X' (n, ...)

    Unlike t-SNE and UMAP it is an auto-encoder: new samples are placed in milliseconds, and every point of the map can
    be turned back into data. See `manifold/tasks.py` for what is learned.

    With up to 4,096 samples, f places new ones among the nearest of them (`networks/neighbour_encoder.py`): the saved
    model then holds up to 64 principal components of each, at most 1 MB. With more, f is a network, and the model holds
    no samples.

    Parameters
    ----------
    n_components : int, default=2
        Numbers in a code.
    n_neighbors : int, default=15
        How many neighbours of each sample are to stay near it.
    reconstruction : float, default=0.3
        Weight of the decoder's squared error, in variances of the data; keeping neighbourhoods has weight 1.
    hidden : sequence of int, default=eight times 256
        Widths of the encoder's fully connected layers; the decoder mirrors them. With up to 4,096 samples only the
        decoder has them.
    epochs, minutes : optional
        Length of the run; minutes include the search for neighbours. Default: 1.5 million samples.
    scaling, channel_axis, device, random_state, verbose : as in `AutoEncoder`.

    Attributes
    ----------
    network_ : AutoEncoderNetwork, the torch module
    network_spec_ : NetworkSpec
    training_spec_ : TrainingSpec
    scaler_ : Scaler, between the user's units and those of the network
    code_shape_ : tuple of int, (n_components,)
    history_ : list of dict, the run's losses
    seconds_ : float, time of the search for neighbours and of training
    interrupted_ : int, number of the signal that ended the run early (2 for Ctrl-C, 15 for SIGTERM), 0 if none did
    seed_ : int, the seed that was used
    n_features_in_ : int, columns of a table; feature_names_in_ : array of str (n_features_in_,), where they have names

    Examples
    --------
    >>> from isthmus import ManifoldMap, datasets
    >>> X = datasets.load("digits").train.images
    >>> manifold = ManifoldMap(epochs=3, random_state=0).fit(X)
    >>> manifold.transform(X).shape
    (1500, 2)
    >>> manifold.inverse_transform([[0.0, 0.0]]).shape
    (1, 8, 8)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 15,
        reconstruction: float = 0.3,
        hidden: Sequence[int] = (256,) * 8,
        epochs: int | None = None,
        minutes: float | None = None,
        scaling: ScalingName = "auto",
        channel_axis: ChannelAxis = "auto",
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.reconstruction = reconstruction
        self.hidden = hidden
        self.epochs = epochs
        self.minutes = minutes
        self.scaling = scaling
        self.channel_axis = channel_axis
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

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
        """Learn the map of X.

        X : array of shape (n_samples, ...), torch tensor, DataFrame, path, name of a data set or Source; at least 2
        samples. If there are more than 1,048,576, it learns from that many of them, spread evenly, so that memory is
        bounded; `transform` places the others. y : ignored. checkpoint, resume, checkpoint_seconds, listeners : see
        `AutoEncoder.fit`.

        Ctrl-C and SIGTERM end the run and keep what was learned so far.
        """
        self._check()
        run = Run.of(
            self, listeners=listeners, checkpoint=checkpoint, resume=resume, checkpoint_seconds=checkpoint_seconds
        )
        source = self._open(X, reset=True)
        if len(source) < 2:
            raise IsthmusError(f"a map needs at least 2 samples; {source.name} holds n_samples=1")
        self.seed_ = run.seed
        self.scaler_ = fit_scaler(source, flat=True, kind=self.scaling, channel_axis=self.channel_axis)
        weights, bias, variance = self._principal(source)
        learned = source if len(source) <= _MOST_SAMPLES else spread_samples(source, _MOST_SAMPLES)
        spec = self._network_spec(len(weights), len(learned))
        network = build(spec, run.seed)
        encoder = network.encoder
        assert isinstance(encoder, DenseEncoder | NeighbourEncoder) and encoder.projection is not None
        encoder.projection.weight.copy_(weights)
        encoder.projection.bias.copy_(bias)
        self._adopt(network, spec, run.device)
        samples = SourceFeed(learned, self.scaler_, run.device)
        projected = _projected(encoder.projection, samples)
        graph = neighbour_graph(projected.numpy(), min(self.n_neighbors, len(learned) - 1))
        few = isinstance(encoder, NeighbourEncoder)
        start = _start(projected.numpy(), graph, int(self.n_components), run.seed).to(run.device) if few else None
        task = NeighbourhoodTask(
            network,
            torch.from_numpy(graph),
            projected,
            samples,
            unit=_UNIT,
            weight=self.reconstruction / max(variance, 1e-12),
            decoded=_DECODED,
            start=start,
        )
        anchors = min(_ANCHORS, max(_LEAST_ANCHORS, len(learned) // 16))  # of more, many are each other's neighbours
        anchors = _ANCHORS_OF_FEW if few else anchors
        training = run.spec(_LENGTH, len(learned), anchors, objective="mse", learning_rate=_LEARNING_RATE)
        none = np.arange(0)  # validates: a map is of the samples that it is learned from
        feed = Anchors(len(learned))
        self._keep(run.train(task, feed, training, none, digest(source), preparing=True))
        if isinstance(encoder, NeighbourEncoder):
            encoder.remember(projected, task.codes, _VOTE_UNIT)
        self._remember(source, np.arange(len(source)))
        return self

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of the trustworthiness and the continuity of the map of X: at most 1, higher is better."""
        scores = self.neighbourhood_scores(X)
        return (scores.trustworthiness + scores.continuity) / 2

    def _check(self) -> None:
        for name in ("n_components", "n_neighbors"):
            value = getattr(self, name)
            if not (is_integer(value) and value >= 1):
                raise IsthmusError(f"{name} (={value!r}) must be an integer of at least 1")
        if not (is_real(self.reconstruction) and self.reconstruction >= 0):
            raise IsthmusError(f"reconstruction (={self.reconstruction!r}) must be a number of at least 0")

    def _network_spec(self, components: int, n_samples: int) -> NetworkSpec:
        features = math.prod(self.scaler_.network_shape)
        few = n_samples <= _FEW
        return NetworkSpec(
            network="dense",
            sample_shape=(features,),
            latent_dim=int(self.n_components),
            hidden=tuple(self.hidden),
            projection=components,
            waves=_WAVES,
            remembered=n_samples if few else None,
            voters=_VOTERS if few else None,
        )

    def _principal(self, source: Source) -> tuple[Tensor, Tensor, float]:
        """Weights (p, features) and bias (p,) of the projection on principal components, and the data's variance.

        The first component has the standard deviation 1.
        """
        from sklearn.decomposition import PCA

        features = math.prod(source.shape[1:])
        count = min(len(source), _MOST_ROWS, max(2, _MOST_NUMBERS // features))
        some = spread_samples(source, count)
        rows = SourceFeed(some, self.scaler_, torch.device("cpu")).batch(np.arange(count)).numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # constant data: a share of no variance
            pca = PCA(min(_COMPONENTS, *rows.shape), random_state=self.seed_ % 2**32).fit(rows)
        weights = torch.from_numpy(pca.components_.astype(np.float32))
        weights /= max(float(pca.explained_variance_[0]) ** 0.5, 1e-6)
        return weights, -weights @ torch.from_numpy(pca.mean_.astype(np.float32)), float(rows.var(axis=0).mean())


@torch.inference_mode()
def _projected(projection: nn.Linear, samples: SourceFeed) -> Tensor:
    """All samples as the encoder's projection gives them, (n, p), on the CPU."""
    size = max(1, min(4096, _MOST_NUMBERS // projection.in_features // 8))
    parts = np.array_split(np.arange(len(samples)), -(-len(samples) // size))
    return torch.cat([projection(x).cpu() for x in samples.batches(parts)]).clone()


def _start(projected: np.ndarray, graph: np.ndarray, size: int, seed: int) -> Tensor:
    """Codes (n, size) to begin with: components (n, p), each sample's averaged with those of its neighbours many times.

    What is left varies slowly over the graph, as its first eigenvectors do, from which UMAP starts (Belkin and Niyogi
    2003, "Laplacian eigenmaps for dimensionality reduction", section 3): samples that belong together start together.
    """
    z = np.random.default_rng([seed, 2]).normal(scale=1e-3, size=(len(projected), size))
    given = min(size, projected.shape[1])
    z[:, :given] += projected[:, :given]
    for _ in range(_SMOOTHINGS):
        z = (z + z[graph].mean(axis=1)) / 2
    z -= z.mean(axis=0)
    return torch.from_numpy(np.float32(_SPREAD * z / np.maximum(z.std(axis=0), 1e-12)))
