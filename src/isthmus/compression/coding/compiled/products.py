"""Layers of whole numbers, 16 outputs at a time.

Numba does not make the instruction that multiplies bytes and adds four products (x86: vpdpbusd) from loops, nor keeps
sums in registers until they are rounded. It does from the vectors that are written down here. They are portable: where
there is no such instruction, bytes become pairs of 16-bit numbers, with the same results.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

LANES = 16  # outputs that are computed together
ROWS = 4  # inputs that share what is loaded of the weights
QUAD = 4  # inputs whose products are added at once

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")  # of the processor that is compiled for
WIDE = "+avx512f" in _FEATURES  # whether registers hold the sums of several times as many outputs

_INT8, _INT16, _INT32, _INT64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES, _PAIRS = ir.VectorType(_INT8, QUAD * LANES), ir.VectorType(_INT16, 2 * LANES)
_WIDE, _SUMS = ir.VectorType(_INT32, 2 * LANES), ir.VectorType(_INT32, LANES)
_LANES_OF_BYTES = ir.VectorType(_INT8, LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_LIMITS = {8: (0, 255), 16: (-32767, 32767)}  # of outputs of so many bits: see `exact.Layer`


class _Tile(NamedTuple):
    """The arguments of a tile, as LLVM's values: pointers to the first element, and whole numbers."""

    x: Any
    x_at: Any
    quads: Any
    weights: Any
    weights_at: Any
    outputs: Any
    starts: Any
    scales: Any
    biases: Any
    at: Any
    extra: Any
    rows: Any
    first: Any
    y: Any
    column: Any


