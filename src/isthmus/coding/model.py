"""The model of a codec: what an archive needs to be read, and the digest that says which one it was written with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from isthmus.coding.exact import Tables
from isthmus.coding.levels import Levels
from isthmus.coding.tones import Tones
from isthmus.errors import IsthmusError

KINDS = {coder.kind: coder for coder in (Levels, Tones)}


class Coder(Protocol):
    """Codes images of one shape together."""

    def takes(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether images of this shape and dtype can be coded."""

    def encode(self, images: np.ndarray) -> bytes:
        """Images (n, ...) to bytes."""

    def decode(self, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
        """Bytes to images of that shape (n, ...)."""


@dataclass(frozen=True)
class CodecModel:
    """kind : of the coder. config : its JSON values. tensors : its arrays; those of `Tables` as "tables.name"."""

    kind: str
    config: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]

    @cached_property
    def coder(self) -> Coder:
        """What codes with this model."""
        if self.kind not in KINDS:
            raise IsthmusError(f"this codec is of kind {self.kind!r}; this isthmus knows {', '.join(KINDS)}")
        try:
            tables = {k.removeprefix("tables."): v for k, v in self.tensors.items() if k.startswith("tables.")}
            return KINDS[self.kind](self.config, self.tensors, Tables(**tables))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise IsthmusError(f"the codec's model is not complete: {error}") from error

    @cached_property
    def id(self) -> bytes:
        """Eight bytes of the SHA-256 of everything that decoding depends on."""
        digest = hashlib.sha256(json.dumps([self.kind, self.config], sort_keys=True).encode())
        for name in sorted(self.tensors):
            array = self.tensors[name]
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.digest()[:8]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.tensors.values())

    def to_bytes(self) -> bytes:
        """As one safetensors file, for an archive that brings its model."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(array) for name, array in self.tensors.items()}
        return save(arrays, metadata={"kind": self.kind, "config": json.dumps(self.config)})

    @classmethod
    def from_bytes(cls, data: bytes) -> CodecModel:
        """What `to_bytes` wrote."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            length = int.from_bytes(data[:8], "little")
            metadata = json.loads(data[8 : 8 + length])["__metadata__"]
            return cls(metadata["kind"], json.loads(metadata["config"]), load(data))
        except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise IsthmusError(f"the model inside the archive cannot be read: {error}") from error
