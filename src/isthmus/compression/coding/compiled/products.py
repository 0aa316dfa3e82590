"""Products of whole numbers, 16 outputs at a time.

Numba does not make the instruction that multiplies 16-bit numbers and adds neighbouring products (x86: vpmaddwd,
vpdpwssd) from loops. It does from the vectors that are written down here, which are portable all the same: where there
is no such instruction, LLVM makes others of them, with the same results.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16  # outputs that are computed together
ROWS = 4  # inputs that share what is loaded of the weights

_INT16, _INT32, _INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_PAIRS, _WIDE = ir.VectorType(_INT16, 2 * LANES), ir.VectorType(_INT32, 2 * LANES)
_SUMS = ir.VectorType(_INT32, LANES)


def _tile(columns: int) -> Any:
    """ROWS rows of x times 16 · columns outputs of a matrix, to sums.

    Called with x int16 and where its first row begins, the pairs of inputs in a row, weights int16 and where those of
    the first output begin, the outputs of the whole matrix, and sums int32 (ROWS · outputs) and where to begin in each
    row.
    """

    @intrinsic
    def tile(
        typing: Any, x: Any, x_at: Any, pairs: Any, weights: Any, weights_at: Any, outputs: Any, sums: Any, at: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arrays = [
                context.make_array(signature.args[i])(context, builder, args[i]).data if i in (0, 3, 6) else args[i]
                for i in range(len(args))
            ]
            _loop(builder, columns, *arrays)
            return context.get_dummy_value()

        return types.void(x, types.int64, types.int64, weights, types.int64, types.int64, sums, types.int64), generate

    return tile


def _loop(
    b: Any, columns: int, x: Any, x_at: Any, pairs: Any, weights: Any, weights_at: Any, outputs: Any, sums: Any, at: Any
) -> None:
    """The loop over pairs of inputs, with all sums in registers."""
    before, loop, after = b.block, b.append_basic_block("pairs"), b.append_basic_block("sums")
    b.branch(loop)
    b.position_at_end(loop)
    k = b.phi(_INT64)
    totals = [[b.phi(_SUMS) for _ in range(columns)] for _ in range(ROWS)]
    start = b.add(weights_at, b.mul(b.mul(k, outputs), _INT64(2)))
    loaded = [_load(b, weights, b.add(start, _INT64(2 * LANES * c)), _PAIRS) for c in range(columns)]
    following = []
    for r, row in enumerate(totals):
        place = b.add(x_at, b.mul(_INT64(2), b.add(k, b.mul(_INT64(r), pairs))))
        pair = _everywhere(b, _load(b, x, place, _INT32))
        following.append([b.add(total, _paired(b, pair, weight)) for total, weight in zip(row, loaded, strict=True)])
    k.add_incoming(_INT64(0), before)
    k.add_incoming(after_k := b.add(k, _INT64(1)), loop)
    for row, next_row in zip(totals, following, strict=True):
        for total, value in zip(row, next_row, strict=True):
            total.add_incoming(ir.Constant(_SUMS, [0] * LANES), before)
            total.add_incoming(value, loop)
    b.cbranch(b.icmp_signed("<", after_k, pairs), loop, after)
    b.position_at_end(after)
    for r, next_row in enumerate(following):
        for c, value in enumerate(next_row):
            place = b.add(b.add(at, b.mul(_INT64(r), outputs)), _INT64(LANES * c))
            b.store(value, b.bitcast(b.gep(sums, [place]), ir.PointerType(_SUMS))).align = 4


def _load(b: Any, array: Any, at: Any, kind: Any) -> Any:
    value = b.load(b.bitcast(b.gep(array, [at]), ir.PointerType(kind)))
    value.align = 2
    return value


def _everywhere(b: Any, pair: Any) -> Any:
    """Two 16-bit numbers in all lanes."""
    nothing = ir.Constant(_SUMS, ir.Undefined)
    first = b.insert_element(nothing, pair, _INT32(0))
    return b.bitcast(b.shuffle_vector(first, nothing, ir.Constant(_SUMS, [0] * LANES)), _PAIRS)


def _paired(b: Any, x: Any, weights: Any) -> Any:
    """Products of 16-bit numbers, each added to its neighbour's."""
    products, nothing = b.mul(b.sext(x, _WIDE), b.sext(weights, _WIDE)), ir.Constant(_WIDE, ir.Undefined)
    halves = [b.shuffle_vector(products, nothing, ir.Constant(_SUMS, list(range(i, 2 * LANES, 2)))) for i in (0, 1)]
    return b.add(*halves)


one_column, three_columns = _tile(1), _tile(3)
