"""TIFF files, of which pixels are replaced where they lie: every tag, page and private structure stays as it is."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from isthmus.data.reading import reading
from isthmus.data.sample_file import GAPS, Clean, SampleFile, collected, each_group
from isthmus.data.tiff_pages import Image, Plane
from isthmus.errors import IsthmusError

# Formats that spread over several files.
_OTHER_FILES: dict[str, Any] = {"is_ome": False, "is_mmstack": False, "is_ndtiff": False}


class TiffFile(SampleFile):
    """A TIFF file of one image or of many, each of them a sample; bands that are no colours are samples of their own.

    Reduced copies, masks and transparency are left alone.
    """

    def check_target(self, target: Path) -> None:
        if target.suffix.lower() not in (".tif", ".tiff"):
            raise IsthmusError(f"{target} must end in .tif: the format in which all of {self.path} can be written")

    def samples(self) -> Iterator[np.ndarray]:
        with self.path.open("rb") as file:
            for image in self._images(file):
                with reading(self.path, "a TIFF file"):
                    samples = collected(image.cleaned)
                yield from samples

    def rewrite(self, target: Path, clean: Clean) -> None:
        with self.path.open("rb") as source, target.open("r+b") as file:
            shutil.copyfileobj(source, file)
            file.seek(0)
            images = list(self._images(file))
            shared = Counter(place for image in images for place in image.places())
            while images:
                image = images.pop(0)  # and its values go with it
                cleaned = image.cleaned(clean)
                if image.gaps:
                    self.note(GAPS)
                if not np.array_equal(cleaned, image.values, equal_nan=cleaned.dtype.kind == "f"):
                    for note in image.write(file, cleaned, shared):
                        self.note(note)

    def layout(self, parts: Iterator[np.ndarray]) -> np.ndarray:
        planes: list[np.ndarray] = []
        with self.path.open("rb") as file:
            for image in self._images(file):
                for zeros in np.zeros(image.values.shape, np.float32):
                    planes.append(each_group(zeros, image.groups, lambda zero: next(parts, zero).reshape(zero.shape)))
        if len({plane.shape for plane in planes}) > 1:
            raise IsthmusError(f"{self.path} holds images of several shapes, whose deviations make no one array")
        stack = np.stack(planes)  # (images, height, width, bands)
        stack = stack[..., 0] if stack.shape[-1] == 1 else stack
        return stack[0] if len(stack) == 1 else stack

    def _images(self, file: BinaryIO) -> Iterator[Image]:
        """The images one by one, in a file that stays open meanwhile."""
        import tifffile

        with reading(self.path, "a TIFF file"):
            tiff = tifffile.TiffFile(file, name=str(self.path), **_OTHER_FILES)
            tiff.pages.useframes = False
            pages: list[Any] = list(tiff.pages)
            if not pages:
                raise ValueError("it holds no images")
            first, series = pages[0], tiff.series[0] if len(pages) == 1 else None
        if series is not None and series.dataoffset is not None and series.size > first.size:
            with reading(self.path, "a TIFF file"):
                starts = range(0, series.nbytes, first.nbytes)
            for start in starts:  # ImageJ keeps large stacks as a page with all of them
                yield Plane(first, series.dataoffset + start)
            return
        left = [page for page in pages if page.is_reduced or page.is_mask]
        nested = sum(len(page.subifds or ()) for page in pages)
        if left or nested:
            self.note(f"{len(left) + nested} reduced copies or masks left as they were")
        for page in pages:
            if page not in left:
                with reading(self.path, "a TIFF file"):
                    image = Image(page)
                yield image
