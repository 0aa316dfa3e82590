"""The layers of `exact.Layer`, many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.compiled.products import LANES, ROWS, one_column, three_columns
from isthmus.compression.coding.exact import Layer

_LEAST, _MOST, _HIDDEN = np.float32(-32767), np.float32(32767), np.float32(255)


class Network(NamedTuple):
    """Chains of layers, one after the other.

    weights : int16, for each layer (inputs / 2, outputs, 2), filled up with zeros to an even number of inputs and to a
    multiple of 16 outputs. scales, biases : float32. layers : int64 (n, 5), inputs and outputs, the true number of
    outputs, where its weights begin, where its biases do. ends : int64, where each chain ends in `layers`.
    """

    weights: np.ndarray
    scales: np.ndarray
    biases: np.ndarray
    layers: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, chains: Sequence[Sequence[Layer]], *, branches: bool = False) -> Network:
        """Chains of layers. branches : whether all chains but the first begin where that one ends."""
        weights, scales, biases, layers, at, bias_at, end = [], [], [], [], 0, 0, 0
        for number, chain in enumerate(chains):
            inputs = end if number and branches else len(chain[0].weight) + len(chain[0].weight) % 2
            for layer in chain:
                true = layer.weight.shape[1]
                outputs = -(-true // LANES) * LANES
                padded = np.zeros((inputs, outputs), np.int16)
                padded[: len(layer.weight), :true] = layer.weight
                weights.append(padded.reshape(inputs // 2, 2, outputs).swapaxes(1, 2).ravel())
                scales.append(np.pad(layer.scale, (0, outputs - true)))
                biases.append(np.pad(layer.bias, (0, outputs - true)))
                layers.append((inputs, outputs, true, at, bias_at))
                at, bias_at, inputs = at + padded.size, bias_at + outputs, outputs
            end = end if branches and number else inputs
        ends = np.cumsum([len(chain) for chain in chains])
        numbers = np.concatenate(weights), np.concatenate(scales), np.concatenate(biases)
        return cls(*numbers, np.array(layers, np.int64), ends.astype(np.int64))

    def room(self, rows: int) -> np.ndarray:
        """Room for the inputs and for the outputs of some rows, int16 (2, size)."""
        return np.zeros((2, (rows + ROWS) * int(self.layers[:, :2].max())), np.int16)


@compiled
def row_of(room: np.ndarray, side: int, row: int, width: int) -> np.ndarray:
    """A row of what goes into a layer, or comes out."""
    return room[side, row * width : (row + 1) * width]


@compiled
def run_layer(
    network: Network,
    number: int,
    n: int,
    room: np.ndarray,
    side: int,
    hidden: bool,
    extra: np.ndarray,
    rows: np.ndarray,
) -> None:
    """n rows in `room[side]` through one layer to `room[1 - side]`.

    extra : float32 (m, outputs), whose row `rows[i]` is added to the bias for row i; m is 0 where there is none.
    """
    inputs, outputs, true, at, bias_at = network.layers[number]
    sums = np.empty(ROWS * outputs, np.int32)
    scale, bias = network.scales[bias_at : bias_at + outputs], network.biases[bias_at : bias_at + outputs]
    low, high = (np.float32(0), _HIDDEN) if hidden else (_LEAST, _MOST)
    for first in range(0, n, ROWS):
        column = 0
        while column < outputs:
            if column + 3 * LANES <= outputs:
                three_columns(
                    room[side], first * inputs, inputs // 2, network.weights, at + 2 * column, outputs, sums, column
                )
                column += 3 * LANES
            else:
                one_column(
                    room[side], first * inputs, inputs // 2, network.weights, at + 2 * column, outputs, sums, column
                )
                column += LANES
        for i in range(first, min(first + ROWS, n)):
            row, total = row_of(room, 1 - side, i, outputs), sums[(i - first) * outputs : (i - first + 1) * outputs]
            if len(extra):
                more = extra[rows[i]]
                for j in range(true):
                    row[j] = np.int16(min(max(np.rint(np.float32(total[j]) * scale[j] + bias[j] + more[j]), low), high))
            else:
                for j in range(true):
                    row[j] = np.int16(min(max(np.rint(np.float32(total[j]) * scale[j] + bias[j]), low), high))


@compiled
def run_chain(network: Network, number: int, n: int, room: np.ndarray) -> tuple[int, int]:
    """n rows in `room[0]` through a chain: the side where the outputs are, and how far apart their rows are."""
    side, nothing, none = 0, np.empty((0, 0), np.float32), np.empty(0, np.int64)
    first, end = (network.ends[number - 1] if number else 0), network.ends[number]
    for layer in range(first, end):
        run_layer(network, layer, n, room, side, layer < end - 1, nothing, none)
        side = 1 - side
    return side, network.layers[end - 1, 1]
