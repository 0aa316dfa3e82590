"""Noisy files: learned from and cleaned one by one, in their own formats and under their own names.

Each file is read once to learn and once to be cleaned. One that cannot be read is left out and told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.files import map_npy
from isthmus.data.sample_files import READABLE, FileContent, SampleFiles, read_file, sample_paths, write_file
from isthmus.data.scaling import check_finite
from isthmus.data.sources import Source
from isthmus.denoising.denoiser import MOST_VALUES, Denoiser
from isthmus.errors import IsthmusError
from isthmus.files import npy_file

_EXAMPLES, _LEAST_PIXELS = 6, 8  # samples that are shown before and after, and the height and width of the smallest


def paths_of(data: str | Path) -> list[Path] | None:
    """The files of a folder, in natural order, or a single one; None where the data are an array or a data set."""
    path = Path(data).expanduser()
    if path.is_dir() and path.suffix != ".zarr":
        return sample_paths(path)
    if path.is_file() and path.suffix.lower() in READABLE:
        return None if path.suffix.lower() == ".npy" and map_npy(path).ndim > 1 else [path]
    return None


def learn(denoiser: Denoiser, data: str | Path | Source, **options: Any) -> dict[Path, str]:
    """Fit a denoiser to a folder of files, a file, an array, a data set or a source.

    options : of `Denoiser.fit`. Returns one line for each file that cannot be read. Of more files than a denoiser
    learns from, a random part is read. Where most are signals, their last axis is that of the channels.
    """
    paths = None if isinstance(data, Source) else paths_of(data)
    if paths is None:
        denoiser.fit(data, **options)
        return {}
    good, bad = _read_some(paths)
    if not good:
        raise IsthmusError(f"none of {len(paths)} files can be read; the first: {next(iter(bad.values()))}")
    signals = [sample.signal for sample in good]
    mostly = 2 * sum(signals) > len(signals)
    if mostly:
        denoiser.set_params(channel_axis=-1)
    denoiser.fit([sample.array for sample in good if sample.signal == mostly], **options)
    return bad


def _read_some(paths: Sequence[Path]) -> tuple[list[FileContent], dict[Path, str]]:
    """Samples in the order of their files, as many as a denoiser learns from, and what cannot be read on the way."""
    good: dict[int, FileContent] = {}
    bad: dict[Path, str] = {}
    values = 0
    for number in np.random.default_rng(0).permutation(len(paths)).tolist():
        try:
            good[number] = _read(paths[number])
        except IsthmusError as error:
            bad[paths[number]] = str(error)
            continue
        values += good[number].array.size
        if values >= MOST_VALUES:
            break
    return [good[number] for number in sorted(good)], {path: bad[path] for path in paths if path in bad}


def _read(path: Path) -> FileContent:
    """A file's sample, free of NaN."""
    sample = read_file(path)
    check_finite(SampleFiles([path], str(path)), sample.array[None], 0)
    return sample


@dataclass
class Cleaned:
    """What came of cleaning.

    count : samples that were cleaned. bad : one line for each file that could not be. examples : a few samples before
    and after, images or the middles of large ones.
    """

    count: int = 0
    bad: dict[Path, str] = field(default_factory=dict)
    examples: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)


@dataclass(frozen=True)
class FileCleaner:
    """Cleans samples and writes them.

    output : a file, or a folder for a folder. std : where the deviations of the errors go, too. averaging : see
    `Denoiser.denoise`. overwrite : whether files that exist are replaced.
    """

    denoiser: Denoiser
    output: Path
    std: Path | None = None
    averaging: bool = False
    overwrite: bool = False

    def array(self, source: Source) -> Cleaned:
        """Clean the samples of an array or a data set, which have one shape, into one .npy file."""
        with ExitStack() as stack:
            targets = [target for target in (self.output, self.std) if target is not None]
            files = [stack.enter_context(npy_file(target, len(source))) for target in targets]
            for chunk in source.chunks():
                for add, part in zip(files, self._parts(chunk), strict=True):
                    add(part)
        cleaned = Cleaned(len(source))
        if len(source.shape) > 2:
            first = source.take(np.arange(min(_EXAMPLES, len(source))))
            cleaned.examples = list(zip(first, self._parts(first)[0], strict=True))
        return cleaned

    def files(self, paths: Iterable[Path], folder: Path | None = None) -> Cleaned:
        """Clean files one by one. folder : what their names in the output are relative to; None for a single file."""
        from isthmus.evaluation.figures.before_after import middle

        done = Cleaned()
        for path in paths:
            try:
                sample, cleaned = self._file(path, None if folder is None else path.relative_to(folder))
            except (IsthmusError, OSError, MemoryError) as error:
                done.bad[path] = str(error) if str(path) in str(error) else f"{path}: {error}"
                continue
            done.count += 1
            if len(done.examples) < _EXAMPLES and not sample.signal and min(cleaned.shape[:2]) >= _LEAST_PIXELS:
                done.examples.append((middle(sample.array).copy(), middle(cleaned).copy()))
        return done

    def _file(self, path: Path, name: Path | None) -> tuple[FileContent, np.ndarray]:
        """Clean one file. name : within the folders of the output and the deviations, if these are folders."""
        target = self.output if name is None else self.output / name
        if target.exists() and not self.overwrite:
            raise IsthmusError(f"{target} exists; give --overwrite to replace it")
        sample = _read(path)
        cleaned, *deviations = self._sample(sample, sound=path.suffix.lower() == ".wav")
        if self.std is not None:
            beside = "" if name is None else name if name.suffix.lower() == ".npy" else f"{name}.npy"
            write_file(self.std / beside, sample, deviations[0])
        write_file(target, sample, cleaned)
        return sample, cleaned

    def _sample(self, sample: FileContent, sound: bool) -> list[np.ndarray]:
        """One sample; the channels of a signal one by one where the model has learned from signals without channels."""
        denoiser, array = self.denoiser, sample.array
        if sample.signal and denoiser.network_spec_.num_spatial_dims == 1 and denoiser.channel_axis in ("auto", None):
            return [part.T for part in self._parts(array.T.copy(), sound)]
        return [part[0] for part in self._parts([array], sound)]

    def _parts(self, samples: Any, sound: bool = False) -> list[Any]:
        """The samples cleaned and, if they are wanted, the deviations of the errors."""
        found = self.denoiser.denoise(samples, averaging=self.averaging, return_std=self.std is not None, sound=sound)
        return [found] if self.std is None else list(found)
