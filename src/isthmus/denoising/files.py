"""Noisy files: learned from and cleaned one by one, in their own formats and under their own names.

Each file is read once to learn and once to be cleaned. A file that cannot be read is left out and reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.channels_last import channels_last, sample_channel_axis
from isthmus.data.files import map_npy
from isthmus.data.sample_file import SampleFile
from isthmus.data.sample_files import READABLE, SampleFiles, open_sample, sample_paths
from isthmus.data.scaling import check_finite
from isthmus.data.sources import Source
from isthmus.denoising.denoiser import MOST_VALUES, Denoiser
from isthmus.denoising.own_units import NOISE, OwnUnits, in_own_units
from isthmus.errors import IsthmusError
from isthmus.files import atomic_paths, npy_file
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.evaluation.figures.before_after import Example

_ARRAY_BYTES = 1 << 24  # of an array that is cleaned at a time
_EXAMPLES, _LEAST_PIXELS = 6, 8  # samples that are shown before and after, and the height and width of the smallest


def paths_of(data: str | Path) -> list[Path] | None:
    """The files of a folder, in natural order, or a single one; None where the data are an array or a data set."""
    path = as_path(data)
    if path.is_dir() and path.suffix != ".zarr":
        return sample_paths(path)
    if path.is_file() and path.suffix.lower() in READABLE:
        return None if path.suffix.lower() == ".npy" and map_npy(path).ndim > 1 else [path]
    return None


def learn(denoiser: Denoiser, data: str | Path | Source, **options: Any) -> dict[Path, str]:
    """Fit a denoiser to a folder of files, a file, an array, a data set or a source.

    options : those of `Denoiser.fit`. Returns one line for each file that cannot be read. Of more files than a denoiser
    learns from, a random part is read. Where most are signals, their last axis is that of the channels.
    """
    paths = None if isinstance(data, Source) else paths_of(data)
    if paths is None:
        denoiser.fit(data, **options)
        return {}
    good, bad = _read_some(paths)
    if not good:
        raise IsthmusError(f"none of {len(paths)} files can be read; the first: {next(iter(bad.values()))}")
    mostly = 2 * sum(signal for signal, _ in good) > len(good)
    if mostly:
        denoiser.set_params(channel_axis=-1)
    samples = [sample for signal, sample in good if signal == mostly]
    if mostly and any(map(in_own_units, samples)):
        if denoiser.noise not in (None, "gaussian"):
            raise IsthmusError(
                f"noise {denoiser.noise!r} has one level, and the columns of {data} are in units of their own; leave "
                "the noise out, and it is estimated for each"
            )
        denoiser.set_params(noise=NOISE, learn_from="noisy")
        samples = [OwnUnits.of(sample).inside(sample) for sample in samples]
    denoiser.fit(samples, **options)
    return bad


def array_spans(source: Source) -> list[tuple[int, int]]:
    """The ranges (start, stop) of samples of one shape that are cleaned at a time."""
    size = max(1, _ARRAY_BYTES * len(source) // max(1, source.nbytes))
    return [(start, min(start + size, len(source))) for start in range(0, len(source), size)]


def _read_some(paths: Sequence[Path]) -> tuple[list[tuple[bool, np.ndarray]], dict[Path, str]]:
    """Samples in the order of their files, as many as a denoiser learns from, and what cannot be read on the way.

    With each sample comes whether it is a signal.
    """
    good: dict[int, list[tuple[bool, np.ndarray]]] = {}
    bad: dict[Path, str] = {}
    values = 0
    for number in np.random.default_rng(0).permutation(len(paths)).tolist():
        found = []
        try:
            file = open_sample(paths[number])
            for sample in file.samples():
                _check(file, sample)
                found.append((file.signal, sample))
                values += sample.size
                if values >= MOST_VALUES:
                    break
        except IsthmusError as error:
            bad[paths[number]] = str(error)
            continue
        good[number] = found
        if values >= MOST_VALUES:
            break
    samples = [sample for number in sorted(good) for sample in good[number]]
    return samples, {path: bad[path] for path in paths if path in bad}


def _check(file: SampleFile, sample: np.ndarray) -> None:
    """Refuse infinity; what is NaN in a file is filled in its samples."""
    check_finite(SampleFiles([file.path], str(file.path)), sample[None], 0)


@dataclass
class Cleaned:
    """The outcome of cleaning.

    count : files or samples that were cleaned. bad : one line for each file that could not be. notes : what was left
    alone or could not be kept, and in how many files. examples : a few samples before and after.
    """

    count: int = 0
    bad: dict[Path, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def add(self, other: Cleaned) -> None:
        """Add the outcome for further files."""
        self.count += other.count
        self.bad |= other.bad
        self.notes.update(other.notes)
        self.examples = [*self.examples, *other.examples][:_EXAMPLES]


@dataclass(frozen=True)
class FileCleaner:
    """Cleans samples and writes them.

    output : a file, or a folder for a folder. std : where the standard deviations of the errors are written, if they
    are. averaging : see `Denoiser.denoise`. overwrite : whether files that exist are replaced.
    """

    denoiser: Denoiser
    output: Path
    std: Path | None = None
    averaging: bool = False
    overwrite: bool = False

    def array(self, source: Source, parts: Iterable[Sequence[np.ndarray]]) -> Cleaned:
        """Write the cleaned samples of an array or a data set, which have one shape, into one .npy file.

        parts : what `of_array` gives for each of `array_spans`, in order.
        """
        with ExitStack() as stack:
            targets = [target for target in (self.output, self.std) if target is not None]
            files = [stack.enter_context(npy_file(target, len(source))) for target in targets]
            for part in parts:
                for add, values in zip(files, part, strict=True):
                    add(values)
        cleaned = Cleaned(len(source))
        first = source.take(np.arange(min(_EXAMPLES, len(source))))
        cleaned.examples = [
            self._example(source.location(index), before, after)
            for index, (before, after) in enumerate(zip(first, self._parts(first)[0], strict=True))
        ]
        return cleaned

    def _example(self, name: str, before: np.ndarray, after: np.ndarray) -> Example:
        """Of a sample of an array, in the layout that the denoiser takes."""
        from isthmus.evaluation.figures.before_after import example

        signal = self.denoiser.network_spec_.num_spatial_dims == 1
        if signal:
            axis = sample_channel_axis(before.shape, self.denoiser.channel_axis)
            before, after = channels_last(before, axis), channels_last(after, axis)
        return example(name, before, after, signal=signal)

    def of_array(self, source: Source, span: tuple[int, int]) -> list[np.ndarray]:
        """A range of samples cleaned and, if they are wanted, the deviations of the errors."""
        return self._parts(source.take(np.arange(*span)))

    def files(self, paths: Iterable[Path], folder: Path | None = None) -> Cleaned:
        """Clean files one by one. folder : what their names in the output are relative to; None for a single file."""
        done = Cleaned()
        for path in paths:
            try:
                self._file(path, None if folder is None else path.relative_to(folder), done)
            except (IsthmusError, OSError, MemoryError) as error:
                done.bad[path] = str(error) if str(path) in str(error) else f"{path}: {error}"
        return done

    def _file(self, path: Path, name: Path | None, done: Cleaned) -> None:
        """Clean one file. name : within the folders of the output and the deviations, if these are folders."""
        target = self.output if name is None else self.output / name
        if target.exists() and not self.overwrite:
            raise IsthmusError(f"{target} exists; give --overwrite to replace it")
        file, examples = open_sample(path), list(done.examples)
        file.check_target(target)
        deviations: list[np.ndarray] = []

        def clean(sample: np.ndarray) -> np.ndarray:
            _check(file, sample)
            cleaned, *std = self._sample(file, sample)
            deviations.extend(std)
            if len(examples) < _EXAMPLES and (file.signal or min(cleaned.shape[:2]) >= _LEAST_PIXELS):
                from isthmus.evaluation.figures.before_after import example

                examples.append(example(path.name, sample, cleaned, signal=file.signal))
            return cleaned

        with atomic_paths(*self._places(target, name)) as (*beside, temporary):
            file.rewrite(temporary, clean)
            if beside:
                with beside[0].open("wb") as array:
                    np.save(array, file.layout(iter(deviations)), allow_pickle=False)
        done.count, done.examples = done.count + 1, examples
        done.notes.update(file.notes)

    def _places(self, target: Path, name: Path | None) -> Iterator[Path]:
        """Where the deviations go, if they are wanted, and the file."""
        if self.std is not None:
            beside = "" if name is None else name if name.suffix.lower() == ".npy" else f"{name}.npy"
            yield self.std / beside
        yield target

    def _sample(self, file: SampleFile, sample: np.ndarray) -> list[np.ndarray]:
        """One sample; the channels of a signal one by one where the model has learned from signals without channels."""
        if file.signal and sample.dtype.kind == "f" and (self.denoiser.noise_ == NOISE or in_own_units(sample)):
            return self._in_own_units(file, sample)
        return self._in_one_unit(file, sample)

    def _in_own_units(self, file: SampleFile, sample: np.ndarray) -> list[np.ndarray]:
        if self.denoiser.noise_ != NOISE:
            raise IsthmusError(
                f"{file.path} has columns in units of their own, and the model learned from columns in one unit; clean "
                "the file without a model, or with one that was learned from such files"
            )
        units = OwnUnits.of(sample)
        cleaned, *std = self._in_one_unit(file, units.inside(sample))
        levels = ", ".join(f"{level:.3g}" for level in units.noise)
        file.note(f"columns cleaned in units of their own noise, whose deviations are {levels}")
        return [units.back(cleaned, sample), *(part * units.noise.astype(np.float32) for part in std)]

    def _in_one_unit(self, file: SampleFile, sample: np.ndarray) -> list[np.ndarray]:
        denoiser = self.denoiser
        if file.signal and denoiser.network_spec_.num_spatial_dims == 1 and denoiser.channel_axis in ("auto", None):
            return [part.T for part in self._parts(sample.T.copy(), file.sound)]
        return [part[0] for part in self._parts([sample], file.sound)]

    def _parts(self, samples: Any, sound: bool = False) -> list[Any]:
        """The samples cleaned and, if they are wanted, the deviations of the errors."""
        found = self.denoiser.denoise(samples, averaging=self.averaging, return_std=self.std is not None, sound=sound)
        return [found] if self.std is None else list(found)
