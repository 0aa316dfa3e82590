"""The parts of the explorer that need no browser."""

from __future__ import annotations

import gc
import io
import logging
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import weakref
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import isthmus
from isthmus.cli import app
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError
from isthmus.evaluation.neighbourhood_preservation import neighbourhood_scores
from isthmus.serving.explorer import server
from isthmus.serving.explorer.access import Access
from isthmus.serving.explorer.atlas import Atlas
from isthmus.serving.explorer.dropped_file import fitted, read_dropped
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.live import Newest
from isthmus.serving.explorer.neighbour_plane import NeighbourPlane
from isthmus.serving.explorer.prepared import opened
from isthmus.serving.explorer.views import Viewer
from isthmus.serving.explorer.walk import evenly


@pytest.fixture(scope="module")
def atlas(models: Path) -> Atlas:
    made = Atlas(isthmus.load(models / "deep"), LabelledData.of(open_source("digits:test")))
    made.finish()
    return made


def test_a_sample_is_called_by_its_number_and_its_class() -> None:
    X = np.zeros((2, 3))
    assert LabelledData.of(open_source(X)).title(1) == "sample 1"
    assert LabelledData.of(open_source(X), [4, 7]).title(1) == "sample 1 · class 7"
    assert LabelledData.of(open_source(X), ["setosa", "virginica"]).title(0) == "sample 0 · setosa"


def test_nearest_samples_are_the_nearest(atlas: Atlas) -> None:
    code = atlas.codes[3] + 0.1
    places, distances = atlas.nearest(code, 7)
    exact = np.linalg.norm(atlas.codes - code, axis=1)
    assert places.tolist() == np.argsort(exact, kind="stable")[:7].tolist()
    np.testing.assert_allclose(distances, exact[places], rtol=1e-4)
    place, distance = atlas.nearest_on_map(*atlas.points[9]) or (-1, 1.0)
    assert (place, distance) == (9, 0.0)


def test_the_map_leads_back_to_codes(atlas: Atlas) -> None:
    points = np.array([[0.5, -0.25], [1.0, 2.0]], np.float32)
    np.testing.assert_allclose(atlas.plane.points(atlas.plane.codes(points)), points, atol=1e-4)
    moved = atlas.directions.moved(atlas.codes[0], np.arange(16.0))
    np.testing.assert_allclose(atlas.directions.points(moved), np.arange(16), atol=1e-3)
    rest = np.eye(20) - atlas.directions.axes.T @ atlas.directions.axes  # what the sliders do not tell stays
    np.testing.assert_allclose(rest @ moved, rest @ atlas.codes[0], atol=1e-3)
    assert atlas.codes.shape == (297, 20) and sorted(atlas.order) == list(range(297))


def test_long_codes_on_a_map_that_keeps_neighbours(atlas: Atlas) -> None:
    mapped = Atlas(atlas.model, atlas.samples, "neighbours")
    mapped.finish()
    assert mapped.points.shape == (297, 2) and isinstance(mapped.plane, NeighbourPlane)
    kept = [neighbourhood_scores(mapped.codes, one.points, k=10).trustworthiness for one in (mapped, atlas)]
    assert kept[0] > kept[1] + 0.02
    np.testing.assert_allclose(mapped.plane.points(mapped.codes[5:6])[0], mapped.points[5], atol=1e-3)
    back = mapped.plane.codes(mapped.points)
    assert np.square(back - mapped.codes).mean() < 0.9 * mapped.codes.var(axis=0).mean()
    with pytest.raises(IsthmusError, match=r"'tsne'.*neighbours, pca"):
        Atlas(atlas.model, atlas.samples, "tsne")  # type: ignore[arg-type]


def test_a_code_of_one_number(tmp_path: Path) -> None:
    X = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    model = isthmus.AutoEncoder(latent_dim=1, epochs=1, random_state=0).fit(X)
    made = Atlas(model, LabelledData.of(open_source(X)))
    np.testing.assert_allclose(made.plane.codes(made.points), made.codes, atol=1e-5)


