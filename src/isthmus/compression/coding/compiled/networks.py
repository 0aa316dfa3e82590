"""The layers of `exact.Layer`, many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.compiled.products import LANES, QUAD, ROWS, WIDE, four_columns, one_column, two_columns
from isthmus.compression.coding.exact import Layer

SPARE = 64  # bytes after all features: whoever makes them may write a few too many


class Network(NamedTuple):
    """Chains of layers, one after the other.

    weights : int8, for each layer (inputs / 4, outputs, 4), filled up with zeros to multiples of 4 inputs and of 16
    outputs. starts : int32, what sums begin with. scales, biases : float32. layers : int64 (n, 5), inputs and outputs,
    the true number of outputs, where its weights begin, where its biases do. ends : int64, where each chain ends in
    `layers`. nothing : float32 zeros, for layers to which nothing is added.
    """

    weights: np.ndarray
    starts: np.ndarray
    scales: np.ndarray
    biases: np.ndarray
    layers: np.ndarray
    ends: np.ndarray
    nothing: np.ndarray

    @classmethod
    def of(
        cls, chains: Sequence[Sequence[Layer]], *, branches: bool = False, zero: int = 0, bytes_each: int = 1
    ) -> Network:
        """Chains of layers. branches : whether all chains but the first begin where that one ends.

        zero : added to whatever goes into a chain, which makes it unsigned. bytes_each : of an input; it is the sum of
        as many bytes, the second ones after all first ones.
        """
        weights, numbers, layers, at, bias_at, end = [], [], [], 0, 0, 0
        for number, chain in enumerate(chains):
            inputs = end if number and branches else -(-len(chain[0].weight) * bytes_each // QUAD) * QUAD
            for layer in chain:
                entry = layer is chain[0] and not (number and branches)
                weight = np.concatenate([layer.weight] * bytes_each) if entry else layer.weight
                true = weight.shape[1]
                outputs = -(-true // LANES) * LANES
                padded = np.zeros((inputs, outputs), np.int8)
                padded[: len(weight), :true] = weight
                weights.append(padded.reshape(inputs // QUAD, QUAD, outputs).swapaxes(1, 2).ravel())
                starts = -zero * layer.weight.sum(0, dtype=np.int32) if entry else np.zeros(true, np.int32)
                numbers.append([np.pad(row, (0, outputs - true)) for row in (starts, layer.scale, layer.bias)])
                layers.append((inputs, outputs, true, at, bias_at))
                at, bias_at, inputs = at + padded.size, bias_at + outputs, outputs
            end = end if branches and number else inputs
        ends = np.cumsum([len(chain) for chain in chains]).astype(np.int64)
        starts, scales, biases = (np.concatenate(rows) for rows in zip(*numbers, strict=True))
        shapes = np.array(layers, np.int64)
        nothing = np.zeros((1, shapes[:, 1].max()), np.float32)
        return cls(np.concatenate(weights), starts, scales, biases, shapes, ends, nothing)

    def room(self, rows: int) -> Room:
        """Room for some rows of inputs and outputs."""
        (most_inputs, most_outputs), rows = self.layers[:, :2].max(0).tolist(), rows + ROWS
        features, hidden = np.zeros(rows * most_inputs + SPARE, np.uint8), np.zeros((2, rows * most_outputs), np.uint8)
        return Room(features, hidden, np.zeros(rows * most_outputs, np.int16), np.zeros(rows, np.int64))


class Room(NamedTuple):
    """Room for rows of numbers.

    features : uint8 (size,), what goes into a chain; SPARE more may be written to. hidden : uint8 (2, size), what
    hidden layers give. outputs : int16 (size,), what last layers give. none : int64 zeros (rows,), for layers to which
    nothing is added.
    """

    features: np.ndarray
    hidden: np.ndarray
    outputs: np.ndarray
    none: np.ndarray


@compiled
def run_layer(
    network: Network, number: int, n: int, x: np.ndarray, y: np.ndarray, extra: np.ndarray, rows: np.ndarray
) -> None:
    """n rows of x, uint8, through one layer to those of y: uint8 of a hidden layer, int16 of a last one.

    extra : float32 (m, outputs), whose row `rows[i]` is added to the bias for row i; `rows` is longer than n by ROWS.
    """
    inputs, outputs, _, at, bias_at = network.layers[number]
    quads, column = inputs // QUAD, 0
    while column < outputs:  # all rows for some outputs: weights of these stay in the first cache
        weights_at, numbers_at, missing = at + QUAD * column, bias_at + column, (outputs - column) // LANES
        wide = 4 if WIDE and missing >= 4 else (2 if WIDE and missing >= 2 else 1)
        for first in range(0, n, ROWS):
            if WIDE and wide == 4:
                four_columns(
                    x, first * inputs, quads, network.weights, weights_at, outputs, network.starts,
                    network.scales, network.biases, numbers_at, extra, rows, first, y, column,
                )  # fmt: skip
            elif WIDE and wide == 2:
                two_columns(
                    x, first * inputs, quads, network.weights, weights_at, outputs, network.starts,
                    network.scales, network.biases, numbers_at, extra, rows, first, y, column,
                )  # fmt: skip
            else:
                one_column(
                    x, first * inputs, quads, network.weights, weights_at, outputs, network.starts,
                    network.scales, network.biases, numbers_at, extra, rows, first, y, column,
                )  # fmt: skip
        column += wide * LANES


@compiled
def run_chain(network: Network, number: int, n: int, room: Room) -> int:
    """n rows of `room.features` through a chain to `room.outputs`; how far apart their rows are there."""
    x, side = room.features, 0
    first, end = (network.ends[number - 1] if number else 0), network.ends[number]
    for layer in range(first, end - 1):
        run_layer(network, layer, n, x, room.hidden[side], network.nothing, room.none)
        x, side = room.hidden[side], 1 - side
    run_layer(network, end - 1, n, x, room.outputs, network.nothing, room.none)
    apart: int = network.layers[end - 1, 1]
    return apart
