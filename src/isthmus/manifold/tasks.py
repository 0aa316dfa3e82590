"""What a map learns: samples that are neighbours get codes that are neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks import AutoEncoderNetwork
from isthmus.networks.dense import DenseEncoder
from isthmus.share import count_of, drawn, share_of
from isthmus.training.contrast import contrast
from isthmus.training.feed import SourceFeed
from isthmus.training.task import Loss, Task

_PACE = 20.0  # learning rate of codes that are learned one by one, beside that of the network's biases


class Anchors:
    """The numbers of the samples, a batch at a time; the task decides what a step makes of them."""

    def __init__(self, n_samples: int) -> None:
        self._n_samples = n_samples

    def __len__(self) -> int:
        return self._n_samples

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """One tensor of sample numbers for each array of them."""
        return (torch.from_numpy(indices) for indices in order)


class NeighbourhoodTask(Task):
    """Draws each anchor to one of its neighbours and away from those of the others, and learns to decode the codes.

        anchors i ──▶ a neighbour j of each ──f──▶ z_i, z_j: which of the batch's z_j belongs to z_i?
                                                       └──g──▶ x': some of them

    The first term is the cross-entropy of that question, with 1 / (1 + d²) as the similarity of two codes at a distance
    d: the noise-contrastive form of neighbour embedding (Damrich et al. 2023, "From t-SNE to UMAP with contrastive
    learning", ICLR, arXiv:2206.01816), by a network instead of free coordinates (Sainburg et al. 2021, "Parametric
    UMAP", arXiv:2009.12981). Nothing but a batch is ever compared with one another.

    Codes of few samples, which layers would learn by heart, are learned one by one, as parameters. The network's
    encoder then has no part in this, and is given `codes` at the end.

    graph : int64 (n, k), the neighbours of every sample. projected : float32 (n, p), the samples as the encoder's
    projection gives them. samples : feed of what the decoder is to give. unit : the distance at which codes have half
    the similarity of equal ones. weight : that of the reconstruction's mean squared error. decoded : how many samples
    of the batch are decoded in a step. start : float32 (n, d), the codes to begin with where they are learned one by
    one, else None.
    """

    network: AutoEncoderNetwork

    def __init__(
        self,
        network: AutoEncoderNetwork,
        graph: Tensor,
        projected: Tensor,
        samples: SourceFeed,
        *,
        unit: float,
        weight: float,
        decoded: int,
        start: Tensor | None = None,
    ) -> None:
        super().__init__(network)
        self.graph, self.projected, self.samples = graph, projected, samples
        self.unit, self.weight, self.decoded = unit, weight, decoded
        self._learned = None
        if start is not None:  # flat, since optimizers turn matrices as such
            self._code_size = start.shape[1]
            self._learned = nn.Parameter(start.flatten() / _PACE)

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The question's cross-entropy, and the decoder's error as a penalty; batch : int64 (n,), sample numbers."""
        n, k = len(batch), self.graph.shape[1]
        chosen = drawn(partial(torch.randint, k), (n, 1), generator, device=self.device).cpu()
        both = torch.cat([batch, self.graph[batch].gather(1, chosen)[:, 0]])
        z = self._codes(both)
        anchors, others = z.chunk(2)
        told_apart = contrast(anchors, others, self._similarity, generator)
        whole = 2 * count_of(n, generator)
        some = torch.randperm(whole, generator=generator, device=self.device)[: self.decoded]
        here = _held(some, n, generator)  # each process decodes those of the batch that it holds
        x = self.samples.batch(both[here.cpu()].numpy())
        with self.autocast():
            rebuilt = self.network.decode(z[here])
        share = share_of(generator)
        part = 1.0 if share is None else len(here) / len(some) / share.weight
        error = F.mse_loss(rebuilt.float(), x) if len(here) else rebuilt.sum()
        return Loss(told_apart, self.weight * part * error)

    @property
    def codes(self) -> Tensor:
        """Those that are learned one by one, (n, d)."""
        assert self._learned is not None
        return _PACE * self._learned.view(-1, self._code_size)

    def _codes(self, samples: Tensor) -> Tensor:
        """Of samples by their numbers, (n,) -> (n, d)."""
        if self._learned is not None:
            return self.codes[samples.to(self.device)]
        encoder = self.network.encoder
        assert isinstance(encoder, DenseEncoder)
        with self.autocast():
            z: Tensor = encoder.layers(self.projected[samples].to(self.device))
        return z.float()

    def _similarity(self, codes: Tensor, others: Tensor) -> Tensor:
        """Of each code (n, d) to each of the others (m, d), (n, m)."""
        return -torch.log1p((codes[:, None] - others).square().sum(-1) / self.unit**2)


def _held(places: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Places in twice the whole batch, those of the samples that are here, as places in twice the `n` of these."""
    share = share_of(generator)
    if share is None:
        return places
    time, place = places // share.count, places % share.count
    here = (place >= share.first) & (place < share.last)
    return (time * n + place - share.first)[here]
