"""Lossy coding: an auto-encoder's rounded code, coded exactly; the decoder's pixels agree within one level anywhere.

Codes are exact (`coding.codes`); pixels are the decoder network's, so that this part of coding needs torch.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.compression.code_search import CodeSearch
from isthmus.compression.coding.codes import MOST_CODE, QUALITIES, CodesCoding
from isthmus.compression.coding.exact import Tables
from isthmus.compression.coding.protocols import LossyCoding
from isthmus.compression.lossy_network import LossyNetwork
from isthmus.compression.patches import PatchNetwork, PatchSettings
from isthmus.device import in_best_memory_order, memory_format
from isthmus.errors import IsthmusError
from isthmus.networks import AutoEncoderNetwork, build, restored
from isthmus.spec import NetworkSpec
from isthmus.typed_json import typed

_BATCH_VALUES = 1 << 19
_MOST_PARTS = 254
_TWO, _SPLIT = 255, struct.Struct("<III")  # images of two qualities: how many of the first, its bytes, its checksum


def open_lossy(config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], tables: Tables) -> LossyCoding:
    """The coding of a model with loss: one auto-encoder, or several that share the dial."""
    if "parts" in config:
        return DialCoding(config, tensors, tables)
    coding = AutoEncoderCoding(config, tensors, tables)
    if config.get("objective") == "mse":  # models of before have no objective in their config, and any may be theirs
        coding.searching(config, tensors)
    return coding


class DialCoding:
    """Several auto-encoders, each for a part of the qualities; the first byte of what they code says which.

    config : "parts", one config of an `AutoEncoderCoding` each; "dial", pairs of a part and a quality of its own, at
        equal distances from 0 to 1; "step", up to which distance of two qualities those between them serve too.
    tensors : those of part i as "i/name".
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], tables: Tables) -> None:
        self._parts = []
        parts = typed(config["parts"], list[Mapping[str, Any]], "parts")
        if len(parts) > _MOST_PARTS:
            raise IsthmusError(f"the codec is damaged: it has {len(parts):,} parts, and one byte says which")
        for number, part in enumerate(parts):
            own = {k.removeprefix(f"{number}/"): v for k, v in tensors.items() if k.startswith(f"{number}/")}
            self._parts.append(AutoEncoderCoding(part, own, tables))
        self._dial = typed(config["dial"], list[tuple[int, float]], "dial")
        self._step = typed(config["step"], float, "step")
        if not self._dial or not all(0 <= part < len(parts) and 0 <= own <= 1 for part, own in self._dial):
            raise IsthmusError(f"the codec is damaged: a dial of {len(self._dial)} places for {len(self._parts)} parts")

    def takes(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether images of this shape (height, width[, channels]) and dtype can be coded."""
        return all(part.takes(shape, dtype) for part in self._parts)

    def encode(self, images: np.ndarray, quality: float) -> tuple[bytes, int]:
        """Images (n, ...) at a quality from 0 to 1: bytes, and a checksum of the codes (of the last part that is used).

        Between two places with nothing between them some images get the one and some the other.
        """
        made = []
        for part, own, some in self._shared(images, quality):
            data, check = self._parts[part].encode(some, own)
            made.append((len(some), bytes([part]) + data, check))
        if len(made) == 1:
            return made[0][1:]
        (count, first, check), (_, second, last) = made
        return bytes([_TWO]) + _SPLIT.pack(count, len(first), check) + first + second, last

    def decode(self, data: bytes, shape: tuple[int, ...], check: int) -> np.ndarray:
        """Bytes to images of that shape; IsthmusError where the codes are not those that were written."""
        if data[:1] == bytes([_TWO]) and len(data) > _SPLIT.size:
            count, length, first = _SPLIT.unpack_from(data, 1)
            if not 0 < count < shape[0]:
                raise IsthmusError(f"a part of {count:,} of {shape[0]:,} images")
            middle = 1 + _SPLIT.size + length
            parts = ((data[1 + _SPLIT.size : middle], count, first), (data[middle:], shape[0] - count, check))
            return np.concatenate([self._decode_part(piece, (n, *shape[1:]), c) for piece, n, c in parts])
        return self._decode_part(data, shape, check)

    def reconstruct(self, images: np.ndarray, quality: float) -> np.ndarray:
        """What `decode` gives for what `encode` makes of some images."""
        shared = self._shared(images, quality)
        return np.concatenate([self._parts[part].reconstruct(some, own) for part, own, some in shared])

    def _decode_part(self, data: bytes, shape: tuple[int, ...], check: int) -> np.ndarray:
        if not data or data[0] >= len(self._parts):
            raise IsthmusError("there are no codes of this model")
        return self._parts[data[0]].decode(data[1:], shape, check)

    def _shared(self, images: np.ndarray, quality: float) -> list[tuple[int, float, np.ndarray]]:
        """Parts, qualities of their own there, and the images that get them, for a place on the dial."""
        where = quality * (len(self._dial) - 1)
        low = min(int(where), len(self._dial) - 1)
        (part, own), (next_part, following) = self._dial[low], self._dial[min(low + 1, len(self._dial) - 1)]
        if part == next_part and abs(following - own) <= self._step:
            return [(part, own + (following - own) * (where - low), images)]
        count = round((1 - (where - low)) * len(images))
        both = [(part, own, images[:count]), (next_part, following, images[count:])]
        return [item for item in both if len(item[2])]


class AutoEncoderCoding:
    """One auto-encoder: its code is rounded and coded exactly.

    config : "network" (of a NetworkSpec or a PatchNetwork), "latents" (of a `CodesCoding`), "channels", "depth".
    tensors : those of a `CodesCoding`; the weights of the auto-encoder and the gains as "network.name".
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], tables: Tables) -> None:
        self._codes_coding = CodesCoding(config["latents"], tensors, tables)
        self._depth, self._channels = (typed(config[name], int, name) for name in ("depth", "channels"))
        if self._depth not in (8, 16):
            raise IsthmusError(f"the codec is damaged: it is for {self._depth} bits")
        self._size: list[int] | None = None  # of images with a flat code
        codes = self._codes_coding.channels
        autoencoder: Callable[[], AutoEncoderNetwork | PatchNetwork]
        if "latent_dim" in config["network"]:
            spec = NetworkSpec.from_dict(config["network"])
            self._size = list(spec.sample_shape[1:])
            asked, autoencoder = (spec.sample_shape[0], len(self._size), spec.latent_dim), partial(build, spec, 0)
        else:
            made = typed(config["network"], PatchSettings, "network")
            asked, autoencoder = (made.channels, 2, made.codes), partial(PatchNetwork, **vars(made))
        if asked != (self._channels, 2, codes):
            raise IsthmusError(
                f"the codec is damaged: a network of {asked} for {self._channels} channels, {codes} codes"
            )
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        self._network = restored(lambda: LossyNetwork(autoencoder(), codes), weights)
        in_best_memory_order(self._network, 4)
        self._search: Callable[[], CodeSearch] | None = None

    def searching(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        """Choose codes of patches by their bits and the error from now on, and not the nearest ones."""
        if isinstance(self._network.autoencoder, PatchNetwork):
            self._search = cache(partial(CodeSearch.of, self._network, config, tensors))

    def takes(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether images of this shape (height, width[, channels]) and dtype can be coded."""
        fits = (*shape, 1)[2] == self._channels and len(shape) in (2, 3) and dtype == np.dtype(f"u{self._depth // 8}")
        return fits and (self._size is None or list(shape[:2]) == self._size)

    @torch.inference_mode()
    def encode(self, images: np.ndarray, quality: float) -> tuple[bytes, int]:
        """Images (n, ...) at a quality from 0 to 1: bytes, and a checksum of the codes."""
        number = round(QUALITIES * quality)
        codes = np.concatenate([self._codes(part, number) for part in self._parts(images)])
        data = bytes([number]) + self._codes_coding.encode(codes, number)
        return data, zlib.crc32(codes.astype("<i2").tobytes())

    @torch.inference_mode()
    def decode(self, data: bytes, shape: tuple[int, ...], check: int) -> np.ndarray:
        """Bytes to images of that shape; IsthmusError where the codes are not those that were written."""
        if not data:
            raise IsthmusError("there are no codes")
        patches = self._network.autoencoder
        grid = patches.grid(shape[1:3]) if isinstance(patches, PatchNetwork) else (1, 1)
        codes = self._codes_coding.decode(data[1:], (shape[0], *grid), data[0])
        if zlib.crc32(codes.astype("<i2").tobytes()) != check:
            raise IsthmusError("the checksum of the codes is wrong")
        size = max(1, _BATCH_VALUES // math.prod(shape[1:]))
        parts = [self._pixels(codes[i : i + size], shape, data[0]) for i in range(0, len(codes), size)]
        return np.concatenate(parts).reshape(shape)

    @torch.inference_mode()
    def reconstruct(self, images: np.ndarray, quality: float) -> np.ndarray:
        """What `decode` gives for what `encode` makes of some images."""
        number = round(QUALITIES * quality)
        parts = [self._pixels(self._codes(part, number), part.shape, number) for part in self._parts(images)]
        return np.concatenate(parts).reshape(images.shape)

    def _parts(self, images: np.ndarray) -> list[np.ndarray]:
        size = max(1, _BATCH_VALUES // math.prod(images.shape[1:]))
        return [images[i : i + size] for i in range(0, len(images), size)]

    def _codes(self, images: np.ndarray, number: int) -> np.ndarray:
        x = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
        scaled = torch.from_numpy(x.astype(np.float32) / np.float32((1 << self._depth) - 1))
        scaled = scaled.contiguous(memory_format=memory_format(4))
        quality = self._quality(number)
        if self._search is None:
            y = torch.round(self._network.scaled(scaled, quality)).clamp(-MOST_CODE, MOST_CODE)
        else:
            y = self._search()(scaled, quality)
        return y.permute(0, 2, 3, 1).to(torch.int16).numpy()

    def _pixels(self, codes: np.ndarray, shape: tuple[int, ...], number: int) -> np.ndarray:
        y = torch.from_numpy(codes.astype(np.float32)).permute(0, 3, 1, 2)
        x = self._network.reconstruct(y, self._quality(number), shape[1:3])
        top = (1 << self._depth) - 1
        levels = (x.permute(0, 2, 3, 1) * top).round_().clamp_(0, top)
        pixels: np.ndarray = levels.numpy().astype(f"u{self._depth // 8}")
        return pixels

    @staticmethod
    def _quality(number: int) -> Tensor:
        return torch.tensor([number / QUALITIES])  # of all images
