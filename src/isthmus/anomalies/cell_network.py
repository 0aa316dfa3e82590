"""The network that gives back rows whose cells were hidden or moved: several members, trained together."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks.members import Members

_GAIN = 1.4  # keeps the variance through SiLU, roughly


class CellNetwork(nn.Module):
    """What the cells of a row should be, given those that are seen and how much noise they hold.

        features, marks of the seen, level of noise ──▶ two hidden layers ──▶ + a linear map of these ──▶ outputs

    There is no narrow code: what keeps it from copying is noise and cells that are hidden (Alain and Bengio 2014, "What
    regularized auto-encoders learn from the data-generating distribution"). Each member has its own weights.

    owner : the column of each feature, (width,).
    """

    owner: Tensor

    def __init__(self, owner: Tensor, members: int, hidden: int) -> None:
        super().__init__()
        self.members = members
        self.register_buffer("owner", owner)
        width, columns = len(owner), int(owner.max()) + 1
        n_in = width + columns + 2
        self.first = Members(members, n_in, hidden, _GAIN)
        self.second = Members(members, hidden, hidden, _GAIN)
        self.last = Members(members, hidden, width)
        self.linear = Members(members, n_in, width, 0.0)

    def forward(self, x: Tensor, seen: Tensor, level: Tensor) -> Tensor:
        """Outputs (members, n, width).

        x : features, (n, width) or (members, n, width). seen : which cells are, (n, columns) or (members, n, columns).
        level : standard deviation of the noise in x, (n, 1) or (members, n, 1).
        """
        n = x.shape[-2]
        visible = (x * seen[..., self.owner]).expand(self.members, n, -1)
        levels = torch.cat([level, (level + 0.05).log()], -1).expand(self.members, n, -1)
        given = torch.cat([visible, seen.to(x.dtype).expand(self.members, n, -1), levels], -1)
        h = F.silu(self.second(F.silu(self.first(given))))
        out: Tensor = self.last(h) + self.linear(given)
        return out
