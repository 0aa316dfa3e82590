"""The endpoints for rows and files, against the estimators and what the command line writes."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from PIL import Image, PngImagePlugin
from tests.serving.http.conftest import Running, people

from isthmus import AutoEncoder, Denoiser
from isthmus.denoising.files import FileCleaner

PEOPLE = [
    {"age": 31, "sex": "f", "since": "2020-01-31", "weight": None},
    {"age": None, "sex": "m", "since": "2020-03-01", "weight": 33.5},
]


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def loaded(content: bytes) -> np.ndarray:
    return np.load(io.BytesIO(content), allow_pickle=False)


def picture(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


Post = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def post(server: Running) -> Post:
    """Sends bytes of a type to a verb of a model."""

    def sent(path: str, body: Any = None, media: str = "", accept: str = "", **options: Any) -> requests.Response:
        headers = ({"Content-Type": media} if media else {}) | ({"Accept": accept} if accept else {})
        return server.ask("POST", f"/models/{path}", data=body, headers=headers, **options)

    return sent


@pytest.fixture(scope="module")
def signals() -> np.ndarray:
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(256) * rng.uniform(0.02, 0.05, (200, 1)) + rng.uniform(0, 6, (200, 1)))
    return waves.astype(np.float32)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this process puts temporary files; nothing may be left there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.glob("isthmus-*"))


def test_rows_pictures_and_arrays_have_the_codes_that_the_model_gives(
    post: Post, estimator: Any, digits: np.ndarray
) -> None:
    codes = estimator("digits").encode(digits[:2])
    forms = [("file", (f"{i}.png", picture(image), "image/png")) for i, image in enumerate(digits[:2])]
    assert np.allclose(post("digits/encode", json=digits[:2].tolist()).json(), codes, atol=1e-5)
    assert np.allclose(post("digits/encode", files=forms).json(), codes, atol=1e-5)
    assert np.allclose(post("digits/encode", picture(digits[0]), "image/png").json(), codes[:1], atol=1e-5)
    assert np.allclose(loaded(post("digits/encode", saved(digits[:2]), "application/x-npy").content), codes, atol=1e-5)
    table = post("digits/encode", json=digits[:2].tolist(), accept="text/csv").text.splitlines()
    assert table[0] == '"code_0","code_1","code_2"' and len(table) == 3

    decoded = post("digits/decode", json=codes[:1].tolist(), accept="image/png")
    assert np.array_equal(pixels(decoded.content), estimator("digits").decode(codes[:1])[0])
    for kind in ("bmp", "tiff"):
        rebuilt = post("digits/reconstruct", picture(digits[0], kind.upper()), f"image/{kind}")
        assert rebuilt.headers["content-type"] == f"image/{kind}"
        assert np.array_equal(pixels(rebuilt.content), estimator("digits").reconstruct(digits[:1])[0])


def test_rows_of_a_table_come_back_in_the_format_that_they_came_in(post: Post, estimator: Any) -> None:
    filled = estimator("imputer").filled(people(20)).to_pylist()
    buffer = io.BytesIO()
    pq.write_table(people(20), buffer)
    as_parquet = post("imputer/impute", buffer.getvalue(), "application/vnd.apache.parquet")
    assert pq.read_table(io.BytesIO(as_parquet.content)).to_pylist() == filled

    found = post("imputer/impute", json=[PEOPLE[0] | {"shoes": 43}])
    (row,) = found.json()
    assert {name: row[name] for name in ("age", "sex", "since")} == {"age": 31, "sex": "f", "since": "2020-01-31"}
    assert isinstance(row["weight"], float) and "'shoes'" in found.headers["X-Isthmus-Notes"]
    assert post("imputer/impute", json=[list(PEOPLE[0].values())]).json() == [row]
    text = post("imputer/impute", "age,sex,since,weight\n31,f,2020-01-31,\n40,m,2020-03-01,33.5\n", "text/csv")
    assert text.headers["content-type"].startswith("text/csv") and len(text.text.splitlines()) == 3


def test_scores_reasons_places_and_draws_are_those_of_the_model(post: Post, estimator: Any) -> None:
    detector, model = estimator("detector"), estimator("people")
    rows = [[0.0, 1.0, 2.0, 3.0], [9.0, -9.0, 9.0, -9.0]]
    judged = post("detector/score", json=rows).json()
    assert [one["anomaly"] for one in judged] == [False, True]
    assert np.allclose([one["p_value"] for one in judged], detector.p_values(np.array(rows)))
    parts, reasons = detector.explain(np.array(rows)), post("detector/explain", json=rows).json()
    assert np.allclose([one["scores"] for one in reasons], parts.scores, atol=1e-4)
    assert np.allclose([one["expected"] for one in reasons], parts.expected, atol=1e-4)

    table = pa.Table.from_pylist(PEOPLE).set_column(
        2, "since", pa.array([row["since"] for row in PEOPLE]).cast(pa.date32())
    )
    assert np.allclose(post("people/map", json=PEOPLE).json(), model.encode(table), atol=1e-4)
    assert np.allclose([row["score"] for row in post("people/score", json=PEOPLE).json()], model.score_samples(table))
    reasons = post("people/explain", json=PEOPLE, accept="text/csv").text.splitlines()
    assert reasons[0].startswith('"scores.age"') and '"expected.weight"' in reasons[0]

    drawn = post("people/sample?n=5&seed=3", json={"sex": "f", "age": {"from": 30, "to": 70}}).json()
    wanted = model.sampled(5, 3, where={"sex": "f", "age": (30, 70)}).to_pylist()
    assert drawn == json.loads(json.dumps(wanted, default=str))


def test_a_cleaned_picture_is_the_file_that_the_command_line_writes(
    post: Post, estimator: Any, digits: np.ndarray, tmp_path: Path
) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "taken in 1995")
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    kinds = {
        "deep.png": picture(digits[0].astype(np.uint16) * 257, pnginfo=text, dpi=(300, 300)),
        "small.jpg": picture(digits[1], "JPEG", exif=exif),
        "old.tif": picture(digits[2], "TIFF", description="a page"),
    }
    for name, content in kinds.items():
        source, target = tmp_path / name, tmp_path / f"clean-{name}"
        source.write_bytes(content)
        assert not FileCleaner(estimator("denoiser"), target).files([source]).bad
        cleaned = post("denoiser/denoise", files=[("file", (name, content, "image/x-any"))])
        assert cleaned.content == target.read_bytes() != content
        assert cleaned.headers["content-type"].startswith("image/")
    with Image.open(tmp_path / "clean-deep.png") as image:  # that the command line does not lose them, either
        assert image.mode.startswith("I;16") and image.info["Comment"] == "taken in 1995"
    other = post("denoiser/denoise", kinds["deep.png"], "image/png", accept="image/webp")
    assert other.status_code == 406 and "16" in other.json()["error"]
    webp = post("denoiser/denoise", picture(digits[0]), "image/png", accept="image/webp")
    assert webp.headers["content-type"] == "image/webp" and pixels(webp.content).shape[:2] == digits[0].shape
    rows = loaded(post("denoiser/denoise", saved(digits[:3]), "application/x-npy").content)
    assert np.array_equal(rows, estimator("denoiser").denoise(digits[:3]))


def test_an_archive_gives_back_the_files(post: Post, digits: np.ndarray) -> None:
    first, second = picture(digits[0]), picture(digits[1], "BMP")
    one = post("codec/compress", first, "image/png")
    assert one.headers["content-type"] == "application/x-isthmus"
    assert post("codec/decompress", one.content, "application/x-isthmus").content == first
    two = post("codec/compress", files=[("f", ("a.png", first)), ("f", ("../../b.bmp", second))])
    zipped = post("codec/decompress", two.content, "application/octet-stream")
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as file:
        assert {name: file.read(name) for name in file.namelist()} == {"a.png": first, "b.bmp": second}
    array = post("codec/compress", saved(digits[:5]), "application/x-npy")
    assert np.array_equal(loaded(post("codec/decompress", array.content, "application/x-isthmus").content), digits[:5])


@pytest.mark.parametrize(
    ("path", "body", "media", "status", "said"),
    [
        ("digits/encode", "[[[1, 2], [3, 256]]]", "application/json", 400, "row 0, value 1, 1 is 256"),
        ("digits/encode", "[[[1, 2], [3]]]", "application/json", 400, "row 0, value 1 has another shape"),
        ("digits/encode", '["/etc/passwd"]', "application/json", 400, "'/etc/passwd'"),
        ("digits/encode", '["https://example.org/a.png"]', "application/json", 400, "'https://example.org"),
        ("people/encode", '[["/etc/passwd", "f", null, 1]]', "application/json", 400, "age"),
        ("detector/score", '[{"age": 1}]', "application/json", 400, "no names"),
        ("digits/encode", "[1e999", "application/json", 400, "not JSON"),
        ("digits/encode", b"\x89PNG\r\n\x1a\n", "image/png", 400, "body.png cannot be read as an image"),
        ("digits/encode", b"", "image/png", 400, "empty"),
        ("digits/encode", b"a", "video/mp4", 415, "image/png"),
        ("digits/encode", b"a", "", 415, "application/json"),
        ("digits/decode", "[[1]]", "application/json", 400, "(n_samples, 3)"),
        ("denoiser/encode", "[[1]]", "application/json", 404, "'denoiser' can denoise, not encode"),
        ("nobody/encode", "[[1]]", "application/json", 404, "nobody"),
        ("codec/compress?quality=101", "[[[1]]]", "application/json", 422, "quality"),
        ("codec/decompress", b"ISTH", "application/x-isthmus", 400, "body.isth"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(post: Post, path: str, body: Any, media: str, status: int, said: str) -> None:
    answer = post(path, body, media)
    error = answer.json()["error"]
    assert (answer.status_code, said in error) == (status, True), error
    assert "\n" not in error and tempfile.gettempdir() not in error


def test_answers_that_a_client_takes_are_chosen(post: Post, digits: np.ndarray) -> None:
    body = picture(digits[0])
    liked = {
        "image/*;q=0.1, text/csv": "text/csv",
        "application/x-npy, */*;q=0.5": "application/x-npy",
        "*/*": "application/json",
    }
    for accept, media in liked.items():
        assert post("digits/encode", body, "image/png", accept=accept).headers["content-type"].startswith(media)
    refused = post("digits/encode", body, "image/png", accept="image/png")
    assert refused.status_code == 406 and "application/json" in refused.json()["error"]


def test_sounds_keep_what_is_around_them_and_nothing_is_left_on_disk(
    signals: np.ndarray, scratch: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In this process: a model of sounds, limits and a place for temporary files of the test's own."""
    import wave

    from fastapi.testclient import TestClient

    from isthmus.serving.http import Limits, app

    place, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    model = Denoiser("gaussian:0.5", size="small", epochs=5, random_state=0).fit(signals)
    with wave.open(str(place / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(((signals[0] + rng.normal(0, 0.5, 256)) * 9000).astype("<i2").tobytes())
    content = (place / "a.wav").read_bytes() + b"note\x04\0\0\0abcd"
    (place / "a.wav").write_bytes(content)
    FileCleaner(model, place / "b.wav").files([place / "a.wav"])
    images = AutoEncoder(latent_dim=2, epochs=1, random_state=0).fit(np.zeros((20, 8, 8), np.uint8))
    limits = Limits(rows=50, pixels=10_000, json_bytes=5_000, unpacked_bytes=20_000_000)
    client = TestClient(app({"sounds": model, "images": images}, limits=limits))

    def post(path: str, body: Any, media: str) -> Any:
        return client.post(f"/models/{path}", content=body, headers={"Content-Type": media})

    assert post("sounds/denoise", content, "audio/x-wav").content == (place / "b.wav").read_bytes() != content
    assert loaded(post("sounds/denoise", saved(signals[0]), "application/x-npy").content).shape == (256,)
    bomb = picture(np.zeros((3000, 3000), np.uint8))
    assert len(bomb) < 100_000 and post("images/encode", bomb, "image/png").status_code == 413
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": np.zeros(1_000_000)}), buffer)
    large = {
        "image/png": bomb, "text/csv": b"a,b\n" + 100 * b"1,2\n", "application/json": json.dumps([[[0] * 8] * 8] * 40),
        "application/x-npy": saved(np.zeros((60, 8, 8), np.uint8)), "application/vnd.apache.parquet": buffer.getvalue(),
    }  # fmt: skip
    for media, body in large.items():
        assert post("images/encode", body, media).status_code == 413, media
    assert post("images/encode", content, "application/x-npy").status_code == 400


def test_similar_looks_in_the_store_of_that_very_model(
    models: Path, estimator: Any, digits: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("lancedb", reason="needs the extra search: pip install 'isthmus[search]'")
    from fastapi.testclient import TestClient
    from typer.testing import CliRunner

    from isthmus.cli import app as command_line
    from isthmus.estimators.model_folder import read_config
    from isthmus.latent.store import Origin, Rows, Store, write_store
    from isthmus.serving.http import app

    place, names = tmp_path / "digits.lance", [f"digit {i}" for i in range(20)]
    codes = estimator("digits").encode(digits[:20])
    write_store(place, [Rows(names, codes)], Origin("digits", read_config(models / "digits")["sha256"]))
    store = Store(place)
    client = TestClient(app({"digits": models / "digits", "people": models / "people"}, stores={"digits": store}))
    ((first, second),) = client.post("/models/digits/similar?k=2", json=digits[4:5].tolist()).json()
    assert first == {"sample": "digit 4", "label": None, "distance": pytest.approx(0, abs=1e-3)}
    assert second["distance"] >= first["distance"]
    assert "similar" not in client.get("/models").json()["people"]["can"]

    done = CliRunner().invoke(command_line, ["serve", str(models / "people"), "--store", f"people={place}"])
    assert done.exit_code and "codes of two models" in str(done.exception or done.output)


def test_a_folder_goes_with_the_last_work_in_it(scratch: Path) -> None:
    """Work that nobody waits for any more still finds its files."""
    from threading import Event, Thread

    from isthmus.serving.http.plain.uploads import Scratch

    begun, go_on, folder = Event(), Event(), Scratch()

    def work() -> None:
        begun.set()
        go_on.wait(60)
        (folder.path / "late").write_text("written")

    with folder:
        thread = Thread(target=folder.run, args=(work,))
        thread.start()
        assert begun.wait(60)
    assert folder.path.exists()
    go_on.set()
    thread.join()
    assert not folder.path.exists()


def test_values_of_all_requests_together_are_limited() -> None:
    from isthmus.serving.http.limits import Refusal
    from isthmus.serving.http.plain.call import Memory

    memory = Memory(100)
    with memory.holding(1000):  # which is alone
        with pytest.raises(Refusal) as refused, memory.holding(1):
            raise AssertionError
        assert refused.value.status == 503
    with memory.holding(60), memory.holding(40):
        pass
