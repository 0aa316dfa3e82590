"""The question by which codes learn what belongs together, put to the whole batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.share import share_of, whole


def contrast(
    first: Tensor, second: Tensor, similarity: Callable[[Tensor, Tensor], Tensor], generator: torch.Generator
) -> Tensor:
    """The cross-entropy of which `second` belongs to each `first`, and the other way round; row i of both are a pair.

    first, second : codes (n, d). similarity : of each of n codes to each of m others, (n, m) logits. With several
    processes each asks for the codes it holds among those of all.

    >>> import torch
    >>> codes = torch.eye(4)
    >>> round(float(contrast(codes, codes, lambda a, b: a @ b.T, torch.Generator())), 4)
    0.7437
    """
    share, pairs = share_of(generator), torch.arange(len(first), device=first.device)
    if share is None:
        logits = similarity(first, second)
        return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
    pairs += share.first
    all_first, all_second = whole(torch.cat([first, second], 1), generator).chunk(2, 1)
    forth, back = similarity(first, all_second), similarity(second, all_first)
    return (F.cross_entropy(forth, pairs) + F.cross_entropy(back, pairs)) / 2
