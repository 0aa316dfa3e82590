"""Entropy coding: whole numbers to bits and back, given how often each is expected.

The range coder is that of constriction (Bamler 2022, "Understanding entropy coding with asymmetric numeral systems
(ANS): a statistician's perspective", arXiv:2201.01741). It gets counts that are whole numbers below 2^24 in float32;
what it makes of them are single operations of IEEE 754, the same everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.compression.coding.exact import Mixture
from isthmus.errors import IsthmusError, MissingExtraError


def library() -> tuple[Any, Any]:
    """The range coder and its models; MissingExtraError where the library is not installed."""
    try:
        import constriction
    except ImportError as error:
        raise MissingExtraError("Compressing", "compress") from error
    return constriction.stream.queue, constriction.stream.model.Categorical


class Statics:
    """Counts of symbols that do not depend on anything, int (symbols,), each at least 1."""

    def __init__(self, counts: np.ndarray) -> None:
        fits = counts.ndim == 1 and counts.dtype.kind in "iu" and len(counts) > 0
        if not fits or counts.min() < 1 or counts.astype(float).sum() >= 1 << 24:
            raise IsthmusError(f"counts of the codec are damaged: {counts.shape} of {counts.dtype}")
        self.counts = counts

    @classmethod
    def uniform(cls, symbols: int) -> Statics:
        """No preference."""
        return cls(np.ones(symbols, np.int64))

    @classmethod
    def of(cls, values: np.ndarray, symbols: int) -> Statics:
        """How often each occurs in `values`, with a little room for all others."""
        counts = np.bincount(values, minlength=symbols)
        return cls(1 + (counts * ((1 << 20) / max(1, counts.sum()))).astype(np.int64))


class RangeEncoder:
    """Symbols to bytes."""

    def __init__(self) -> None:
        queue, categorical = library()
        self._coder, self._categorical = queue.RangeEncoder(), categorical
        self._family = categorical(perfect=False)

    def encode(self, symbols: np.ndarray, counts: np.ndarray) -> None:
        """Symbols (n,), each with its own counts, float32 (n, symbols)."""
        if len(symbols):
            self._coder.encode(symbols.astype(np.int32), self._family, counts)

    def encode_static(self, symbols: np.ndarray, statics: Statics) -> None:
        """Symbols (n,), all with the same counts."""
        if len(symbols) and len(statics.counts) > 1:
            model = self._categorical(statics.counts.astype(np.float32), perfect=False)
            self._coder.encode(symbols.astype(np.int32), model)

    def finish(self) -> bytes:
        """All bits; zeros at the end are left out."""
        words: np.ndarray = self._coder.get_compressed()
        return words.astype(">u4").tobytes().rstrip(b"\0")


class RangeDecoder:
    """Bytes to symbols. Damaged bytes give wrong symbols or an IsthmusError."""

    def __init__(self, data: bytes) -> None:
        queue, categorical = library()
        words = np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)
        self._coder, self._categorical = queue.RangeDecoder(words), categorical
        self._family = categorical(perfect=False)

    def decode(self, counts: np.ndarray) -> np.ndarray:
        """One symbol, int32, for each row of counts, float32 (n, symbols)."""
        try:
            symbols: np.ndarray = self._coder.decode(self._family, counts)
            return symbols
        except AssertionError as error:  # what constriction raises
            raise IsthmusError("the compressed data are damaged") from error

    def decode_levels(self, mixture: Mixture) -> np.ndarray:
        """One level, int32, for each distribution of a mixture: what `Mixture.digits` took apart."""
        high = self.decode(mixture.high())
        levels: np.ndarray = 16 * high + self.decode(mixture.low(high))
        return levels

    def decode_static(self, n: int, statics: Statics) -> np.ndarray:
        """n symbols, int64, that all have the same counts."""
        if n == 0 or len(statics.counts) == 1:
            return np.zeros(n, np.int64)
        model = self._categorical(statics.counts.astype(np.float32), perfect=False)
        try:
            symbols: np.ndarray = self._coder.decode(model, n).astype(np.int64)
            return symbols
        except AssertionError as error:
            raise IsthmusError("the compressed data are damaged") from error