@pytest.mark.parametrize(
    ("array", "shape", "dtype", "axis", "done"),
    [
        (np.zeros((8, 8), np.uint8), (8, 8), "uint8", None, ""),
        (np.zeros((30, 20, 4), np.uint8), (8, 8), "uint8", None, "transparency"),
        (np.zeros((16, 16), np.uint16), (8, 8, 3), "float32", 2, "resized from 16 × 16 to 8 × 8"),
        (np.zeros((16, 16, 3), np.uint8), (3, 8, 8), "uint8", 0, "resized"),
        (np.zeros((1, 8, 8)), (8, 8), "float64", None, ""),
    ],
)
def test_dropped_images_fit_the_model(
    array: np.ndarray, shape: tuple[int, ...], dtype: str, axis: int | None, done: str
) -> None:
    found = fitted(array, shape, dtype, axis, (0.0, 255.0 if dtype == "uint8" else 1.0))
    assert found.sample.shape == shape and found.sample.dtype == dtype and done in found.done


def test_a_white_image_stays_white() -> None:
    deep = np.full((20, 20), 65535, np.uint16)
    assert (fitted(deep, (8, 8), "uint8", None, (0.0, 255.0)).sample == 255).all()
    np.testing.assert_allclose(fitted(deep, (8, 8, 3), "float32", 2, (0.0, 1.0)).sample, 1)


def test_what_cannot_be_dropped_is_said() -> None:
    with pytest.raises(IsthmusError, match=r"notes.txt is of no kind that can be dropped"):
        read_dropped("notes.txt", "hello")
    with pytest.raises(IsthmusError, match=r"shape \(3,\); the model takes samples of \(5,\)"):
        fitted(read_dropped("row.csv", "a,b,c\n1,2,3\n"), (5,), "float32", None, (0.0, 1.0))


def test_columns_are_matched_by_name() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=["a", "b", "c"])
    model = isthmus.AutoEncoder(2, epochs=1, random_state=0).fit(frame)
    turned = frame[["c", "a", "b"]]
    shown = opened(model, turned)
    np.testing.assert_array_equal(shown.take(range(30)), frame.to_numpy())
    for text in (turned.to_csv(), turned.to_csv(sep=";", decimal=",", index=False)):  # the file that is shown
        dropped = fitted(read_dropped("t.csv", text, ["a", "b", "c"]), (3,), "float64", None, (0.0, 1.0))
        np.testing.assert_allclose(dropped.sample, frame.iloc[0])
        assert dropped.done == "the first of 30 rows"


def test_signals_and_rows_are_drawn() -> None:
    rng = np.random.default_rng(0)
    waves = list(rng.standard_normal((4, 50)).astype(np.float32))
    assert Viewer.of(waves, None, table=False).picture(waves[0], 100).count("polyline") == 1
    row = Viewer.of(waves, None, table=True, names=[f"a<{i}" for i in range(50)])
    assert row.picture(waves[0], 100).count("<rect") == 50
    few = Viewer.of([wave[:3] for wave in waves], None, table=True, names=["a<b", "c", "d"])
    assert few.picture(waves[0][:3], 100).count("<tr>") == 3 and "a&lt;b" in few.picture(waves[0][:3], 100)


def test_an_answer_that_fails_is_told_and_the_next_one_comes() -> None:
    shown: list[float] = []
    told: list[str] = []

    def compute(numbers: tuple[float, ...]) -> float:
        if numbers[0] < 0:
            raise IsthmusError("below zero")
        return numbers[0]

    channel = Newest(compute, shown.append, told.append)
    for number, value in enumerate((1.0, -1.0, 2.0)):
        channel._question.data = {"numbers": [number, value]}
        assert channel._answer.data == {"numbers": [number]}
    assert shown == [1.0, 2.0] and told == ["below zero"]


def test_a_walk_goes_at_equal_steps() -> None:
    way = evenly(np.array([[0, 0], [4, 0], [4, 2]], np.float32), 7)
    assert way.tolist() == [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [4, 1], [4, 2]]


