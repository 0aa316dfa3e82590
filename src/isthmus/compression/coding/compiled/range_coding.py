"""The range coder of constriction 0.4 (see `range_coder`): words of 32 bits, a state of 64, probabilities of 24.

Whoever encodes knows the symbols, whoever decodes finds them; all else is the same for both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.range_coder import Statics
from isthmus.errors import IsthmusError

_ALL = np.uint64((1 << 64) - 1)
_WORD, _PRECISION, _ONE = np.uint64(32), np.uint64(24), np.uint64(1)
_LEAST_RANGE = np.uint64(1 << 32)
TOTAL = np.uint64(1 << 24)  # that all probabilities together make
_LOWER, _RANGE, _POINT, _AT, _INVERTED, _FIRST = range(6)  # places in the state


class RangeCoder(NamedTuple):
    """What is read or written, and how far.

    words : uint32. state : uint64 (6,), lower end and size of the range; when reading, the point in it; the next word;
    when writing, how many words wait for a carry, and the first of these. reads : bool (1,).
    """

    words: np.ndarray
    state: np.ndarray
    reads: np.ndarray

    @classmethod
    def reading(cls, data: bytes) -> RangeCoder:
        """From bytes."""
        words = np.frombuffer(data + bytes(8 + -len(data) % 4), ">u4").astype(np.uint32)
        point = int(words[0]) << 32 | int(words[1])
        return cls(words, np.array([0, _ALL, point, 2, 0, 0], np.uint64), np.array([True]))

    @classmethod
    def writing(cls, symbols: int) -> RangeCoder:
        """At most that many symbols, each of which takes less than a word."""
        return cls(np.empty(symbols + 4, np.uint32), np.array([0, _ALL, 0, 0, 0, 0], np.uint64), np.array([False]))

    def encode_static(self, symbols: np.ndarray, statics: Statics) -> None:
        """Symbols (n,), all with the same counts."""
        if len(statics.counts) > 1:
            _code_static(self, symbols.astype(np.int64), _below(statics))

    def decode_static(self, n: int, statics: Statics) -> np.ndarray:
        """n symbols, int64, that all have the same counts."""
        symbols = np.zeros(n, np.int64)
        if len(statics.counts) > 1 and not _code_static(self, symbols, _below(statics)):
            raise IsthmusError("the compressed data are damaged")
        return symbols

    def finish(self) -> bytes:
        """All bits; zeros at the end are left out."""
        _seal(self)
        return self.words[: int(self.state[_AT])].astype(">u4").tobytes().rstrip(b"\0")


def _below(statics: Statics) -> np.ndarray:
    """Counts of all symbols before each, and of all."""
    return np.concatenate([[0], np.cumsum(statics.counts)]).astype(np.float32)


@compiled
def quantile(coder: RangeCoder) -> np.uint64:
    """Where in the range the point lies; from TOTAL on, the bits are damaged."""
    point: np.uint64 = (coder.state[_POINT] - coder.state[_LOWER]) // (coder.state[_RANGE] >> _PRECISION)
    return point


@compiled
def narrow(coder: RangeCoder, left: np.uint64, right: np.uint64) -> None:
    """Narrow the range to that of a symbol, from `left` to `right` of TOTAL."""
    state = coder.state
    scale = state[_RANGE] >> _PRECISION
    size, lower = scale * (right - left), state[_LOWER] + scale * left
    if not coder.reads[0] and state[_INVERTED] > 0 and lower + size > lower:
        _carry(coder, lower < state[_LOWER])
        state[_INVERTED] = 0
    if size < _LEAST_RANGE:
        size <<= _WORD
        if coder.reads[0]:
            state[_POINT] <<= _WORD
            if np.int64(state[_AT]) < len(coder.words):
                state[_POINT] |= np.uint64(coder.words[np.int64(state[_AT])])
                state[_AT] += _ONE
        elif state[_INVERTED] > 0:
            state[_INVERTED] += _ONE
        elif (lower << _WORD) + size > lower << _WORD:
            _write(coder, lower >> _WORD)
        else:
            state[_INVERTED], state[_FIRST] = _ONE, lower >> _WORD
        lower <<= _WORD
    state[_LOWER], state[_RANGE] = lower, size


@compiled
def _write(coder: RangeCoder, word: np.uint64) -> None:
    coder.words[np.int64(coder.state[_AT])] = np.uint32(word)
    coder.state[_AT] += _ONE


@compiled
def _carry(coder: RangeCoder, carries: bool) -> None:
    """Write the words that waited."""
    _write(coder, coder.state[_FIRST] + _ONE if carries else coder.state[_FIRST])
    for _ in range(np.int64(coder.state[_INVERTED]) - 1):
        _write(coder, np.uint64(0) if carries else _ALL >> _WORD)


@compiled
def _seal(coder: RangeCoder) -> None:
    """Write what says where in the last range the point is."""
    state = coder.state
    if state[_RANGE] == _ALL:  # nothing was coded
        return
    point = state[_LOWER] + (_LEAST_RANGE - _ONE)
    if state[_INVERTED] > 0:
        _carry(coder, point < state[_LOWER])
    _write(coder, point >> _WORD)
    if (state[_LOWER] + state[_RANGE]) >> _WORD == point >> _WORD:
        _write(coder, np.uint64(0))


@compiled
def left_of(symbol: int, below: np.float32, scale: np.float32) -> np.uint64:
    """Where a symbol begins in TOTAL: `below` counts all before it, `scale` is TOTAL less one each by all counts."""
    return np.uint64(np.int64(below * scale) + symbol)


@compiled
def _code_static(coder: RangeCoder, symbols: np.ndarray, below: np.ndarray) -> bool:
    """Symbols (n,), all with the same counts, float32 (m + 1,) of those before each; False where bits are damaged."""
    size = len(below) - 1
    scale = np.float32((1 << 24) - size) / below[size]
    for i in range(len(symbols)):
        symbol = symbols[i]
        if coder.reads[0]:
            point = quantile(coder)
            if point >= TOTAL:
                return False
            symbol = 0
            while symbol < size - 1 and left_of(symbol + 1, below[symbol + 1], scale) <= point:
                symbol += 1
            symbols[i] = symbol
        right = TOTAL if symbol == size - 1 else left_of(symbol + 1, below[symbol + 1], scale)
        narrow(coder, left_of(symbol, below[symbol], scale), right)
    return True
