"""Samples of an archive as files: images under their names, arrays as .npy files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from isthmus.errors import IsthmusError
from isthmus.files import atomic_path, write_bytes

if TYPE_CHECKING:
    import numpy as np

    from isthmus.compression.coding.archive import Chunk

_EXACT: dict[str, dict[str, Any]] = {
    "png": {},
    "bmp": {},
    "tif": {},
    "tiff": {},
    "webp": {"lossless": True, "exact": True},
}  # format -> options


class Unpacker:
    """Writes images under their names and arrays as .npy files, each at once.

    count : samples written. refused : what could not be written, one line each.
    """

    def __init__(self, folder: Path, stem: str, overwrite: bool) -> None:
        self._folder, self._stem, self._overwrite = folder, stem, overwrite
        self._array: _Rows | None = None
        self.count = 0
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._array is not None:
            self._array.close(keep=kind is None)

    def add(self, chunk: Chunk, within: int, image: np.ndarray) -> None:
        """Write one sample."""
        pair = chunk.names[within] if within < len(chunk.names) else (f"{self._stem}.npy", "npy")
        try:
            path = self._safe(pair[0])
            if pair[1] == "npy" and chunk.method != "file":
                self._add_row(path, image)
            else:
                self._end_array()
                self._write(path, pair[1], chunk.method == "file", image)
            self.count += 1
        except (IsthmusError, OSError) as error:
            self.refused.append(str(error))

    def _add_row(self, path: Path, image: np.ndarray) -> None:
        if self._array is not None and not self._array.takes(path, image):
            self._end_array()
        if self._array is None:
            start = path
            for number in range(2, 1 << 30):  # samples of another shape than the ones before
                if not start.exists() or (self._overwrite and number == 2):
                    break
                if not self._overwrite and number == 2 and self.count == 0:
                    raise IsthmusError(f"{start} exists; give --overwrite to replace it")
                start = path.with_stem(f"{path.stem}-{number}")
            self._array = _Rows(path, start, image)
        self._array.add(image)

    def _end_array(self) -> None:
        if self._array is not None:
            self._array.close(keep=True)
            self._array = None

    def _write(self, path: Path, kind: str, as_it_is: bool, image: np.ndarray) -> None:
        if not as_it_is and kind not in _EXACT:
            path = path.with_name(f"{path.name}.png")  # writing a JPEG again would lose more
        if path.exists() and not self._overwrite:
            raise IsthmusError(f"{path} exists; give --overwrite to replace it")
        if as_it_is:
            write_bytes(path, image.tobytes())
            return
        from PIL import Image

        pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
        with atomic_path(path) as temporary:
            Image.fromarray(pixels).save(temporary, **_EXACT.get(kind, {}))

    def _safe(self, name: str) -> Path:
        """A name from an archive as a path below the folder; an archive must not write anywhere else."""
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or ":" in pure.parts[0] or "\0" in name:
            raise IsthmusError(f"the archive names a file {name!r}, which would lie outside {self._folder}; left out")
        return self._folder / pure


class _Rows:
    """A .npy file that grows row by row; it takes its name when it is complete."""

    def __init__(self, name: Path, path: Path, row: np.ndarray) -> None:
        self._name, self._path, self._shape, self._dtype = name, path, row.shape, row.dtype
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self._temporary = Path(temporary)
        self._file: BinaryIO = os.fdopen(handle, "w+b")
        self._rows = 0
        self._header()

    def takes(self, name: Path, row: np.ndarray) -> bool:
        """Whether a row continues this file."""
        return (name, row.shape, row.dtype) == (self._name, self._shape, self._dtype)

    def add(self, row: np.ndarray) -> None:
        """The next row."""
        self._file.write(row.tobytes())
        self._rows += 1

    def close(self, *, keep: bool) -> None:
        """Complete the file, or forget it."""
        self._header()
        self._file.close()
        if keep:
            with atomic_path(self._path) as temporary:
                self._temporary.replace(temporary)
        self._temporary.unlink(missing_ok=True)

    def _header(self) -> None:
        import numpy as np

        self._file.seek(0)
        # A header is padded for the first axis to grow up to 21 digits, so that it can be written again in place.
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (self._rows, *self._shape)})
