"""Strange images and signals: as a whole, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from isthmus.anomalies.image_judge import ImageJudge
from isthmus.anomalies.image_layout import ImageLayout, open_samples
from isthmus.anomalies.image_learning import learn_judges, unet_spec
from isthmus.anomalies.kinds import kind_of_samples
from isthmus.anomalies.scorer import Learned, Parts, Scorer, Settings
from isthmus.data.base import Source
from isthmus.data.tiles import blocks
from isthmus.device import choose_device
from isthmus.errors import IsthmusError
from isthmus.estimators.model_contents import parts_of
from isthmus.networks.unet import UNetSpec
from isthmus.spec import is_real
from isthmus.training.run import Run
from isthmus.typed_json import typed

_UNKNOWN = 0.1  # the share of anomalies that is reckoned with where nobody knows it
_BATCH = 128


class ImageScorer(Scorer):
    """Images, signals and volumes of one size, by what they are as a whole and by their parts; of any size by parts.

    sample ──edges by direction and place──▶ distance to the nearest that were learned from ──┐
       └──hidden cells ──network──▶ guesses ──▶ error of each value: the heat map ──largest───┴─▶ strangeness
    """

    kind = "images"

    def __init__(self, layout: ImageLayout, spec: UNetSpec, judges: Sequence[ImageJudge], device: Any) -> None:
        self.layout, self.spec, self.judges, self._device = layout, spec, list(judges), device

    @classmethod
    def opened(cls, X: Any, detector: Settings) -> Source:
        return open_samples(X)

    @classmethod
    def learn(cls, run: Run, samples: Source, detector: Settings) -> Learned:
        layout, arrays = ImageLayout.of(samples, kind_of_samples(samples, detector.kind), run.seed)
        if len(arrays) < 2:
            raise IsthmusError(f"{samples.name} holds 1 sample; at least 2 are needed: one judges the others")
        share: Any = detector.contamination
        contaminated = float(share) if is_real(share) else 0.0 if share is None else _UNKNOWN
        judges, scores, groups, trained = learn_judges(run, arrays, layout, contaminated)
        scorer = cls(layout, unet_spec(arrays, layout), judges, detector.device)
        return Learned(scorer, np.concatenate(scores), np.concatenate(groups), trained)

    def open(self, X: Any, detector: Settings) -> Source:
        self._device = detector.device
        return self.layout.open(X)

    def strangeness(self, samples: Source) -> np.ndarray:
        found = [
            torch.stack([judge.strangeness(part) for judge in self._placed()]).cpu().numpy()
            for _, part in self._batches(samples)
        ]
        return np.concatenate(found, 1)

    def parts(self, samples: Source) -> Parts:
        heats, expected = [], []
        for block, x in self._batches(samples):
            heat, guess = (sum(both) / len(both) for both in zip(*(j.heat(x) for j in self._placed()), strict=True))
            expected.append(self.layout.from_network(guess, block))
            heats.append(self.layout.of_parts(heat, block))
        if samples.uniform:
            return Parts(np.concatenate(heats), np.concatenate(expected))
        return Parts([heat[0] for heat in heats], [sample[0] for sample in expected])

    def _batches(self, samples: Source) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Blocks of samples as they came, and as tensors where the networks are."""
        device = choose_device(self._device)
        for block in blocks(samples):
            for start in range(0, len(block), _BATCH):
                part = block[start : start + _BATCH]
                yield part, self.layout.to_network(part).to(device)

    def _placed(self) -> list[ImageJudge]:
        device = choose_device(self._device)
        self.judges = [judge.to(device) for judge in self.judges]
        return self.judges

    def to_dict(self) -> dict[str, Any]:
        return {"layout": self.layout.to_dict(), "network": self.spec.to_dict(), "judges": len(self.judges)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {f"{i}.{name}": array for i, judge in enumerate(self.judges) for name, array in judge.arrays().items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ImageScorer:
        spec, layout = UNetSpec.from_dict(values["network"]), ImageLayout.from_dict(values["layout"])
        numbers = {name.partition(".")[0] for name in arrays}
        count = typed(values["judges"], int, "judges")
        asked = (layout.num_spatial_dims, layout.channels, layout.channels)
        if (spec.num_spatial_dims, spec.in_channels, spec.out_channels) != asked:
            raise IsthmusError(f"a network of {spec.num_spatial_dims} dimensions does not fit samples of {asked[0]}")
        if not 0 < count == len(numbers):
            raise IsthmusError(f"the settings ask for {count} networks, and the weights hold {len(numbers)}")
        parts = parts_of(arrays, *map(str, range(count)))
        return cls(layout, spec, [ImageJudge.of_arrays(spec, own) for own in parts.values()], "auto")

    def describe(self) -> dict[str, str]:
        shape = self.layout.shape
        size = "of any size" if shape is None else " × ".join(map(str, shape))
        parameters = f"{len(self.judges)} of {self.judges[0].network.num_parameters:,} parameters"
        return {"samples": f"{size}, {self.layout.units}", "networks": parameters}
