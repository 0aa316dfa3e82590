"""What the plain endpoints tell of themselves: a summary, formats and an example for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.serving.http.plain.formats import (
    ARCHIVE,
    CSV,
    FILES,
    IMAGES,
    JSON,
    MULTIPART,
    NPY,
    PARQUET,
    PNG,
    TABLES,
    WAV,
    ZIP,
    Format,
)

_ROWS = [[0.5, 1.5, -2.0, 0.0], [1.0, 0.25, 3.5, 2.0]]
_RECORDS = [{"age": 31, "sex": "f", "since": "2020-01-31", "weight": 62.5}]
_CODES = [[0.25, -1.5, 0.75]]
_PICTURE = [[[0, 0, 255], [0, 128, 64]]]
_REASONS = {
    400: "Wrong data: the line says what and where",
    401: "The token is missing or wrong",
    403: "Asked under another name, or by a page of another site",
    404: "There is no such model, or it cannot do this",
    406: "The answer cannot be in what Accept asks for",
    413: "Too many bytes, rows or values",
    415: "The body is in a format that is not read",
    422: "An option of the address is wrong",
    503: "Too much waits for the model: try again a little later",
    504: "Too late",
}


@dataclass(frozen=True)
class Verb:
    """An endpoint. takes, gives : formats of bodies. example, answer : in JSON; None where there is none."""

    name: str
    summary: str
    about: str
    takes: Sequence[Format] = (JSON, *FILES)
    gives: Sequence[Format] = (JSON, *TABLES, NPY)
    example: Any = None
    answer: Any = None
    optional: bool = False
    items: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request_body(self) -> dict[str, Any]:
        """The body of a request, as OpenAPI describes it."""
        content = {one.media: _content(one, self.example, self.items) for one in self.takes}
        if not self.optional:
            files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
            form = {"type": "object", "properties": {"file": files}, "required": ["file"]}
            content[MULTIPART] = {"schema": form}
        return {"required": not self.optional, "content": content}

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """The answers, as OpenAPI describes them."""
        content = {one.media: _content(one, self.answer) for one in self.gives}
        return {200: {"description": self.summary, "content": content}}


def _content(one: Format, example: Any, items: Mapping[str, Any] | None = None) -> dict[str, Any]:
    if one is not JSON:
        return {"schema": {"type": "string", "format": "binary"}}
    kind = "object" if isinstance(example, dict) else "array"
    schema: dict[str, Any] = {"type": kind} | ({"items": dict(items or {}), "minItems": 1} if items else {})
    return {"schema": schema, "example": example}


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": reason,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
            }
        },
    }
    for status, reason in _REASONS.items()
}

_ITEMS = {"type": ["array", "object"]}
_SAMPLES = (JSON, CSV, PARQUET, NPY, *IMAGES, WAV)
VERBS = (
    Verb("encode", "Codes of samples", "Samples are rows of a table, pictures, sounds or arrays, as the model was "
         "trained with; several pictures are several files of a form.", example=_RECORDS, answer=_CODES, items=_ITEMS),
    Verb("decode", "Samples from codes", "Codes are rows of numbers, as `encode` gives them. One picture can be had "
         "as PNG.", takes=(JSON, *TABLES, NPY), gives=(JSON, *TABLES, NPY, PNG), example=_CODES, answer=_ROWS,
         items={"type": "array"}),
    Verb("reconstruct", "Samples encoded and decoded again", "A picture or a sound comes back as a file of its own "
         "format, depth and metadata.", gives=_SAMPLES, example=_RECORDS, answer=_RECORDS, items=_ITEMS),
    Verb("denoise", "Samples without their noise", "A picture, a sound or a table of signals comes back as a file of "
         "its own format, depth and metadata; Accept may name another format of pictures.", gives=_SAMPLES,
         example=_PICTURE, answer=_PICTURE, items=_ITEMS),
    Verb("score", "How well samples are rebuilt, or how normal they are", "A detector gives score, p_value and "
         "anomaly of each sample, other models score: higher is better.", gives=(JSON, *TABLES), example=_ROWS,
         answer=[{"score": -0.8, "p_value": 0.41, "anomaly": False}], items=_ITEMS),
    Verb("explain", "Which parts of samples are strange", "Scores of each column, pixel or time step, and what would "
         "have been expected there.", example=_RECORDS, items=_ITEMS,
         answer=[{"scores": {"age": 0.2, "weight": 3.1}, "expected": {"age": 31, "weight": 64.0}}]),
    Verb("impute", "Rows with their holes filled", "Missing cells are null, or empty in CSV.",
         takes=(JSON, *TABLES, NPY), example=[[None, "f", "2020-01-31", 62.5]], answer=_RECORDS, items=_ITEMS),
    Verb("sample", "New samples", "The body may say what rows of a table must be: a value, a list of values, null for "
         "a missing cell, or a range.", takes=(JSON,), gives=(JSON, *TABLES, NPY, PNG), answer=_RECORDS, optional=True,
         example={"sex": "f", "age": {"from": 30, "to": 40}}),
    Verb("similar", "The stored samples whose codes are nearest", "They are looked for in the store that the server "
         "was started with for this model.", gives=(JSON,), example=_ROWS, items=_ITEMS,
         answer=[[{"sample": "digits:test[7]", "label": "9", "distance": 0.31}]]),
    Verb("map", "Where samples lie on the map", "Of models with codes of two numbers.", example=_RECORDS,
         answer=[[0.1, -2.5], [1.25, 3.0]], items=_ITEMS),
    Verb("compress", "Pictures in one archive", "Files of a form keep their names.", takes=(JSON, NPY, *IMAGES),
         gives=(ARCHIVE,), example=_PICTURE, items={"type": "array"}),
    Verb("decompress", "What an archive holds", "One file as it was, or a zip file of several.", takes=(ARCHIVE,),
         gives=(NPY, *IMAGES, ZIP, ARCHIVE)),
)  # fmt: skip
