"""What can be done in the space of codes of any auto-encoder that is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.errors import IsthmusError, unknown_name
from isthmus.networks import geodesic
from isthmus.spec import is_integer

if TYPE_CHECKING:
    import torch

    from isthmus.data.scaling import Scaler
    from isthmus.networks import AutoEncoderNetwork

PATHS = ("straight", "spherical", "geodesic")


@dataclass(frozen=True)
class LatentPath:
    """Codes on a way, and what the decoder makes of them. As a NumPy array it is its codes.

    codes : float32 array of shape (steps, *code_shape). samples : array of shape (steps, *sample_shape).
    length : of the way as the decoder sees it, the sum of the Euclidean distances between decoded samples that follow
    one another, in scaled units.
    """

    codes: np.ndarray
    samples: np.ndarray
    length: float

    def __len__(self) -> int:
        return len(self.codes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.codes, dtype=dtype, copy=copy)


class LatentSpace:
    """What `Coder` can do with codes. Everything here takes codes as `transform` gives them, unless it says samples."""

    code_shape_: tuple[int, ...]
    network_: AutoEncoderNetwork
    scaler_: Scaler

    if TYPE_CHECKING:

        def _place(self) -> torch.device: ...
        def decode(self, Z: Any) -> np.ndarray: ...

    def interpolate(self, start: Any, end: Any, steps: int = 16, path: str = "straight") -> LatentPath:
        """The way from one code to another, both with it, and the samples on it.

        To go from sample to sample: `model.interpolate(*model.transform(X[:2]))`.

        start, end : codes of shape code_shape, (latent_dim,) unless the code is spatial.
        steps : codes on the way, at least 2.
        path : "straight"; "spherical", about the origin, for codes drawn to a normal distribution (White 2016); or
            "geodesic", along which the decoded samples change least (Shao et al. 2018), at equal steps of that change.

        Raises IsthmusError for codes of another shape or that are not finite, for too few steps and unknown paths.
        """
        check_is_fitted(self)
        if path not in PATHS:
            raise unknown_name("path", path, PATHS)
        if not is_integer(steps) or steps < 2:
            raise IsthmusError(f"steps (={steps!r}) must be an integer of at least 2: a way has a start and an end")
        ends = self._one_code(start, "start"), self._one_code(end, "end")
        if path == "geodesic":
            codes = geodesic.geodesic(*ends, steps, self._decoder())
        else:
            codes = (geodesic.straight if path == "straight" else geodesic.spherical)(*ends, steps)
        return self._path(codes)

    def _path(self, codes: np.ndarray) -> LatentPath:
        length = float(geodesic.decoded_steps(codes, self._decoder()).sum())
        shaped = codes.reshape(len(codes), *self.code_shape_)
        return LatentPath(shaped, self.decode(shaped), length)

    def _one_code(self, code: Any, name: str) -> np.ndarray:
        """A code as a row of numbers."""
        code = np.asarray(code, np.float32)
        if code.shape != self.code_shape_:
            raise IsthmusError(
                f"{name} has shape {code.shape}; one code of this model has shape {self.code_shape_}: encode samples "
                f"with transform first"
            )
        if not np.isfinite(code).all():
            raise IsthmusError(f"{name} contains NaN or infinity; give a code of finite numbers")
        return code.ravel()

    def _decoder(self) -> geodesic.Decode:
        """From rows of numbers to decoded samples in scaled units, with gradients."""
        device = self._place()
        self.network_.eval()

        def decode(codes: Tensor) -> Tensor:
            z = codes.to(device).reshape(len(codes), *self.code_shape_).movedim(-1, 1)
            return self.network_.decode(z).float()

        return decode
