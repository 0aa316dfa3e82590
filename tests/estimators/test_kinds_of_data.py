"""What users hold: each estimator takes each kind as the array that it stands for, or says why not in one line."""

from __future__ import annotations

import decimal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, SubsetRandomSampler, TensorDataset

from isthmus import AutoEncoder, Codec, Denoiser, ManifoldMap
from isthmus.data.labels import as_labels, is_labels
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
TABLE = np.random.default_rng(1).normal(size=(12, 4))
ESTIMATORS: dict[str, Callable[[], Any]] = {
    "AutoEncoder": lambda: AutoEncoder(2, epochs=1, random_state=0),
    "ManifoldMap": lambda: ManifoldMap(hidden=(8,), epochs=1, random_state=0),
    "Denoiser": lambda: Denoiser("gaussian:0.1", size="small", epochs=1, random_state=0),
    "Codec": lambda: Codec(epochs=1, random_state=0),
}


class Items(Dataset):
    """A map-style data set of (image, class) pairs."""

    def __init__(self, made: Callable[[np.ndarray], Any]) -> None:
        self.made = made

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> Any:
        return self.made(IMAGES[index])


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(torch.from_numpy(IMAGES))


class Delayed:
    """What a frame of dask looks like from outside."""

    def __init__(self, frame: Any) -> None:
        self.frame, self.columns, self.iloc, self.shape = frame, frame.columns, frame.iloc, ("delayed", 4)

    def __dask_graph__(self) -> None: ...

    def compute(self) -> Any:
        return self.frame


def objects(arrays: Any) -> np.ndarray:
    """An array of arrays."""
    made = np.empty(len(arrays), object)
    made[:] = list(arrays)
    return made


def files(folder: Path) -> list[Path]:
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(len(IMAGES))]


KINDS: dict[str, Callable[[Path], Any]] = {
    "list of arrays": lambda folder: list(IMAGES),
    "tuple of arrays": lambda folder: tuple(IMAGES),
    "array of arrays": lambda folder: objects(IMAGES),
    "list of tensors": lambda folder: [torch.from_numpy(image) for image in IMAGES],
    "list of PIL images": lambda folder: [Image.fromarray(image) for image in IMAGES],
    "list of paths": files,
    "list of names": lambda folder: [str(path) for path in files(folder)],
    "folder": lambda folder: files(folder)[0].parent,
    "TensorDataset": lambda folder: TensorDataset(torch.from_numpy(IMAGES), torch.arange(12)),
    "Dataset": lambda folder: Items(lambda image: (torch.from_numpy(image), 3)),
    "Dataset of PIL images": lambda folder: Items(lambda image: (Image.fromarray(image), 3)),
    "Dataset of arrays": lambda folder: Items(lambda image: image),
    "Subset": lambda folder: Subset(Items(torch.from_numpy), range(12)),
    "DataLoader": lambda folder: DataLoader(Items(torch.from_numpy), batch_size=5, shuffle=True),
    "memory view": lambda folder: IMAGES.data,
}
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "stream": (Stream, "stream without a length"),
    "loader of a stream": (lambda: DataLoader(Stream()), "give its data set"),
    "loader of some": (lambda: DataLoader(Items(torch.from_numpy), sampler=SubsetRandomSampler([1])), "a Subset"),
    "loader that changes": (lambda: DataLoader(Items(torch.from_numpy), collate_fn=list), "give its data set"),
    "Dataset of dicts": (lambda: Items(lambda image: {"x": image}), "item 0 of Items is of type dict|item . of Items"),
    "generator": (lambda: iter(IMAGES), "type .*iterator.* give an array"),
    "dict": (lambda: {"x": IMAGES}, "type dict"),
    "None": (lambda: None, "type NoneType"),
    "paths of nothing": (lambda: ["a.png", "b.png"], "no file or folder 'a.png'"),
    "masked": (lambda: np.ma.masked_array(TABLE, TABLE > 1), "masked"),
    "masked in a list": (lambda: [np.ma.masked_array(image, image > 9) for image in IMAGES], "masked"),
    "ragged": (lambda: [[1, 2], [3]], "inhomogeneous"),
    "text": (lambda: ["a", "b"], "text|Reshape"),
    "bytes": (lambda: b"abc", "Reshape"),
    "complex": (lambda: TABLE.astype(complex), "Complex data not supported"),
    "objects": (lambda: np.array([[[1, {}]]]), "Python objects"),
}


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    return {name: make().fit(IMAGES) for name, make in ESTIMATORS.items()}


def used(model: Any, data: Any) -> Any:
    """What the model makes of images, as an array."""
    made = model.decompress(model.compress(data)) if isinstance(model, Codec) else model.transform(data)
    return np.stack(made) if isinstance(made, list) else made


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_stands_for_its_array(fitted: dict[str, Any], name: str, kind: str, tmp_path: Path) -> None:
    data, model = KINDS[kind](tmp_path), fitted[name]
    natural = [0, 1, *range(2, 12)]  # 10.png comes after 9.png
    np.testing.assert_array_equal(used(model, data), used(model, IMAGES[natural]))
    y = (data,) if name == "Denoiser" else ()
    assert model.score(data, *y) == pytest.approx(
        model.score(IMAGES, *(IMAGES,) * len(y)), abs=0.5 if name == "Codec" else 1e-6
    )
    if name in ("AutoEncoder", "ManifoldMap"):
        assert model.score_samples(data).shape == (12,) and model.reconstruct(data).shape == IMAGES.shape


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", ["list of PIL images", "Dataset", "array of arrays"])
def test_learning_from_a_kind_is_learning_from_its_array(
    fitted: dict[str, Any], name: str, kind: str, tmp_path: Path
) -> None:
    model = ESTIMATORS[name]().fit(KINDS[kind](tmp_path))
    np.testing.assert_array_equal(used(model, IMAGES), used(fitted[name], IMAGES))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_data_is_refused_in_one_line(fitted: dict[str, Any], name: str, kind: str) -> None:
    make, message = REFUSED[kind]
    for use in (ESTIMATORS[name]().fit, fitted[name].score, lambda data: used(fitted[name], data)):
        with pytest.raises(IsthmusError, match=message) as caught, warnings.catch_warnings():
            warnings.simplefilter("error")
            use(make(), *(IMAGES,) if use == fitted["Denoiser"].score else ())
        assert "\n" not in str(caught.value)


