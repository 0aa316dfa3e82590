"""The model of a codec: what an archive needs to be read, and the digest that says which one it was written with."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from isthmus.compression.coding.exact import Tables
from isthmus.compression.coding.protocols import LosslessCoding, LossyCoding
from isthmus.errors import IsthmusError, of_a_file
from isthmus.typed_json import read_json, typed

KINDS = {  # where each is, to be imported when it is needed: what is lossless needs no torch
    "levels": "isthmus.compression.coding.plain_background.PlainBackgroundCoding",
    "tones": "isthmus.compression.coding.continuous_tone.ContinuousToneCoding",
    "lossy": "isthmus.compression.lossy_coding.open_lossy",
}


@dataclass(frozen=True)
class CodecModel:
    """kind : one of `KINDS`. config : its JSON values. tensors : its arrays; those of `Tables` as "tables.name"."""

    kind: str
    config: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]

    @classmethod
    def new(cls, kind: str, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> CodecModel:
        """A model that was just trained: its tensors, and the tables of today."""
        tables = {f"tables.{name}": array for name, array in Tables.make().arrays().items()}
        return cls(kind, config, {**tensors, **tables})

    @cached_property
    def coding(self) -> LosslessCoding | LossyCoding:
        """What codes images with this model; IsthmusError where the model is not complete."""
        if self.kind not in KINDS:
            raise IsthmusError(f"this codec is of kind {self.kind!r}; this isthmus knows {', '.join(KINDS)}")
        with of_a_file("the codec's model is not complete"):
            tables = {k.removeprefix("tables."): v for k, v in self.tensors.items() if k.startswith("tables.")}
            module, _, name = KINDS[self.kind].rpartition(".")
            make = getattr(importlib.import_module(module), name)
            coding: LosslessCoding | LossyCoding = make(self.config, self.tensors, Tables(**tables))
            return coding

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
        described = json.dumps({"kind": self.kind, "config": self.config}, sort_keys=True)
        return save(arrays, metadata={"model": described})  # one key: the order of several would vary

    @classmethod
    def from_bytes(cls, data: bytes) -> CodecModel:
        """What `to_bytes` wrote, all of it checked."""
        from safetensors.numpy import load

        with of_a_file("the model inside the archive cannot be read", ours=True):
            length = int.from_bytes(data[:8], "little")
            head = read_json(data[8 : 8 + length], "its head")
            described = read_json(head["__metadata__"]["model"].encode(), "its description")
            return cls.read(described["kind"], described["config"], load(data))

    @classmethod
    def read(cls, kind: Any, config: Any, tensors: Mapping[str, np.ndarray]) -> CodecModel:
        """A model from a file, all of it checked; IsthmusError where it is not complete."""
        model = cls(typed(kind, str, "kind"), typed(config, Mapping[str, Any], "config"), tensors)
        _ = model.coding
        return model
