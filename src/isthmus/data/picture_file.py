"""PNG, JPEG, WebP and BMP files: pixels are encoded anew, and what the file holds beside them stays.

Of PNG, JPEG and BMP everything else stays byte for byte; of the others, what Pillow carries.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data import picture_parts
from isthmus.data.images import JPEG, TIFF, decoded, opened_image
from isthmus.data.limits import check_expansion
from isthmus.data.sample_file import Clean, SampleFile, collected, each_group
from isthmus.errors import IsthmusError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

_GROUPS: Mapping[str, tuple[slice | int, ...]] = {  # bands that are cleaned: transparency is in none
    "LA": (0,),
    "RGB": (slice(0, 3),),
    "RGBA": (slice(0, 3),),
    "CMYK": (slice(0, 3), 3),
}
_FORMATS = {".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", **dict.fromkeys(JPEG, "JPEG"), **dict.fromkeys(TIFF, "TIFF")}
_MODES = {  # what each format holds as it is
    "PNG": ("1", "L", "LA", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("L", "RGB", "RGBA"),
    "BMP": ("1", "L", "RGB"),
    "TIFF": ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I;16"),
}
_SETTINGS: Mapping[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_CARRIED = ("exif", "icc_profile", "dpi", "xmp")


class PictureFile(SampleFile):
    """An image, or an animation, whose frames are the samples."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._bytes = path.read_bytes()
        with self._opened() as image:
            self._format = "JPEG" if image.format == "MPO" else str(image.format)
            self._frames = getattr(image, "n_frames", 1) if self._format != "JPEG" else 1
            self._mode = _kept_mode(image) if self._frames == 1 else "RGBA"
            self._info = dict(image.info)
            check_expansion(path, len(self._bytes), self._frames * image.width * image.height * len(self._mode))
            if image.format == "MPO":
                self.note("pictures after the first of an .mpo not kept")
            if self._format == "TIFF":
                self._check_tiff(image)
        self._deep = self._format == "PNG" and picture_parts.is_deep_colour(self._bytes)
        if self._deep and picture_parts.is_grey(self._bytes):
            self._mode = "LA"
        self._arrays = [self._decoded_deep()] if self._deep else self._decoded()

    def check_target(self, target: Path) -> None:
        kind = _FORMATS.get(target.suffix.lower())
        if kind is None:
            raise IsthmusError(f"{target} must end in {' or '.join(_FORMATS)}: the formats that an image is written in")
        deep = self._deep and kind != "PNG"
        if deep or self._mode not in _MODES[kind] or (self._frames > 1 and kind not in ("PNG", "WEBP")):
            what = (
                f"{self._frames} frames" if self._frames > 1 else "16 bits a colour" if deep else f"mode {self._mode}"
            )
            raise IsthmusError(f"{target} cannot hold what {self.path} does ({what}); name it *{self.path.suffix}")

    def samples(self) -> Iterator[np.ndarray]:
        for array in self._arrays:
            yield from collected(lambda clean, array=array: self._cleaned(array, clean))  # type: ignore[misc]

    def rewrite(self, target: Path, clean: Clean) -> None:
        self.check_target(target)
        kind = _FORMATS[target.suffix.lower()]
        new = [self._cleaned(array, clean) for array in self._arrays]
        if kind == self._format and all(map(np.array_equal, self._arrays, new)):
            target.write_bytes(self._bytes)
        elif kind != self._format:
            self.note(f"beside the pixels, Exif, colour profile and resolution go from {self._format} to {kind}")
            target.write_bytes(self._encoded(new, kind, _CARRIED))
        elif kind in ("PNG", "JPEG"):
            merge = picture_parts.merged_png if kind == "PNG" else picture_parts.merged_jpeg
            content, notes = merge(self._bytes, self._encoded(new, kind, ()))
            target.write_bytes(content)
            for note in notes:
                self.note(note)
        else:
            patched = picture_parts.patched_bmp(self._bytes, new[0]) if kind == "BMP" else None
            target.write_bytes(patched or self._encoded(new, kind, _CARRIED))

    def layout(self, parts: Iterator[np.ndarray]) -> np.ndarray:
        zeros = [np.zeros(array.shape, np.float32) for array in self._arrays]
        found = [self._grouped(zero, lambda part: next(parts, part).reshape(part.shape)) for zero in zeros]
        return np.stack(found) if len(found) > 1 else found[0]

    def _check_tiff(self, image: Any) -> None:
        """Refuse what Pillow reads otherwise than it is; the rest loses its tags."""
        bits = image.tag_v2.get(258, (1,))
        if self._frames > 1 or self._mode != image.mode or (max(bits) > 8 and image.mode != "I;16"):
            raise MissingExtraError(f"{self.path} (TIFF, {self._frames} images of mode {image.mode})", "formats")
        self.note("TIFF tags not kept; with the package tifffile they would be")

    @contextmanager
    def _opened(self) -> Iterator[Image.Image]:
        from PIL import UnidentifiedImageError

        with ExitStack() as stack:
            try:
                yield stack.enter_context(opened_image(io.BytesIO(self._bytes), self.path))
            except UnidentifiedImageError as error:
                raise ValueError("its bytes are of no known format") from error

    def _decoded_deep(self) -> np.ndarray:
        """A PNG file of 16 bits a colour: uint16 (height, width, bands)."""
        pixels = decoded(io.BytesIO(self._bytes))
        return pixels[..., [0, 3]] if self._mode == "LA" else pixels

    def _decoded(self) -> list[np.ndarray]:
        """The frames, uint8 or uint16 (height, width[, bands])."""
        arrays = []
        with self._opened() as image:
            for frame in range(self._frames):
                if self._frames > 1:
                    image.seek(frame)
                arrays.append(_array(image, "L" if self._mode == "1" else self._mode))
        return arrays

    def _cleaned(self, array: np.ndarray, clean: Clean) -> np.ndarray:
        cleaned = self._grouped(array, clean)
        return np.where(cleaned < 128, 0, 255).astype(array.dtype) if self._mode == "1" else cleaned

    def _grouped(self, array: np.ndarray, clean: Clean) -> np.ndarray:
        return clean(array) if array.ndim == 2 else each_group(array, _GROUPS[self._mode], clean)

    def _encoded(self, arrays: Sequence[np.ndarray], kind: str, carried: Sequence[str]) -> bytes:
        """The frames as a file of that format."""
        if self._deep:
            return picture_parts.deep_png(arrays[0])
        images = [_image(array, self._mode) for array in arrays]
        options = {name: self._info[name] for name in carried if self._info.get(name)} | _SETTINGS.get(kind, {})
        if self._info.get("progressive") and kind == "JPEG":
            options["progressive"] = True
        if len(images) > 1:
            options |= self._timing() | {"save_all": True, "append_images": images[1:]}
        buffer = io.BytesIO()
        images[0].save(buffer, kind, **options)
        return buffer.getvalue()

    def _timing(self) -> dict[str, Any]:
        """When the frames of an animation are shown, each of them whole."""
        durations = []
        with self._opened() as image:
            for frame in range(self._frames):
                image.seek(frame)
                image.load()
                durations.append(round(image.info.get("duration", 0)))
        if self._info.get("default_image"):
            return {"default_image": True, "duration": durations[1:], "loop": self._info.get("loop", 0)}
        return {"duration": durations, "loop": self._info.get("loop", 0)}


def _kept_mode(image: Image.Image) -> str:
    """The mode in which an image is cleaned and written again: its own, where that is no palette."""
    if "transparency" in image.info:
        return "LA" if image.mode in ("1", "L") else "RGBA"
    if image.mode.startswith("I;16") or image.mode == "I":
        return "I;16"
    if image.mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK"):
        return image.mode
    return "RGBA" if image.mode in ("PA", "RGBa") else "LA" if image.mode == "La" else "RGB"


def _array(image: Image.Image, mode: str) -> np.ndarray:
    if mode == "I;16":
        return np.asarray(image).astype(np.uint16)  # in the machine's byte order
    return np.array(image if image.mode == mode else image.convert(mode))


def _image(array: np.ndarray, mode: str) -> Image.Image:
    from PIL import Image

    size = (array.shape[1], array.shape[0])
    if mode == "1":
        return Image.frombytes("L", size, array.tobytes()).convert("1", dither=Image.Dither.NONE)
    return Image.frombytes(mode, size, (array.astype("<u2") if mode == "I;16" else array).tobytes())
