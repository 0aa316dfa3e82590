"""`isthmus denoise`, and the training of denoisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus import registry
from isthmus.cli import options
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG
from isthmus.spec import parse_corruption

if TYPE_CHECKING:
    import numpy as np

    from isthmus import Denoiser
    from isthmus.data.sample_files import FileContent
    from isthmus.training.progress import Listener

_MINUTES = 3.0  # of learning from the noisy files themselves
_SHOWN, _LEAST_SHOWN = 6, 8  # samples of the contact sheet, and pixels that one has at least


Noise = Annotated[
    str | None,
    options.named(
        "--noise",
        registry.corruptions,
        "As gaussian:0.1 or poisson:30+gaussian:0.05, in units of the range of integers; estimated from noisy data "
        "where it is not given.",
        panel="Denoising",
        parse=parse_corruption,
    ),
]
Size = Annotated[str, typer.Option("--size", help="Of the network: small, medium or large.", metavar="NAME")]


def train_denoiser(
    data: str, folder: Path, noise: str | None, size: str, *, listeners: list[Listener], **settings: Any
) -> None:
    """Train a denoiser, save it and say what it is."""
    from isthmus import Denoiser

    denoiser = Denoiser(noise, size=size, **settings)
    bad = _learn(denoiser, data, _paths(Path(data).expanduser()), listeners)
    denoiser.save(folder)
    typer.echo(f"Noise       {denoiser.noise_}")
    typer.echo(f"Model       {folder} ({denoiser.network_.num_parameters:,} parameters)")
    _report(bad)


def denoise(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="A folder or a file (images, .wav, .csv, .npy) or a data set; before it the folder of a model. "
            "Without a model one is learned from the noisy data themselves.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A folder for a folder, else a file.", show_default=False)
    ],
    noise: Noise = None,
    size: Size = "small",
    minutes: Annotated[float | None, typer.Option(help="Time to learn without a model.", show_default="3")] = None,
    averaging: Annotated[
        bool, typer.Option("--averaging", help="Mean over flips and turns: slower, slightly better.")
    ] = False,
    std: Annotated[
        Path | None,
        typer.Option(
            help="Also write how far off each value may be, one standard deviation in the data's units: a .npy file; "
            "for a folder, a folder of them.",
        ),
    ] = None,
    save_model: Annotated[Path | None, typer.Option(help="Keep the model that was learned.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Picture of samples before and after.", show_default="OUTPUT-before-after.png")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Take the noise away; without a model, learn how from the noisy files themselves.

    Files keep their names, formats, depths and metadata. A file that cannot be read is named, the rest is done, and
    the exit status is 1.

    Examples:

      isthmus denoise noisy/ -o clean/

      isthmus denoise noisy/ -o clean/ --noise poisson

      isthmus denoise photos-denoiser noisy/ -o clean/ --std deviations/
    """
    from isthmus import Denoiser
    from isthmus.training.progress import Bar

    if len(inputs) > 2:
        raise typer.BadParameter(f"give DATA, or MODEL and DATA, not {len(inputs)} arguments")
    *models, data = inputs
    if not models and (Path(data) / CONFIG).is_file():
        raise typer.BadParameter(f"{data} is a model; name the noisy data after it")
    if models and (noise is not None or minutes is not None or save_model is not None):
        raise typer.BadParameter(
            "--noise, --minutes and --save-model are for learning from noisy data, without a model"
        )
    place = Path(data).expanduser()
    paths = _paths(place)
    bad: dict[Path, str] = {}
    folder = paths is not None and place.is_dir()
    options.check_output(output, overwrite, folder=folder)
    if std is not None:
        if std.suffix != ".npy" and not folder:
            raise typer.BadParameter(f"--std {str(std)!r} must end in .npy")
        if std.resolve() == output.resolve():
            raise typer.BadParameter(f"--std and --output are both {str(std)!r}; name two places")
        options.check_output(std, overwrite, folder=folder)
    if models:
        denoiser = Denoiser.load(models[0], device=device)
    else:
        denoiser = Denoiser(
            noise, learn_from="noisy", size=size, minutes=minutes or _MINUTES, device=device, random_state=seed
        )
        bad = _learn(denoiser, data, paths, [] if quiet else [Bar()])
        typer.echo(f"Noise       {denoiser.noise_}")
        if save_model is not None:
            typer.echo(f"Model       {denoiser.save(save_model)}")
    cleaning = _Cleaning(denoiser, output, std, averaging, overwrite)
    if paths is None:
        shown = cleaning.array(data)
    else:
        shown, more = cleaning.files(place, [path for path in paths if path not in bad], quiet)
        bad |= more
    if shown:
        sheet = sheet or output.parent / f"{output.stem}-before-after.png"
        from isthmus.evaluation.figures.before_after import before_after

        before_after(shown, sheet)
        typer.echo(f"Sheet       {sheet}")
    _report(bad)


def _report(bad: Mapping[Path, str]) -> None:
    for line in bad.values():
        typer.echo(f"isthmus: {line}", err=True)
    if bad:
        raise typer.Exit(1)


