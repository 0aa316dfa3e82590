"""What a map learns: samples that are neighbours get codes that are neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.networks import AutoEncoderNetwork
from isthmus.networks.dense import DenseEncoder
from isthmus.training.feed import SourceFeed
from isthmus.training.task import Loss, Task


class Anchors:
    """The numbers of the samples, a batch at a time: what a step makes of them is the task's matter."""

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

    graph : int64 (n, k), the neighbours of every sample. projected : float32 (n, p), the samples as the encoder's
    projection gives them. samples : feed of what the decoder is to give. unit : codes that far apart have half the
    similarity of equal ones. weight : of the reconstruction's mean squared error. decoded : how many of the batch are
    decoded in a step.
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
    ) -> None:
        super().__init__(network)
        self.graph, self.projected, self.samples = graph, projected, samples
        self.unit, self.weight, self.decoded = unit, weight, decoded

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The question's cross-entropy, and the decoder's error as a penalty; batch : int64 (n,), sample numbers."""
        n, k = len(batch), self.graph.shape[1]
        chosen = torch.randint(k, (n, 1), generator=generator, device=self.device).cpu()
        both = torch.cat([batch, self.graph[batch].gather(1, chosen)[:, 0]])
        encoder = self.network.encoder
        assert isinstance(encoder, DenseEncoder)
        with self.autocast():
            z = encoder.layers(self.projected[both].to(self.device)).float()
        anchors, others = z.chunk(2)
        distances = (anchors[:, None] - others).square().sum(-1)
        similarity = -torch.log1p(distances / self.unit**2)
        own = torch.arange(n, device=self.device)
        contrast = (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2
        some = torch.randperm(2 * n, generator=generator, device=self.device)[: self.decoded]
        x = self.samples.batch(both[some.cpu()].numpy())
        with self.autocast():
            rebuilt = self.network.decode(z[some])
        return Loss(contrast, self.weight * F.mse_loss(rebuilt.float(), x))
