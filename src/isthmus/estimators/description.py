"""A trained encoder and decoder in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isthmus.data.scaling import OWN_UNITS, Scaler
from isthmus.networks import AutoEncoderNetwork
from isthmus.spec import NetworkSpec, TrainingSpec
from isthmus.words import count

_SHOWN = 6  # ranges of channels


def description(
    network: AutoEncoderNetwork,
    spec: NetworkSpec | None,
    training: TrainingSpec | None,
    scaler: Scaler,
    code_shape: Sequence[int],
) -> dict[str, str]:
    """Rows of a table: what goes in, the layers, the code, and what was minimised.

    spec : None for modules of the user's own.
    """
    signals = "signals of " if not scaler.flat and len(scaler.network_shape) == 2 else ""
    rows = {
        "samples": f"{signals}{' × '.join(map(str, scaler.sample_shape))}, {scaler.dtype}, scaling {_scaling(scaler)}"
    }
    if spec is None:
        rows["network"] = "modules of your own"
    else:
        rows["network"] = f"{_layers(spec)}, {spec.activation}"
        if spec.network == "conv":
            rows["sampling"] = f"down {spec.downsample}, up {spec.upsample}, factor {spec.factor}"
        if spec.remembered is not None and spec.projection is not None:
            rows["encoder"] = (
                f"the {spec.voters} nearest of {spec.remembered:,} samples, which the model keeps as {spec.projection} "
                f"numbers each ({4e-3 * spec.remembered * spec.projection:,.0f} kB)"
            )
    bottleneck = type(network.bottleneck).__name__.lower() if spec is None else spec.bottleneck
    code = " × ".join(map(str, code_shape))
    rows["code"] = f"{code} ({count(math.prod(code_shape), 'number')}), {bottleneck} bottleneck"
    rows["parameters"] = f"{sum(p.numel() for p in network.parameters()):,}"
    if training is not None:
        rows["objective"] = " + ".join(f"{w:g} {n}" if w != 1 else n for n, w in training.objective.items())
        if training.corruption:
            rows["corruption"] = training.corruption
        if training.consistency:
            rows["consistency"] = training.consistency
    return rows


def _scaling(scaler: Scaler) -> str:
    """As in "'range' from 0 to 255"; of channels that are in units of their own the ranges of the first."""
    if scaler.kind != "range":
        return repr(scaler.kind)
    ranges = [f"{low:g} to {low + span:g}" for low, span in zip(scaler.zero.flat, scaler.scale.flat, strict=True)]
    if len(ranges) == 1:
        return f"'range' from {ranges[0]}"
    listed = ", ".join(ranges[:_SHOWN]) + (", ..." if len(ranges) > _SHOWN else "")
    return f"'range', each channel by its own since all span over {OWN_UNITS} times what one does: {listed}"


def _layers(spec: NetworkSpec) -> str:
    """Widths from the input to the code, as in "convolutional 32-64-128, fully connected 128-64"."""
    parts = {"convolutional": spec.channels, "fully connected": spec.hidden}
    return ", ".join(f"{kind} {'-'.join(map(str, widths))}" for kind, widths in parts.items() if widths) or "linear"
