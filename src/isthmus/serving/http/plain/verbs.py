"""What can be asked of a model at a plain endpoint: one function for each."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.frames import as_table, is_frame
from isthmus.errors import IsthmusError
from isthmus.files import atomic_path
from isthmus.registry import estimators
from isthmus.serving.http.limits import Refusal
from isthmus.serving.http.plain.call import Call
from isthmus.serving.http.plain.formats import ARCHIVE, CSV, IMAGES, JSON, NPY, WAV, ZIP, Format, chosen, format_of
from isthmus.serving.http.plain.reading import check_size, nested_array, only, read_body, read_list
from isthmus.serving.http.plain.writing import File, Result, file_of
from isthmus.serving.http.rows import size_of
from isthmus.serving.http.served import CODE, INPUT, Served

Answer = Callable[..., Awaitable[Result | File]]
_ANSWER = "-answer"  # as no upload is called
_CODEC_SHARE = 8  # values of pictures that are decoded in the time in which one is coded


def answers(served: Served, store: Any = None) -> dict[str, Answer]:
    """What a model can be asked, by the names of endpoints. store : an `isthmus.Store` of its codes, for `similar`."""
    model, can = served.model, estimators.of(served.model).can
    found: dict[str, Answer] = {}
    for ability, of_ability in _ANSWERS.items():
        if ability in can:
            found |= of_ability
    if "encode" in can:
        if served.schema is not None:
            found["explain"] = explain
        if getattr(model, "rows_", None) is not None or _draws_codes(model):
            found["sample"] = sample
        if model.code_shape_ == (2,):
            found["map"] = place_on_map
        if store is not None:
            found["similar"] = similar
    return found


def _draws_codes(model: Any) -> bool:
    from isthmus.networks.bottleneck import Variational

    return isinstance(model.network_.bottleneck, Variational)


async def encode(call: Call) -> Result:
    """The codes of samples."""
    found = await call.outputs((await call.rows()).values, [CODE])
    return Result(found)


async def place_on_map(call: Call) -> Result:
    """Where samples lie on the map."""
    found = await call.outputs((await call.rows()).values, [CODE])
    return Result({"place": found[CODE]}, columns=("x", "y"))


async def decode(call: Call) -> Result:
    """Samples from codes."""
    rows = await call.rows(CODE)
    return _samples(call, await call.outputs(rows.values, ["reconstruction"], CODE), rows.single)


async def reconstruct(call: Call) -> Result | File:
    """Samples as the decoder rebuilds them from their codes."""
    if (form := _own_format(call, (*IMAGES, WAV))) is not None:
        return await _rewritten(call, form)
    rows = await call.rows()
    return _samples(call, await call.outputs(rows.values, ["reconstruction"]), rows.single)


async def score(call: Call) -> Result:
    """How well samples are rebuilt, or how normal they are and how sure that is."""
    import pyarrow as pa

    wanted = [spec.name for spec in call.served.outputs[INPUT] if spec.name in _SCORES]
    found = await call.outputs((await call.rows()).values, wanted)
    return Result({"score": pa.table({name: found[name] for name in wanted})})


async def denoise(call: Call) -> Result | File:
    """Samples without their noise; a file with its format, depth and metadata."""
    if (form := _own_format(call, (*IMAGES, WAV, CSV))) is not None:
        return await _cleaned(call, form)
    rows = await call.rows()
    return _samples(call, await call.outputs(rows.values, ["cleaned"]), rows.single)


async def impute(call: Call) -> Result:
    """Rows with their holes filled."""
    return _samples(call, await call.outputs((await call.rows()).values, ["filled"]))


async def explain(call: Call) -> Result:
    """Which parts of samples are strange, and what would have been expected there."""
    rows, model = (await call.rows()).values, call.model

    def work() -> tuple[Any, Any]:
        if "encode" in estimators.of(model).can:
            return model.score_columns(rows), model.reconstruct(rows)
        parts = model.explain(rows)
        return parts.scores, parts.expected

    scores, expected = map(_plain, await call.alone(work, size_of(rows)))
    return Result({"scores": scores, "expected": expected}, columns=_names(model, scores))


async def sample(call: Call, n: int, seed: int) -> Result:
    """New samples. The body may say what rows of a table must be."""
    model, where = call.model, await call.scratch.aside(lambda: _conditions(call))

    def work() -> Any:
        if call.served.schema is not None:
            return model.sampled(n, seed, where=where)
        if where:
            raise Refusal(400, "conditions are for models of tables with words, dates or holes")
        return model.sample(n, None, seed)

    size = int(np.prod(model.scaler_.sample_shape))
    if n * size > call.limits.values:
        raise Refusal(413, f"{n:,} samples of {size:,} values; at most {call.limits.values:,} values are made")
    return _samples(call, {"sample": _plain(await call.alone(work, n * size))})


async def similar(call: Call, k: int, store: Any) -> File:
    """The samples of a store whose codes are nearest."""
    chosen(call.accept, [JSON])
    rows = (await call.rows()).values

    def work() -> list[list[dict[str, Any]]]:
        found = store.nearest(call.model.encode(rows), k)
        return [[{name: asdict(one)[name] for name in ("sample", "label", "distance")} for one in row] for row in found]

    return File(json.dumps(await call.alone(work, size_of(rows)), ensure_ascii=False).encode(), JSON)


async def compress(call: Call, quality: float | None, embed_model: bool) -> File:
    """Image files or arrays in one archive."""
    chosen(call.accept, [ARCHIVE])
    options: dict[str, Any] = {"quality": quality, "embed_model": embed_model}
    if any(upload.format is JSON for upload in call.uploads):
        rows = await call.scratch.aside(lambda: read_list(only(call.uploads), call.limits))
        images = await call.scratch.aside(lambda: nested_array(rows, "UINT8"))
        content = await call.alone(lambda: call.model.compress(images, **options), images.size)
        return File(content, ARCHIVE)
    target = call.scratch.path / f"{_ANSWER}.isth"

    def work() -> File:
        from isthmus.compression.files import pack

        paths = [str(upload.path) for upload in call.uploads]
        packed = pack(call.model, paths, target, name=call.served.name, **options)
        return file_of(target, ARCHIVE, packed.notes)

    return await call.alone(work, await _size(call))


async def decompress(call: Call) -> File:
    """The file that an archive holds, or a zip file of several."""
    folder, archive = call.scratch.path / _ANSWER, only(call.uploads).path
    most = call.limits.pixels // _CODEC_SHARE

    def work() -> list[Path]:
        from isthmus.compression.files import unpack

        unpacked = unpack(archive, folder, model=call.model, max_pixels=most)
        if unpacked.problems:
            raise IsthmusError(unpacked.problems[0])
        return sorted(path for path in folder.rglob("*") if path.is_file())

    paths = await call.alone(work, most)
    form = format_of("", paths[0].name) if len(paths) == 1 else ZIP
    form = form or Format("application/octet-stream", ("",))
    chosen(call.accept, [form])
    if form is not ZIP:
        return await call.scratch.aside(lambda: file_of(paths[0], form))
    return await call.scratch.aside(lambda: File(_zipped(paths, folder), ZIP))


def _zipped(paths: list[Path], folder: Path) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:  # pictures are packed already
        for path in paths:
            file.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()


# Files that keep what they hold beside their samples


def _own_format(call: Call, formats: tuple[Format, ...]) -> Format | None:
    """What to write a file in that is rewritten sample by sample; None where its rows are wanted in another format."""
    if len(call.uploads) != 1 or call.uploads[0].format not in formats:
        return None
    own = call.uploads[0].format
    possible = [
        own,
        *(one for one in IMAGES if own in IMAGES and one is not own),
        *([JSON, NPY] if own is not CSV else []),
    ]
    form = chosen(call.accept, possible)
    return None if form in (JSON, NPY) else form


async def _rewritten(call: Call, form: Format) -> File:
    """An image or a sound with every sample reconstructed."""
    from isthmus.data.sample_files import open_sample

    target, source = call.scratch.path / f"{_ANSWER}{form.suffix}", call.uploads[0].path
    flat = len(call.model.scaler_.sample_shape) == 1

    def reconstruct_one(sample: np.ndarray) -> np.ndarray:
        seen = sample[:, 0] if flat and sample.shape[1:] == (1,) else sample
        rebuilt: np.ndarray = call.model.reconstruct(seen[None])[0]
        return rebuilt.reshape(sample.shape).astype(sample.dtype, copy=False)

    def work() -> File:
        file = open_sample(source)
        _check_target(file, target)
        with atomic_path(target) as temporary:
            file.rewrite(temporary, reconstruct_one)
        return file_of(target, form, file.notes)

    return await call.alone(work, await _size(call))


async def _cleaned(call: Call, form: Format) -> File:
    """A file as `isthmus denoise` writes it."""
    from isthmus.data.sample_files import open_sample
    from isthmus.denoising.files import FileCleaner

    source = call.uploads[0].path
    suffix = source.suffix if form is call.uploads[0].format else form.suffix
    target = call.scratch.path / f"{_ANSWER}{suffix}"

    def work() -> File:
        _check_target(open_sample(source), target)
        done = FileCleaner(call.model, target).files([source])
        if done.bad:
            raise IsthmusError(next(iter(done.bad.values())))
        return file_of(target, form, list(done.notes))

    return await call.alone(work, await _size(call))


def _check_target(file: Any, target: Path) -> None:
    try:
        file.check_target(target)
    except IsthmusError as error:
        raise Refusal(406, str(error).replace(f"{target.parent}/", "")) from error


async def _size(call: Call) -> int:
    return await call.scratch.aside(lambda: check_size(call.uploads, call.limits))


def _samples(call: Call, found: Mapping[str, Any], single: bool = False) -> Result:
    (value,) = found.values()
    return Result(found, columns=_names(call.model, value), single=single)


def _names(model: Any, value: Any) -> list[str]:
    """What the columns of an array are called, where it is one of rows and the model knows."""
    names = getattr(model, "feature_names_in_", None)
    is_rows = isinstance(value, np.ndarray) and value.ndim == 2
    return [str(name) for name in names] if names is not None and is_rows else []


def _plain(value: Any) -> Any:
    return as_table(value) if is_frame(value) else np.asarray(value)


def _conditions(call: Call) -> dict[str, Any]:
    """What rows must be, as `AutoEncoder.sample` takes it: {"age": {"from": 30, "to": 40}} is a range."""
    if not call.uploads:
        return {}
    given = read_body(only(call.uploads), call.limits)
    if not isinstance(given, dict):
        raise Refusal(400, 'conditions are an object, as in {"sex": "f", "age": {"from": 30, "to": 40}}')
    found = {}
    for name, value in given.items():
        if isinstance(value, dict):
            if not value or not value.keys() <= {"from", "to"}:
                raise Refusal(400, f"the range of {name[:60]!r} has from, to or both, not {list(value)[:5]}")
            value = (value.get("from"), value.get("to"))
        found[name] = value
    return found


_SCORES = ("score", "p_value", "anomaly")
_ANSWERS: Mapping[str, Mapping[str, Answer]] = {
    "encode": {"encode": encode, "decode": decode, "reconstruct": reconstruct, "score": score},
    "clean": {"denoise": denoise},
    "fill": {"impute": impute},
    "detect": {"score": score, "explain": explain},
    "compress": {"compress": compress, "decompress": decompress},
}