def test_models_and_labels_that_do_not_fit(models: Path) -> None:
    test = isthmus.datasets.load("digits").test
    with pytest.raises(IsthmusError, match="one for each of the 297 samples"):
        isthmus.explore(isthmus.load(models / "flat"), test.images, test.labels[:5])
    with pytest.raises(IsthmusError, match="a str is no estimator of isthmus"):
        isthmus.explore("flat", test.images)


def test_only_who_knows_the_token_and_the_name_is_answered() -> None:
    local = Access("127.0.0.1", 5006, token="secret")
    assert local.url == "http://127.0.0.1:5006/secret/" and local.elsewhere is None and "secret" not in repr(local)
    for host in ("127.0.0.1:5006", "LOCALHOST:5006", "[::1]:5006"):
        assert local.refusal("/secret/static/js/bokeh.min.js", host) is None
    for host in ("evil.example:5006", "127.0.0.1:5007", "127.0.0.1", "10.1.2.3:5006", "", "[", "a@127.0.0.1:x"):
        assert "this server is not called" in str(local.refusal("/secret/", host))
    for path in ("/", "", "/secre/", "/secret1/ws", "//secret/", "/static/js/bokeh.min.js", "/séc/", "/x/secret/"):
        assert "it ends in a token" in str(local.refusal(path, "localhost:5006"))
    assert Access("::1", 80, token="t").url == "http://[::1]:80/t/"
    everywhere = Access("0.0.0.0", 80, token="t")
    assert everywhere.url == "http://localhost:80/t/" and everywhere.elsewhere == f"http://{socket.gethostname()}:80/t/"
    for host in ("10.1.2.3", "[fd00::2]:80", f"{socket.gethostname()}:80"):  # a number cannot be made to lead elsewhere
        assert everywhere.refusal("/t/", host) is None
    assert everywhere.refusal("/t/", "evil.example")
    assert len({Access("127.0.0.1", 1).token for _ in range(100)}) == 100


def said(*arguments: Any) -> str:
    result = CliRunner().invoke(app, ["explore", *map(str, arguments)])
    assert result.exit_code != 0
    return f"{result.output}{result.exception}"


