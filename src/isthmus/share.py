"""The part of a batch that this process holds, and what belongs to the batch as a whole: random numbers, sums, codes.

Several processes that train together take a share of every batch each (`isthmus.training.distributed`). A loss that is
a mean over samples needs none of this: the training loop weights it. A task that draws random numbers, that divides by
a count, or that compares the samples of a batch asks here, and computes what one process with the whole batch would:

    drawn(torch.rand, x.shape, generator)    what the whole batch draws, of which a share is kept
    ratio(total, count, generator)           a sum over the batch divided by another one
    whole(z, generator)                      the samples of all processes, with gradients

The generator carries the share. With any other generator, or none, there is one process, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Generator, Tensor

from isthmus.errors import LostProcessError


@dataclass(frozen=True)
class Share:
    """Samples number `first` to `last` - 1 of a batch of `count`; other processes hold the others."""

    first: int
    last: int
    count: int

    @classmethod
    def of(cls, count: int, rank: int, size: int) -> Share:
        """What process `rank` of `size` holds of a batch: shares differ by at most one sample.

        >>> [Share.of(10, rank, 4).samples for rank in range(4)]
        [2, 3, 2, 3]
        """
        return cls(rank * count // size, (rank + 1) * count // size, count)

    @property
    def samples(self) -> int:
        """How many samples are here."""
        return self.last - self.first

    @property
    def weight(self) -> float:
        """The share as a fraction of the batch: what the mean over its samples counts."""
        return self.samples / self.count


class BatchGenerator(Generator):
    """Random numbers of a whole batch, and the share of it that is here; None: all of it."""

    share: Share | None = None


def share_of(generator: Generator | None) -> Share | None:
    """The share that a generator carries; None where the whole batch is here."""
    return getattr(generator, "share", None)


def drawn(
    draw: Callable[..., Tensor], shape: Sequence[int], generator: Generator | None, *, axis: int = 0, **options: Any
) -> Tensor:
    """Random numbers for the samples that are here, the same that they get where the whole batch is.

    draw : as torch.rand, called with a shape, the generator and the options. axis : of the samples; it may hold the
    share several times over, and the batch then is drawn as often.

    >>> one, part = torch.Generator().manual_seed(0), BatchGenerator().manual_seed(0)
    >>> part.share = Share(first=2, last=3, count=4)
    >>> bool((drawn(torch.rand, (1, 5), part) == drawn(torch.rand, (4, 5), one)[2:3]).all())
    True
    """
    share = share_of(generator)
    if share is None:
        return draw(shape, generator=generator, **options)
    times = shape[axis] // share.samples
    numbers = draw((*shape[:axis], times * share.count, *shape[axis + 1 :]), generator=generator, **options)
    blocks: Tensor = numbers.unflatten(axis, (times, share.count))
    here: Tensor = blocks.narrow(axis + 1, share.first, share.samples).flatten(axis, axis + 1)
    return here


def ratio(total: Tensor, count: Tensor | float, generator: Generator | None) -> Tensor:
    """A sum over the samples divided by a sum over the samples of all processes, at least 1, as a loss.

    It is scaled so that the mean over the processes, each weighted by its share, is the ratio of the whole batch.
    """
    share = share_of(generator)
    if share is None:
        return total / count
    everywhere = added(torch.as_tensor(count, dtype=torch.float64, device=total.device).clone())
    return total / everywhere.clamp(min=1).to(total.dtype) / share.weight


def mean(x: Tensor, generator: Generator | None) -> Tensor:
    """The mean over the samples of all processes; no gradient reaches the others."""
    share = share_of(generator)
    return x.mean() if share is None else added(x.detach().mean() * share.weight)


def whole(x: Tensor, generator: Generator | None, axis: int = 0) -> Tensor:
    """The samples of all processes along an axis, in the order of the batch; gradients find their way back."""
    share = share_of(generator)
    if share is None:
        return x
    gathered: Tensor = _Gathered.apply(x, share, axis)  # type: ignore[no-untyped-call]  # torch does not type it
    return gathered


def own(x: Tensor, generator: Generator | None, axis: int = 0) -> Tensor:
    """Of what belongs to the samples of all processes, that of those that are here: the inverse of `whole`."""
    share = share_of(generator)
    return x if share is None else x.narrow(axis, share.first, share.samples)


def before(place: int, generator: Generator | None) -> int:
    """How many of the samples that are here come before number `place` of the whole batch."""
    share = share_of(generator)
    return place if share is None else min(max(place - share.first, 0), share.samples)


def count_of(samples: int, generator: Generator | None) -> int:
    """How many samples the whole batch has; samples : how many are here."""
    share = share_of(generator)
    return samples if share is None else share.count


def added(x: Tensor) -> Tensor:
    """The sum over all processes, in the tensor itself.

    Raises LostProcessError where one of them has died.
    """
    with talking():
        torch.distributed.all_reduce(x)
    return x


@contextmanager
def talking() -> Iterator[None]:
    """A block that sends to other processes: what goes wrong there is that one of them has died."""
    try:
        yield
    except (RuntimeError, ConnectionError) as error:
        raise LostProcessError from error


class _Gathered(torch.autograd.Function):
    """Every process adds its samples to zeros in their place: shares need not have one size, as gathering asks for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: Share, axis: int) -> Tensor:
        ctx.share, ctx.axis = share, axis
        around = [0, 0] * (x.ndim - 1 - axis) + [share.first, share.count - share.last]
        return added(F.pad(x, around))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        everywhere = added(gradient.contiguous().clone())
        return everywhere.narrow(ctx.axis, ctx.share.first, ctx.share.samples), None, None