def _paths(path: Path) -> list[Path] | None:
    """The files of a folder, one file, or None where the data are an array or a data set."""
    import numpy as np

    from isthmus.data.sample_files import READABLE, sample_paths

    if path.is_dir() and path.suffix != ".zarr":
        return sample_paths(path)
    if path.is_file() and path.suffix.lower() in READABLE:
        if path.suffix.lower() == ".npy" and np.load(path, mmap_mode="r").ndim > 1:
            return None
        return [path]
    return None


def _learn(
    denoiser: Denoiser, data: str, paths: Sequence[Path] | None, listeners: Sequence[Listener]
) -> dict[Path, str]:
    """Learn from the data; returns what cannot be read."""
    if paths is None:
        denoiser.fit(data, listeners=listeners)
        return {}
    from isthmus.data.sample_files import SampleFiles

    good: list[Path] = []
    signals: list[bool] = []
    bad: dict[Path, str] = {}
    for path in paths:
        try:
            sample = _read(path)
        except IsthmusError as error:
            bad[path] = str(error)
            continue
        good.append(path)
        signals.append(sample.signal)
    if not good:
        raise IsthmusError(f"none of {len(paths)} files can be read; the first: {next(iter(bad.values()))}")
    mostly = 2 * sum(signals) > len(signals)
    if mostly:
        denoiser.set_params(channel_axis=-1)
    chosen = [path for path, signal in zip(good, signals, strict=True) if signal == mostly]
    denoiser.fit(SampleFiles(chosen, data, upright=False), listeners=listeners)
    return bad


def _read(path: Path) -> FileContent:
    """A file's sample, free of NaN."""
    from isthmus.data.sample_files import SampleFiles, read_file
    from isthmus.data.scaling import check_finite

    sample = read_file(path)
    check_finite(SampleFiles([path], str(path)), sample.array[None], 0)
    return sample


@dataclass(frozen=True)
class _Cleaning:
    """How samples are cleaned, and where they and the deviations of the errors go."""

    denoiser: Denoiser
    output: Path
    std: Path | None
    averaging: bool
    overwrite: bool

    def array(self, data: str) -> list[tuple[Any, Any]]:
        """Clean the samples of an array or a data set into a .npy file; a few of them, before and after."""
        import numpy as np

        from isthmus.cli.output import npy_file
        from isthmus.data.sources import open_source

        source = open_source(data)
        with ExitStack() as stack:
            targets = [target for target in (self.output, self.std) if target is not None]
            files = [stack.enter_context(npy_file(target, len(source))) for target in targets]
            for chunk in source.chunks():
                for add, part in zip(files, self._parts(chunk), strict=True):
                    add(part)
        typer.echo(f"{len(source):,} samples in {self.output}")
        if len(source.shape) < 3:
            return []
        first = source.take(np.arange(min(_SHOWN, len(source))))
        return list(zip(first, self._parts(first)[0], strict=True))

    def files(self, data: Path, paths: Sequence[Path], quiet: bool) -> tuple[list[tuple[Any, Any]], dict[Path, str]]:
        """Clean file by file; the middles of a few images before and after, and what could not be done."""
        from rich.progress import track

        from isthmus.evaluation.figures.before_after import middle

        shown: list[tuple[Any, Any]] = []
        bad: dict[Path, str] = {}
        for path in track(paths, "cleaning", disable=quiet or len(paths) < 2):
            try:
                sample, cleaned = self._file(path, path.relative_to(data) if data.is_dir() else None)
            except (IsthmusError, OSError, MemoryError) as error:
                bad[path] = str(error) if str(path) in str(error) else f"{path}: {error}"
                continue
            if len(shown) < _SHOWN and not sample.signal and min(cleaned.shape[:2]) >= _LEAST_SHOWN:
                shown.append((middle(sample.array).copy(), middle(cleaned).copy()))
        typer.echo(f"{len(paths) - len(bad):,} of {len(paths):,} files in {self.output}")
        return shown, bad

    def _file(self, path: Path, name: Path | None) -> tuple[FileContent, np.ndarray]:
        """Clean one file. name : within the folders of the output and the deviations, if these are folders."""
        from isthmus.data.sample_files import write_file

        target = self.output if name is None else self.output / name
        if target.exists() and not self.overwrite:
            raise IsthmusError(f"{target} exists; give --overwrite to replace it")
        sample = _read(path)
        cleaned, *deviations = self._sample(sample)
        if self.std is not None:
            beside = "" if name is None else name if name.suffix.lower() == ".npy" else f"{name}.npy"
            write_file(self.std / beside, sample, deviations[0])
        write_file(target, sample, cleaned)
        return sample, cleaned

    def _sample(self, sample: FileContent) -> list[np.ndarray]:
        """One sample; the channels of a signal one by one where the model has learned from signals without channels."""
        denoiser, array = self.denoiser, sample.array
        if sample.signal and denoiser.network_spec_.num_spatial_dims == 1 and denoiser.channel_axis in ("auto", None):
            return [part.T for part in self._parts(array.T.copy())]
        return [part[0] for part in self._parts([array])]

    def _parts(self, samples: Any) -> list[Any]:
        """The samples cleaned and, if they are wanted, the deviations of the errors."""
        found = self.denoiser.denoise(samples, averaging=self.averaging, return_std=self.std is not None)
        return [found] if self.std is None else list(found)