def test_one_clear_line(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nowhere does not exist" in said("nowhere")
    assert "digit is no folder of a model, and as data: " in said(models / "flat", "digit")
    assert "unknown part of data set" in said(models / "flat", "digits:tset")
    assert f"{models} is not a model" in said(models, models / "flat")
    assert "names a model twice" in said(models / "flat", models / "flat")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"cannot listen at 127.0.0.1:{port}" in said(models / "flat", "--port", port, "--no-browser")
    monkeypatch.setitem(sys.modules, "panel", None)
    assert "pip install 'isthmus[explore]'" in said(models / "flat")


def test_samples_are_encoded_before_panel_is_imported(models: Path) -> None:
    code = f"""
import sys, isthmus
from isthmus.serving.explorer.atlas import Atlas
from isthmus.serving.explorer.prepared import prepared
Atlas.start = lambda self: print({{"panel", "bokeh", "lancedb"}} & set(sys.modules))
prepared(isthmus.load({str(models / "flat")!r}), "digits:test")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_answers_do_not_wait_for_acknowledgements() -> None:
    from bokeh.server.views.doc_handler import DocHandler
    from bokeh.server.views.ws import WSHandler
    from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

    listening, access = server.listening(lambda: None, "127.0.0.1", None, "isthmus")
    headers = HTTPHeaders({"Host": f"127.0.0.1:{access.port}"})
    request = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=headers)
    app = listening._tornado
    for kind, prompt in ((WSHandler, True), (DocHandler, False)):
        delegate = app.get_handler_delegate(request, kind)
        assert issubclass(delegate.handler_class, kind)
        assert issubclass(delegate.handler_class, server._Own) is prompt


def process_state() -> dict[str, Any]:
    """What of a process other pages and programs in it depend on."""
    import bokeh.server.urls
    import panel
    from bokeh.core.validation import check

    loggers = {name: one for name, one in logging.root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
    return {
        "loggers": {
            name: (one.level, one.disabled, one.propagate, *one.filters, *one.handlers)
            for name, one in {"": logging.root, **loggers}.items()
            if not name.startswith("isthmus")
        },
        "handlers": [*bokeh.server.urls.per_app_patterns, *bokeh.server.urls.toplevel_patterns],
        "config": {name: copy(getattr(panel.config, name)) for name in panel.config.param},
        "extensions": list(panel.extension._loaded_extensions),
        "servers": dict(panel.state._servers),
        "silenced": set(check.__silencers__),
        "signals": {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)},
    }


def test_the_host_process_is_left_alone(models: Path) -> None:
    from panel.models import file_dropper  # noqa: F401  (importing registers it)

    before = process_state()
    cell = isthmus.explore(isthmus.load(models / "flat"), isthmus.datasets.load("digits").test.images)
    with urllib.request.urlopen(cell.url, timeout=60) as answer:
        page = answer.read().decode()
    assert "prefers-color-scheme: dark" in page and "filedropper" in page
    while_open = process_state()
    cell.stop()
    for state in (while_open, process_state()):
        new = {name: state["loggers"].pop(name) for name in state["loggers"].keys() - before["loggers"].keys()}
        assert {level for level, *_ in new.values()} <= {logging.NOTSET}
        assert state == before


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nan.npy", npy(np.where(np.eye(8) > 0, np.nan, 1.0)), "holds 8 values that are no numbers"),
        ("records.npy", npy(np.zeros(3, [("a", "f4"), ("b", "i4")])), "numbers of one to four axes are needed"),
        ("complex.npy", npy(np.zeros((8, 8), complex)), "numbers of one to four axes are needed"),
        ("objects.npy", npy(np.array([{}], object)), "Object arrays cannot be loaded"),
        ("huge.npy", npy(np.zeros((8, 8))).replace(b"(8, 8), }    ", b"(99999999, 999), }"), "it claims 799,"),
        ("odd.npy", npy(np.zeros((8, 8))).replace(b"(8, 8)", b"((((8"), "odd.npy cannot be read as a .npy file"),
        ("cut.npy", npy(np.zeros((8, 8)))[:-1], "it claims 512 bytes of numbers, and holds 511"),
        ("empty.npy", b"", "empty.npy is empty"),
        ("none.npy", npy(np.zeros((0, 8))), "numbers of one to four axes are needed"),
        ("film.mp4", b"\0\0\0\x18ftypmp42", "film.mp4 is of no kind that can be dropped"),
        ("picture.png", b"\x89PNG\r\n\x1a\nrubbish", "picture.png cannot be read as an image"),
        ("words.csv", b"a,b\nred,blue\n", "hold no numbers"),
        ("holes.csv", b"a,b\n1,\n2,3\n", "holds 1 value that is no number (NaN or infinite); fill it first"),
    ],
)
def test_a_dropped_file_is_an_array_of_numbers_or_one_line(name: str, content: bytes, said: str) -> None:
    with pytest.raises(IsthmusError, match=re.escape(said)) as caught:
        read_dropped(name, content)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_pages_that_were_left_are_forgotten(models: Path) -> None:
    cell = isthmus.explore(isthmus.load(models / "flat"), isthmus.datasets.load("digits").test.images)

    def pages() -> list[weakref.ref[Any]]:  # weak: a list that holds them would keep them alive
        return [weakref.ref(one) for one in gc.get_objects() if type(one).__name__ == "EncoderDecoderPage"]

    gc.collect()
    before = len(pages())
    gc.disable()  # what it would do in its own time is done now, or not at all
    try:
        for _ in range(3):
            with urllib.request.urlopen(cell.url, timeout=60) as answer:
                answer.read()
        made = pages()
        assert len(made) == before + 3
        loop, (sessions,) = cell._server.io_loop, cell._server._tornado.applications.values()
        loop.add_callback(lambda: sessions._cleanup_sessions(0))  # which is done when some seconds have passed
        until = time.monotonic() + 60
        while (left := sum(page() is not None for page in made)) > before and time.monotonic() < until:
            time.sleep(0.1)
        assert left == before
    finally:
        gc.enable()
        cell.stop()