def tables() -> dict[str, Any]:
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame(TABLE, columns=list("abcd"))
    return {
        "frame": frame,
        "frame of objects": frame.astype(object),
        "frame of decimals": frame.map(decimal.Decimal),
        "frame of Arrow types": frame.convert_dtypes(dtype_backend="pyarrow"),
        "dask": Delayed(frame),
        "Arrow table": pa.table(frame),
        "Arrow batch": pa.RecordBatch.from_pandas(frame),
        "array of objects": TABLE.astype(object),
        "lists": TABLE.tolist(),
        "long doubles": TABLE.astype(np.longdouble),
        "tensor with a gradient": torch.from_numpy(TABLE).requires_grad_(),
        "memory view": TABLE.data,
        "list of tensors with gradients": [torch.from_numpy(row).requires_grad_() for row in TABLE],
    }


@pytest.mark.parametrize("kind", tables())
def test_tables_of_every_kind(kind: str) -> None:
    source = open_source(tables()[kind])
    np.testing.assert_array_equal(source.take(np.arange(12)), TABLE)
    assert source.dtype == np.float64
    model = AutoEncoder(2, epochs=1, random_state=0).fit(tables()[kind])
    named = kind.startswith(("frame", "dask", "Arrow"))
    assert getattr(model, "feature_names_in_", np.array([])).tolist() == (list("abcd") if named else [])
    assert model.transform(tables()[kind]).shape == (12, 2) and model.n_features_in_ == 4


def test_a_reader_of_arrow_batches_is_read_once() -> None:
    pa = pytest.importorskip("pyarrow")
    reader = pa.table({name: TABLE[:, i] for i, name in enumerate("abcd")}).to_reader()
    np.testing.assert_array_equal(open_source(reader).take(np.arange(12)), TABLE)


def test_tensors_of_types_that_numpy_lacks() -> None:
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        tensor = torch.from_numpy(TABLE).to(dtype)
        np.testing.assert_array_equal(open_source(tensor).take([0])[0], tensor[0].float().numpy())


def test_gaps_among_objects_are_told() -> None:  # to a map; an auto-encoder takes tables with gaps
    frame: Any = tables()["frame of objects"]
    frame.iloc[3, 1] = None
    with pytest.raises(IsthmusError, match="row 3 holds NaN in column 'b'"):
        ManifoldMap().fit(frame)
    with pytest.raises(IsthmusError, match="'b'"):
        ManifoldMap().fit(frame.assign(b="1.5"))
    with pytest.raises(IsthmusError, match="string names"):
        ManifoldMap().fit(frame.rename(columns={"a": 1}))


def test_codes_of_every_kind(fitted: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    model = fitted["AutoEncoder"]
    Z = model.transform(IMAGES)
    for codes in (Z.tolist(), torch.from_numpy(Z).requires_grad_(), pandas.DataFrame(Z), Z.data, list(Z)):
        np.testing.assert_array_equal(model.inverse_transform(codes), model.inverse_transform(Z))
    wrong: Any
    for wrong in ([["a", "b"]], None, Z + 1j, np.ma.masked_array(Z, Z == Z), "digits"):
        with pytest.raises(IsthmusError):
            model.inverse_transform(wrong)


def test_a_spatial_code_is_no_table() -> None:
    pytest.importorskip("pandas")
    model = AutoEncoder(latent_channels=2, epochs=1, random_state=0).fit(IMAGES)
    with pytest.raises(IsthmusError, match=r"codes of shape \(2, 2, 2\) are no rows of a table"):
        model.set_output(transform="pandas").transform(IMAGES)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(IsthmusError, match=r"device \(='cuda'\) cannot be used here"):
        AutoEncoder(2, device=torch.device("cuda")).fit(IMAGES)


def test_clean_samples_are_told_from_labels(tmp_path: Path) -> None:
    for samples in (
        files(tmp_path),
        [str(path) for path in files(tmp_path)],
        objects(IMAGES),
        KINDS["Dataset"](tmp_path),
    ):
        assert not is_labels(samples)
    assert is_labels(np.array(["a", "b"], object)) and is_labels(["a.png", "b.png"]) and is_labels(torch.arange(3))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[1], [2]]), [1, 2]),
        (np.array([1, 2], object), [1, 2]),
        ([True, False], [1, 0]),
        (np.array(["a", "b"], np.dtypes.StringDType()), ["a", "b"]),
        (torch.tensor([1.0, 2.0], requires_grad=True).detach(), [1, 2]),
    ],
)
def test_labels(values: Any, expected: list) -> None:
    assert as_labels(values, "y").tolist() == expected


@pytest.mark.parametrize(
    "values", [[1.0, np.inf], [1e30], [0.5], [1, None], ["a", 1.5, None], [[1, 2]], [[1], [2, 3]], 7]
)
def test_what_cannot_be_labels(values: Any) -> None:
    with pytest.raises(IsthmusError, match="y cannot be labels"):
        as_labels(values, "y")
