"""Convolutional encoder and decoder, for signals, images and volumes of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.networks.blocks import CODE_GAIN, Conv, as_output
from isthmus.networks.dense import dense_layers, directions, with_waves
from isthmus.registry import activations, downsamplings, upsamplings
from isthmus.spec import NetworkSpec, spatial_sizes

_COARSEST, _FEWEST_STAGES, _MOST_STAGES = 4, 2, 6
_FIRST_CHANNELS, _MOST_CHANNELS = 32, 256


def default_channels(sample_shape: Sequence[int]) -> tuple[int, ...]:
    """Channels after each halving stage for samples of shape (channels, *spatial): (32, 64, 128) for 28 × 28.

    Stages are added until the smallest side is at most 4: at least 2 stages (on 8 × 8 digits the second lowers the
    error by a quarter), at most 6. Channels start at 32 and double, up to 256.
    """
    smallest, stages = min(sample_shape[1:]), _FEWEST_STAGES
    while stages < _MOST_STAGES and smallest > _COARSEST * 2**stages:
        stages += 1
    return tuple(min(_FIRST_CHANNELS * 2**stage, _MOST_CHANNELS) for stage in range(stages))


class ConvEncoder(nn.Module):
    """Down-sampling stages, each a convolution and an activation, then the code.

        x (N, C, *S) ──stages──▶ (N, channels[-1], *S') ──hidden, linear──▶ h (N, code_size)         flat code
                                                        ──1×1 convolution──▶ h (N, code_size, *S')   spatial code

    `code_size` is the code's length along axis 1 (for a variational bottleneck two times that).
    """

    def __init__(self, spec: NetworkSpec, code_size: int) -> None:
        super().__init__()
        d = len(spec.sample_shape) - 1
        widths = (spec.sample_shape[0], *spec.channels)
        down = downsamplings[spec.downsample]
        self.stages = nn.ModuleList(
            down(d, n_in, n_out, spec.factor, spec.kernel_size) for n_in, n_out in pairwise(widths)
        )
        self.activation = activations[spec.activation]()
        self.sample_shape = spec.sample_shape
        self.is_flat = spec.latent_dim is not None
        self.code: nn.Module
        if self.is_flat:
            flat = [widths[-1] * math.prod(spec.spatial_sizes[-1]), *spec.hidden, code_size]
            self.code = dense_layers(flat, spec.activation, CODE_GAIN)
        else:
            self.code = Conv(d, widths[-1], code_size, 1, gain=CODE_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        return self.with_indices(x)[0]

    def with_indices(self, x: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """The code and, for each stage, where max-pooling found its maxima (None for other down-samplings)."""
        self._check_shape(x)
        all_indices = []
        for stage in self.stages:
            x, indices = stage(x)  # (N, C, *S) -> (N, C', *ceil(S / factor))
            x = self.activation(x)
            all_indices.append(indices)
        if self.is_flat:
            x = x.movedim(1, -1).flatten(1)  # -> (N, prod(S') · C'), channels last: no copy in that memory format
        return self.code(x), all_indices

    def _check_shape(self, x: Tensor) -> None:
        seen, expected = tuple(x.shape[1:]), self.sample_shape
        if seen == expected:
            return
        if self.is_flat:
            raise IsthmusError(f"samples have shape {seen}; this network takes shape {expected}")
        if len(seen) != len(expected) or seen[0] != expected[0]:
            raise IsthmusError(
                f"samples have shape {seen}; this network takes {expected[0]} channels and any "
                f"{len(expected) - 1} spatial sizes"
            )


class ConvDecoder(nn.Module):
    """The encoder mirrored: up-sampling stages with an activation between them and none after the last.

    flat code     z (N, latent_dim) ──hidden, linear──▶ (N, channels[-1], *S') ──stages──▶ (N, C, *S)
    spatial code  z (N, latent_channels, *S') ──1×1 convolution──▶ (N, channels[-1], *S') ──stages──▶ (N, C, *S)
    """

    waves: Tensor | None

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        d = len(spec.sample_shape) - 1
        widths = (*reversed(spec.channels), spec.sample_shape[0])
        up = upsamplings[spec.upsample]
        self.factor = spec.factor
        self.spatial, self.coarsest = spec.sample_shape[1:], spec.spatial_sizes[-1]
        self.is_flat = spec.latent_dim is not None
        self.register_buffer("waves", None if spec.latent_dim is None else directions(spec.latent_dim, spec.waves))
        self.code: nn.Module
        if spec.latent_dim is not None:
            flat = [
                spec.latent_dim + 2 * (spec.waves or 0),
                *reversed(spec.hidden),
                widths[0] * math.prod(self.coarsest),
            ]
            self.code = dense_layers(flat, spec.activation)
        else:
            assert spec.latent_channels is not None
            self.code = Conv(d, spec.latent_channels, widths[0], 1)
        self.activation = activations[spec.activation]()
        self.stages = nn.ModuleList(
            up(d, n_in, n_out, spec.factor, spec.kernel_size) for n_in, n_out in pairwise(widths)
        )
        as_output(self.stages[-1])

    def forward(
        self, z: Tensor, spatial: Sequence[int] | None = None, indices: Sequence[Tensor | None] | None = None
    ) -> Tensor:
        """Decode to the spatial size `spatial`: by default that of the training samples, or what the code implies.

        `indices` are those of the encoder's `with_indices`, in its order.
        """
        x: Tensor = self.code(with_waves(z, self.waves))
        if self.is_flat:
            x = x.unflatten(1, (*self.coarsest, -1)).movedim(-1, 1)  # (N, prod(S') · C') -> (N, C', *S')
        sizes = self._sizes(tuple(x.shape[2:]), spatial)
        backwards = list(reversed(indices)) if indices is not None else [None] * len(self.stages)
        for stage, size, where in zip(self.stages, sizes, backwards, strict=True):
            x = stage(self.activation(x), size, where)  # (N, C, *S) -> (N, C', *size)
        return x

    def _sizes(self, coarsest: tuple[int, ...], spatial: Sequence[int] | None) -> list[tuple[int, ...]]:
        """The spatial size after each stage."""
        if spatial is None:
            full = tuple(n * self.factor ** len(self.stages) for n in coarsest)
            spatial = self.spatial if coarsest == self.coarsest else full
        return spatial_sizes(tuple(spatial), len(self.stages), self.factor)[-2::-1]
