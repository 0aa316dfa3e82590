"""The images inside a TIFF file: their values, and how other values take their place.

A segment (strip or tile) whose values change is encoded as it was; one that has become longer goes to the end of the
file, and the page's table of places follows. What was compressed with loss is compressed without from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np

from isthmus.data.limits import check_expansion
from isthmus.data.reading import reading
from isthmus.data.sample_file import Clean, around_gaps, each_group
from isthmus.errors import IsthmusError

_NONE, _DEFLATE = 1, 8
_EXACT = (_NONE, 5, _DEFLATE, 32946, 32773, 34925, 50000)  # LZW, deflate, PackBits, LZMA, Zstandard
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = (_RGB, _YCBCR, _LAB)  # three bands make one colour image
_GREY = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE)
_COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _PREDICTOR, _SUBSAMPLING, _NODATA = 259, 262, 266, 317, 530, 42113
_PLACES, _SIZES = (324, 273), (325, 279)  # tables of tiles, and of strips


class Image:
    """The images of one page, which has a depth of more than 1 where it is a volume.

    page : a `tifffile.TiffPage`. gaps : whether `cleaned` has met values that are missing.
    """

    def __init__(self, page: Any) -> None:
        self._page = page
        self.gaps = False
        self._name = name = f"page {page.index + 1} of {page.parent.filehandle.name}"
        if page.dtype is None or page.dtype.kind not in "biuf":
            raise IsthmusError(f"{name} holds values of {page.bitspersample} bits that are no numbers that can be read")
        if page.photometric == _PALETTE and not _is_ramp(page.colormap):
            raise IsthmusError(
                f"{name} holds numbers of colours in a palette, which cannot be cleaned; make it RGB first"
            )
        if page.photometric not in (*_COLOURS, *_GREY, _SEPARATED):
            raise IsthmusError(
                f"{name} holds pixels of kind {page.photometric!r}; grey, RGB, CMYK and Lab can be cleaned"
            )

    @cached_property
    def values(self) -> np.ndarray:
        """What the page holds: (depth, height, width, bands) in the machine's byte order."""
        with reading(self._name, "an image"):
            check_expansion(self._name, self._page.parent.filehandle.size, self._page.nbytes)
            if 0 in self._page.shaped:
                raise ValueError(f"it is of shape {self._page.shaped}")
            return _bands_last(self._page.asarray(maxworkers=1).reshape(self._page.shaped))

    @property
    def groups(self) -> list[slice | int]:
        """The bands that are samples of their own, or make one together; transparency is in none."""
        page, bands = self._page, self.values.shape[-1]
        first: list[slice | int] = [0]
        if page.photometric in _COLOURS and bands >= 3:
            first = [slice(0, 3)]
        elif page.photometric == _SEPARATED and bands >= 4:
            first = [slice(0, 3), 3]
        extra, used = tuple(page.extrasamples), sum(3 if isinstance(group, slice) else 1 for group in first)
        start = bands - len(extra) if extra else used
        return first + [band for band in range(start, bands) if not extra or extra[band - start] == 0]

    def cleaned(self, clean: Clean) -> np.ndarray:
        """`values` with every sample as `clean` gives it."""
        return np.stack([self._plane(plane, clean) for plane in self.values])

    def places(self) -> Sequence[int]:
        """Where the segments lie in the file; 0 where one is not stored, being empty."""
        return tuple(self._page.dataoffsets)

    def write(self, file: BinaryIO, cleaned: np.ndarray, shared: Counter[int]) -> Iterator[str]:
        """Put other values into the file, and tell what could not stay.

        shared : how many segments of the file lie at each place.
        """
        page = self._page
        compression = page.compression if page.compression in _EXACT else _DEFLATE
        lossy = compression != page.compression
        new, old = (self._stored(array) for array in (cleaned, self.values))
        places, sizes = list(page.dataoffsets), list(page.databytecounts)
        for number, (_, (band, *corner, _), shape) in enumerate(list(page.segments(maxworkers=1))):
            part = (band, *(slice(at, at + n) for at, n in zip(corner, shape[:3], strict=True)))
            if np.array_equal(new[part], old[part], equal_nan=new.dtype.kind == "f") and not lossy:
                continue
            content = self._encoded(_padded(new[part], shape if page.is_tiled else new[part].shape), compression)
            if not places[number] or len(content) > sizes[number] or shared[places[number]] > 1:
                places[number] = file.seek(0, 2)
            file.seek(places[number])
            file.write(content)
            sizes[number] = len(content)
        self._set(_PLACES, places)
        self._set(_SIZES, sizes)
        if page.fillorder != 1:
            self._set((_FILL_ORDER,), 1)
        if lossy:
            yield f"{page.compression.name} compression became deflate, which loses nothing"
            self._set((_COMPRESSION,), compression)
            self._set((_PREDICTOR,), 1)
            if page.photometric == _YCBCR:
                self._set((_PHOTOMETRIC,), _RGB)
                self._set((_SUBSAMPLING,), (1, 1))

    def _set(self, codes: Sequence[int], value: Any) -> None:
        for code in codes:
            tag = self._page.tags.get(code)
            if tag is not None:
                wide = code in (*_PLACES, *_SIZES)
                kind = ("Q" if self._page.parent.is_bigtiff else "I") if wide else None
                tag.overwrite(value if not wide or len(value) > 1 else value[0], dtype=kind)

    def _plane(self, plane: np.ndarray, clean: Clean) -> np.ndarray:
        """One image (height, width, bands) cleaned; as light that fills its dtype, which few bits or ink do not."""
        dtype, inverse = plane.dtype, self._page.photometric == _WHITE_IS_ZERO and plane.dtype.kind in "bu"
        most = 1 if dtype.kind == "b" else 2 ** int(self._page.bitspersample) - 1
        wide = np.dtype(np.uint8) if dtype.kind == "b" else dtype
        factor = int(np.iinfo(wide).max) / most if dtype.kind in "bu" else 1.0
        missing = self._missing(plane)

        def cleaned(band: np.ndarray) -> np.ndarray:
            light = np.rint(band * factor).astype(wide) if factor != 1 else band
            light = clean(np.iinfo(wide).max - light if inverse else light)
            light = np.iinfo(wide).max - light if inverse else light
            return np.rint(light / factor).astype(dtype) if factor != 1 else light

        self.gaps = self.gaps or bool(missing is not None and missing.any())
        if missing is None:
            return each_group(plane, self.groups, cleaned)
        result = plane.copy()
        for group in self.groups:
            result[..., group] = around_gaps(
                np.ascontiguousarray(plane[..., group]), missing[..., group], cleaned, channels=isinstance(group, slice)
            )
        return result

    def _missing(self, plane: np.ndarray) -> np.ndarray | None:
        """Where there is no value: NaN, and what the file (GDAL's tag) says stands for none."""
        tag = self._page.tags.get(_NODATA)
        missing = np.isnan(plane) if plane.dtype.kind == "f" else None
        if tag is not None:
            try:
                nodata = float(str(tag.value).strip(" \0"))
            except ValueError:
                return missing
            missing = (plane == plane.dtype.type(nodata) if plane.dtype.kind == "f" else plane == nodata) | (
                False if missing is None else missing
            )
        return missing

    def _stored(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `values`: (separate bands, depth, height, width, joint bands)."""
        separate = self._page.shaped[0]
        return np.moveaxis(values.reshape(*values.shape[:3], separate, -1), 3, 0)

    def _encoded(self, block: np.ndarray, compression: int) -> bytes:
        """A segment (depth, height, width, joint bands) as its bytes."""
        import tifffile

        page, bits = self._page, int(self._page.bitspersample)
        if bits != 8 * block.dtype.itemsize:  # rows of packed bits, which begin at whole bytes
            rows = block.astype(np.uint32).reshape(*block.shape[:2], -1)[..., None]
            packed = (rows >> np.arange(bits - 1, -1, -1, dtype=np.uint32)) & 1
            content = np.packbits(packed.reshape(*rows.shape[:2], -1).astype(np.uint8), axis=-1).tobytes()
        else:
            block = np.ascontiguousarray(block.astype(page.parent.byteorder + block.dtype.char))
            if page.predictor != 1 and compression == page.compression and compression != _NONE:
                block = tifffile.TIFF.PREDICTORS[page.predictor](block, axis=-2)
            content = block.tobytes()
        return content if compression == _NONE else bytes(tifffile.TIFF.COMPRESSORS[compression](content))


class Plane(Image):
    """One of the images that lie in a page without a table of their own, one after the other.

    start : of it in the file.
    """

    def __init__(self, page: Any, start: int) -> None:
        super().__init__(page)
        self._start = start

    @cached_property
    def values(self) -> np.ndarray:
        file, shape = self._page.parent.filehandle, self._page.shaped
        file.seek(self._start)
        with reading(self._name, "an image"):
            array = file.read_array(self._page.parent.byteorder + self._page.dtype.char, int(np.prod(shape)))
            return _bands_last(array.reshape(shape))

    def places(self) -> Sequence[int]:
        return (self._start,)

    def write(self, file: BinaryIO, cleaned: np.ndarray, shared: Counter[int]) -> Iterator[str]:
        file.seek(self._start)
        file.write(self._stored(cleaned).astype(self._page.parent.byteorder + self._page.dtype.char).tobytes())
        yield from ()


def _bands_last(array: np.ndarray) -> np.ndarray:
    """(separate bands, depth, height, width, joint bands) as (depth, height, width, bands), in the machine's order."""
    bands = np.moveaxis(array, 0, 3).reshape(*array.shape[1:4], -1)
    return bands.astype(bands.dtype.newbyteorder("="))


def _padded(block: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A part of an image as large as a whole tile, its last values repeated."""
    return np.pad(block, [(0, n - k) for n, k in zip(shape, block.shape, strict=True)], mode="edge")


def _is_ramp(colours: np.ndarray | None) -> bool:
    """Whether a palette (3, n) only colours brightness, as microscopes' do: no colour falls in it."""
    return colours is not None and bool((np.diff(colours.astype(np.int64), axis=1) >= 0).all())
