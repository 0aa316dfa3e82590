"""Models by what they can do, and data as they take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from isthmus import registry
from isthmus.cli import options
from isthmus.cli.columns import tell_columns
from isthmus.cli.progress import track
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, read_config
from isthmus.remote.hub import pinned
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    import numpy as np

    from isthmus.data.sources import Source

_BLOCK = 1024  # samples that are read, encoded and written at a time
_BLOCK_OF_ROWS = 1 << 15  # of tables
_BLOCK_BYTES = 1 << 26  # and fewer of large ones


def load_model(folder: str, device: str, *abilities: str) -> Any:
    """The model in a folder, which must be able to do all of this, as in "encode"; see `EstimatorEntry.can`."""
    import isthmus

    place = pinned(as_path(folder))
    if place != as_path(folder):
        typer.echo(f"{folder} is {place}", err=True)  # which the branch or tag means today
    name = read_config(place)["estimator"]
    missing = [ability for ability in abilities if ability not in registry.estimators[name].can]
    if missing:
        able = ", ".join(registry.estimators.that(*abilities))
        raise IsthmusError(f"{folder} holds a {name}, which cannot {' or '.join(missing)}; these can: {able}")
    return isthmus.load(place, device=device)


def model_and_data(inputs: list[str]) -> tuple[str | None, str]:
    """Of one or two arguments, the folder of a model, if there is one, and the data."""
    if len(inputs) > 2:
        raise typer.BadParameter(f"give DATA, or MODEL and DATA, not {len(inputs)} arguments")
    *models, data = inputs
    if (as_path(data) / CONFIG).is_file():
        turned = models and not (as_path(models[0]) / CONFIG).is_file()
        raise typer.BadParameter(
            f"{data} is a model; " + ("name it before the data" if turned else "name data after it")
        )
    return (models[0] if models else None), data


def open_model(model: str, data: str, reading: options.Reading, device: str, *abilities: str) -> tuple[Any, Source]:
    """A model that can do all of this, and data read as it takes them."""
    estimator = load_model(model, device, *abilities)
    return estimator, open_for(estimator, data, reading)


def _training(data: str, reading: options.Reading, columns: options.ColumnKinds) -> Source:
    from isthmus.data.table_source import TableSource

    table = None if data in registry.named_datasets else reading.table_to_learn(data, columns.kinds, columns.markers)
    if table is None:
        return reading.open(data)
    if isinstance(table, TableSource):
        tell_columns(data, table.schema)
    return table


def open_for(model: Any, data: str, reading: options.Reading) -> Source:
    """Data as a source; image files are read in the mode that the model was trained on, and in its size if asked."""
    from isthmus.data.folders import ImageFiles
    from isthmus.data.table_scaling import TableScaler

    if "detect" in registry.estimators.of(model).can:
        return _open_to_judge(model, data, reading)
    if isinstance(model.scaler_, TableScaler):
        told = getattr(model, "missing_columns", "refuse")
        table = reading.table(data, schema=model.scaler_.schema, told=told)
        if table is None:
            raise IsthmusError(f"{data} is no table, and the model takes rows of a table")
        return table
    source = reading.open(data, _image_mode(model, data), getattr(model, "feature_names_in_", None))
    size = model.scaler_.sample_shape[:2]
    if isinstance(source, ImageFiles) and source.shape[1:3] != size and len(size) == 2:
        if reading.mixed_sizes != "resize":
            (height, width), (rows, columns) = source.shape[1:3], size
            raise IsthmusError(
                f"images of {data} have {width}×{height} pixels and the model takes {columns}×{rows}; give "
                f"--mixed-sizes resize to scale them"
            )
        return source.resized(*size)
    return source


def open_to_detect(data: str, kind: str, reading: options.Reading, columns: options.ColumnKinds) -> Source:
    """Data that a detector learns from. Samples keep their sizes. kind : as `AnomalyDetector` takes it."""
    table = reading.table(data, columns.kinds, columns.markers) if kind in ("auto", "table", "series") else None
    if table is None:
        return _samples(data, kind, reading)
    tell_columns(data, table.schema)
    return table


def _open_to_judge(detector: Any, data: str, reading: options.Reading) -> Source:
    """Data as a detector takes them."""
    schema = detector.scorer_.schema
    table = None if schema is None else reading.table(data, schema=schema, told=detector.missing_columns)
    return _samples(data, detector.kind_, reading) if table is None else table


def _samples(data: str, kind: str, reading: options.Reading) -> Source:
    """Samples of any size; a series of one channel may be a line of numbers."""
    from isthmus.data.base import ArraySource
    from isthmus.data.files import map_npy

    path = as_path(data)
    if kind == "series" and path.suffix.lower() == ".npy" and path.is_file():
        array = map_npy(path)
        return ArraySource(array[:, None] if array.ndim == 1 else array, name=data)
    resized = reading.mixed_sizes != "refuse"
    return (reading if resized else replace(reading, mixed_sizes="keep")).open(data)


def _image_mode(model: Any, data: str) -> str | None:
    """The mode that image files must be read in for this model; None for other data."""
    from isthmus.data.images import SUFFIXES

    scaler, path = model.scaler_, as_path(data)
    files = path.is_dir() or path.suffix.lower() in SUFFIXES
    if not files or scaler.dtype != "uint8" or len(scaler.sample_shape) not in (2, 3):
        return None
    return {2: "grey", 3: {3: "rgb", 4: "rgba"}.get(scaler.sample_shape[-1])}[len(scaler.sample_shape)]


def blocks(source: Source, what: str) -> Iterator[Source]:
    """Successive parts of a source, read into memory one after the other. what : is done to them, for the progress."""
    return track((block(source, span) for span in block_spans(source)), len(source), what, count=len)


def block_spans(source: Source) -> list[tuple[int, int]]:
    """The ranges (start, stop) of samples that are read, worked on and written at a time."""
    most = _BLOCK if len(source.shape) > 2 else _BLOCK_OF_ROWS
    return source.spans(max(1, min(most, _BLOCK_BYTES * len(source) // max(1, source.nbytes))))


def block(source: Source, span: tuple[int, int]) -> Source:
    """One part of a source, read into memory."""
    import numpy as np

    from isthmus.data.base import in_memory
    from isthmus.data.sources import subset

    return in_memory(subset(source, np.arange(*span)))


def write_npy(path: Path, blocks: Iterable[np.ndarray], rows: int) -> None:
    """Successive blocks as one .npy file of so many rows, at once."""
    from isthmus.files import npy_file

    with npy_file(path, rows) as add:
        for block in blocks:
            add(block)


def halves(source: Source) -> tuple[Source, Source]:
    """Two random halves of a source, always the same ones; of fewer than four samples, all of them twice."""
    from isthmus.data.base import random_halves
    from isthmus.data.sources import subset

    if len(source) < 4:
        return source, source
    fitted, judged = random_halves(len(source))
    return subset(source, fitted), subset(source, judged)


def training_and_test(
    data: str, test: str | None, reading: options.Reading, seed: int, columns: options.ColumnKinds | None = None
) -> tuple[Source, Source]:
    """What to train on and what to judge on: the test set of a named data set, or a tenth that is held out.

    columns : where a table may have columns of any kind; one of numbers without holes comes as such.
    """
    import numpy as np

    from isthmus.data.sources import subset
    from isthmus.data.table_source import TableSource

    training = reading.open(data) if columns is None else _training(data, reading, columns)
    if test is not None:
        if isinstance(training, TableSource):
            table = reading.table(test, schema=training.schema)
            if table is None:
                raise IsthmusError(f"--test {test} is no table, as {data} is")
            return training, table
        testing = reading.open(test, columns=training.feature_names)
        if testing.shape[1:] != training.shape[1:]:
            raise IsthmusError(f"samples of --test {test} do not have the shape of those of {data}")
        return training, testing
    if data in registry.named_datasets:
        return training, reading.open(f"{data}:test")
    held_out = min(10_000, len(training) // 10)
    if held_out == 0:  # too few to spare any: judged on the training samples
        return training, training
    order = np.random.default_rng([seed, 2]).permutation(len(training))
    return subset(training, np.sort(order[held_out:])), subset(training, np.sort(order[:held_out]))