def _tile(columns: int) -> Any:
    """ROWS rows of x through 16 · columns outputs of a layer, to y.

    Called with x uint8 and where its first row begins, how many times four inputs a row has, weights int8 and where
    those of the first output begin, the outputs of the whole layer, int32 that sums start at, scales and biases float32
    and where those of the first output are, float32 (m, outputs) that are added besides and which of them for each row
    from a number on, y uint8 or int16 (..., outputs), and the first output.
    """

    @intrinsic
    def tile(
        typing: Any, x: Any, x_at: Any, quads: Any, weights: Any, weights_at: Any, outputs: Any, starts: Any,
        scales: Any, biases: Any, at: Any, extra: Any, rows: Any, first: Any, y: Any, column: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            values = [
                _pointer(context, builder, signature, args, i) if isinstance(kind, types.Array) else args[i]
                for i, kind in enumerate(signature.args)
            ]
            _loop(builder, columns, _Tile(*values), y.dtype.bitwidth)
            return context.get_dummy_value()

        number = types.int64
        return types.void(
            x, number, number, weights, number, number, starts, scales, biases, number, extra, rows, number, y, number
        ), generate

    return tile


def _loop(b: Any, columns: int, t: _Tile, bits: int) -> None:
    """The loop over inputs, with all sums in registers, and what becomes of the sums."""
    before, loop, after = b.block, b.append_basic_block("inputs"), b.append_basic_block("sums")
    places = [b.add(t.at, _INT64(LANES * c)) for c in range(columns)]
    starts = [_load(b, t.starts, place, _SUMS) for place in places]
    b.branch(loop)
    b.position_at_end(loop)
    k = b.phi(_INT64)
    totals = [[b.phi(_SUMS) for _ in range(columns)] for _ in range(ROWS)]
    start = b.add(t.weights_at, b.mul(b.mul(k, t.outputs), _INT64(QUAD)))
    loaded = [_load(b, t.weights, b.add(start, _INT64(QUAD * LANES * c)), _BYTES) for c in range(columns)]
    following = []
    for r, row in enumerate(totals):
        place = b.add(t.x_at, b.mul(_INT64(QUAD), b.add(k, b.mul(_INT64(r), t.quads))))
        four, add = _load(b, t.x, place, _INT32), _dot if "+avx512vnni" in _FEATURES else _portable_dot
        following.append([add(b, total, four, weight) for total, weight in zip(row, loaded, strict=True)])
    k.add_incoming(_INT64(0), before)
    k.add_incoming(after_k := b.add(k, _INT64(1)), loop)
    for row, next_row in zip(totals, following, strict=True):
        for total, value, first in zip(row, next_row, starts, strict=True):
            total.add_incoming(first, before)
            total.add_incoming(value, loop)
    b.cbranch(b.icmp_signed("<", after_k, t.quads), loop, after)
    b.position_at_end(after)
    factors = [(_load(b, t.scales, place, _FLOATS), _load(b, t.biases, place, _FLOATS)) for place in places]
    for r, sums in enumerate(following):
        row_number = b.add(t.first, _INT64(r))
        more_at = b.add(b.mul(b.load(b.gep(t.rows, [row_number])), t.outputs), t.column)
        to = b.add(b.mul(row_number, t.outputs), t.column)
        for c, (total, (scale, bias)) in enumerate(zip(sums, factors, strict=True)):
            more = _load(b, t.extra, b.add(more_at, _INT64(LANES * c)), _FLOATS)
            value = _rounded(b, b.fadd(b.fadd(b.fmul(b.sitofp(total, _FLOATS), scale), bias), more), bits)
            _store(b, value, t.y, b.add(to, _INT64(LANES * c)))


def _rounded(b: Any, value: Any, bits: int) -> Any:
    """Floats as whole numbers of so many bits, cut off where these end."""
    value = b.call(_function(b, f"llvm.rint.v{LANES}f32", _FLOATS, [_FLOATS]), [value])
    low, high = (ir.Constant(_FLOATS, [float(limit)] * LANES) for limit in _LIMITS[bits])
    value = b.select(b.fcmp_ordered(">", value, low), value, low)
    value = b.select(b.fcmp_ordered("<", value, high), value, high)
    return b.trunc(b.fptosi(value, _SUMS), ir.VectorType(ir.IntType(bits), LANES))


def _dot(b: Any, total: Any, four: Any, weights: Any) -> Any:
    """The sums, with the products of four unsigned bytes and those of `weights` for each."""
    dot = _function(b, "llvm.x86.avx512.vpdpbusd.512", _SUMS, [_SUMS] * 3)
    return b.call(dot, [total, _everywhere(b, four), b.bitcast(weights, _SUMS)])


def _function(b: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """An instruction of LLVM."""
    return b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(result, arguments), name)


def _portable_dot(b: Any, total: Any, four: Any, weights: Any) -> Any:
    """The same of pairs of 16-bit numbers: first of the even bytes, then of the odd ones."""
    eight, low = (ir.Constant(_PAIRS, [number] * 2 * LANES) for number in (8, 255))
    pairs, x = b.bitcast(weights, _PAIRS), b.bitcast(_everywhere(b, four), _PAIRS)
    total = b.add(total, _paired(b, b.and_(x, low), b.ashr(b.shl(pairs, eight), eight)))
    return b.add(total, _paired(b, b.lshr(x, eight), b.ashr(pairs, eight)))


def _paired(b: Any, x: Any, weights: Any) -> Any:
    """Products of 16-bit numbers, each added to its neighbour's: vpmaddwd, where there is that."""
    products, nothing = b.mul(b.sext(x, _WIDE), b.sext(weights, _WIDE)), ir.Constant(_WIDE, ir.Undefined)
    halves = [b.shuffle_vector(products, nothing, ir.Constant(_SUMS, list(range(i, 2 * LANES, 2)))) for i in (0, 1)]
    return b.add(*halves)


def _everywhere(b: Any, number: Any) -> Any:
    """A number in all lanes."""
    nothing = ir.Constant(_SUMS, ir.Undefined)
    first = b.insert_element(nothing, number, _INT32(0))
    return b.shuffle_vector(first, nothing, ir.Constant(_SUMS, [0] * LANES))


def _load(b: Any, array: Any, at: Any, kind: Any) -> Any:
    value = b.load(b.bitcast(b.gep(array, [at]), ir.PointerType(kind)))
    value.align = 1
    return value


def _store(b: Any, value: Any, array: Any, at: Any) -> None:
    b.store(value, b.bitcast(b.gep(array, [at]), ir.PointerType(value.type))).align = 1


def _put_values(typing: Any, x: Any, to: Any, values: Any, at: Any) -> Any:
    """Put LANES numbers, int32 from `at` on, into x as bytes, from `to` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x_data, values_data = (_pointer(context, builder, signature, args, i) for i in (0, 2))
        loaded = _load(builder, values_data, args[3], _SUMS)
        _store(builder, builder.trunc(loaded, _LANES_OF_BYTES), x_data, args[1])
        return context.get_dummy_value()

    return types.void(x, types.int64, values, types.int64), generate


def _put_marks(typing: Any, x: Any, to: Any, values: Any, at: Any, nothing: Any, mark: Any) -> Any:
    """Put `mark` into x, bytes from `to` on, for each of LANES numbers that is not `nothing`, and 0 for the others."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x_data, values_data = (_pointer(context, builder, signature, args, i) for i in (0, 2))
        loaded = _load(builder, values_data, args[3], _SUMS)
        is_marked = builder.icmp_signed("!=", loaded, _everywhere(builder, args[4]))
        chosen = builder.select(is_marked, _everywhere(builder, args[5]), ir.Constant(_SUMS, [0] * LANES))
        _store(builder, builder.trunc(chosen, _LANES_OF_BYTES), x_data, args[1])
        return context.get_dummy_value()

    return types.void(x, types.int64, values, types.int64, types.int32, types.int32), generate


def _pointer(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
    """Where the numbers of an array begin that is argument i."""
    return context.make_array(signature.args[i])(context, builder, args[i]).data


one_column, two_columns, four_columns = (_tile(columns) for columns in (1, 2, 4))
put_values: Any = intrinsic(_put_values)
put_marks: Any = intrinsic(_put_marks)
