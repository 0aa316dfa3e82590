"""Geodesics that keep to where there are data.

Where a decoder has seen no data, its output says nothing, and it may change so little there that the shortest way leads
through. A decoder that knows how unsure it is would not be drawn there: with a standard deviation σ(z) beside the mean
g(z), the expected metric is that of the curve (g, σ) (Arvanitidis, Hansen and Hauberg 2018, "Latent space oddity",
arXiv:1710.11379, equation 7). σ(z) follows from where the codes of data lie, as it does there (section 4.2).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import evenly_spread
from isthmus.data.neighbour_graph import neighbour_graph
from isthmus.latent.geodesic import Decode

_MOST_CODES = 2_000
_NEIGHBOURS = 10  # of a code in the graph; the distance to the farthest of them is the width of the kernels
_SURE = 0.1  # share of the data where the decoder is less than half sure
_DECODED = 256  # codes at a time


class UncertainDecoder:
    """A decoder with one more number, its uncertainty, made of codes of data; and paths over these from code to code.

        z (n, d) ──▶ [g(z), σ(z)],   σ(z) = R / (1 + (p(z) / q)^(1 / s))

    p is a kernel density of the codes, q its tenth percentile among them and s the standard deviation of log p. R is
    how far decoded data lie from their mean, which is all that is known far away from them.

    codes : float32 array (n, d), n at least 20; of more than 2,000 some from all over are taken.
    """

    def __init__(self, codes: np.ndarray, decode: Decode) -> None:
        from scipy.sparse import csr_array

        picked = evenly_spread(len(codes), _MOST_CODES)
        self._codes, self._decode = codes[picked], decode
        self._centers = torch.from_numpy(self._codes)
        n, k = len(picked), _NEIGHBOURS
        near = neighbour_graph(self._codes, k)
        farthest = np.linalg.norm(self._codes - self._codes[near[:, -1]], axis=1)
        self._width = float(np.median(farthest)) or 1.0
        with torch.inference_mode():
            logs = torch.cat([self._log_density(part) for part in self._centers.split(_DECODED)])
            decoded = torch.cat([decode(part).flatten(1) for part in self._centers.split(_DECODED)])
        self._threshold, self._softness = float(logs.quantile(_SURE)), float(logs.std())
        self._unsure = float((decoded - decoded.mean(0)).square().sum(1).mean().sqrt())
        lengths = [torch.linalg.vector_norm(decoded[column] - decoded, dim=1) for column in near.T]  # (n,) each
        edges = torch.stack(lengths, dim=1).double().cpu().numpy().ravel() + 1e-12  # one of no length would be none
        self._edges = csr_array((edges, near.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))

    def __call__(self, z: Tensor) -> Tensor:
        """Decoded codes and σ, (n, D + 1)."""
        decoded = self._decode(z).flatten(1)
        unsure = self._unsure * torch.sigmoid((self._threshold - self._log_density(z)) / self._softness)
        return torch.cat([decoded, unsure[:, None].to(decoded)], dim=1)

    def path(self, start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
        """The codes on the shortest way over the data from one code (d,) to another, both with it; None without one.

        Every code is tied to the ten nearest ones, by edges as long as decoded samples are apart.
        """
        from scipy.sparse.csgraph import dijkstra

        first, last = (int(np.square(self._codes - code).sum(axis=1).argmin()) for code in (start, end))
        distances, before = dijkstra(self._edges, directed=False, indices=first, return_predecessors=True)
        if not np.isfinite(distances[last]):
            return None
        nodes = [last]
        while nodes[-1] != first:
            nodes.append(int(before[nodes[-1]]))
        return np.concatenate([start[None], self._codes[nodes[::-1]], end[None]])

    def _log_density(self, z: Tensor) -> Tensor:
        """Logarithm of the kernel density at codes (n, d), without a constant: (n,)."""
        squared = torch.cdist(z, self._centers.to(z)).square()
        return torch.logsumexp(-0.5 * squared / self._width**2, dim=1)
