"""How the text of a table is written: everything that a CSV file does not say of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from isthmus.errors import IsthmusError, unknown_name

_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "space": " ", "dot": ".", "point": "."}
_TOLD = {",": "','", "\t": "tabs", " ": "spaces", "whitespace": "runs of spaces"}
_GIVEN = ("encoding", "delimiter", "quote", "decimal", "thousands", "header", "index", "comment", "skipped")


class Ambiguous(IsthmusError):
    """A file that can be read in two ways. fact : what is unclear. settings : what decides it, as "header=yes"."""

    def __init__(self, fact: str, *settings: str) -> None:
        super().__init__(fact)
        self.fact, self.settings = fact, settings


@dataclass(frozen=True)
class Dialect:
    r"""How a text table is written.

    encoding : a Python codec. delimiter : between columns; "whitespace" for any run of spaces and tabs. quote : around
    cells. decimal : "." or ",". thousands : what stands between groups of three digits, or None. header : whether there
    is a line of names. second : what a second line below it is: "" where there is none, "names" that are joined with
    those of the first, or "units" that are left out. index : the names of leading columns that number or name the rows,
    and are no features. comment : what lines that are left out begin with, or None. skipped : lines before the names,
    or before the first row. compression : "gzip", "bz2", "zstd", "xz", "zip" or None. newline : at the end of lines.
    assumed : what was taken without a proof, in words. unclear : columns (name, a cell) whose numbers can be read in
    two ways, and which are left as text.

    >>> Dialect(delimiter=";", decimal=",").sentence
    "columns between ';', decimal commas, names in line 1"
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    decimal: str = "."
    thousands: str | None = None
    header: bool = True
    second: str = ""
    index: tuple[str, ...] = ()
    comment: str | None = None
    skipped: int = 0
    compression: str | None = None
    newline: str = "\n"
    assumed: tuple[str, ...] = ()
    unclear: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """How the file is read, in one line."""
        parts = [f"columns between {_TOLD.get(self.delimiter, repr(self.delimiter))}"]
        parts += ["decimal commas"] if self.decimal == "," else []
        parts += [f"{self.thousands!r} between thousands"] if self.thousands else []
        parts += [f"cells in {self.quote}"] if self.quote != '"' else []
        line = self.skipped + 1
        lines = f"lines {line} and {line + 1}" if self.second == "names" else f"line {line}"
        parts.append(f"names in {lines}" if self.header else "no line of names")
        parts += [f"units in line {line + 1} left out"] if self.second == "units" else []
        if self.index:
            parts.append(f"{', '.join(name or 'the unnamed column' for name in self.index)} numbers or names the rows")
        parts += [f"lines that begin with {self.comment} left out"] if self.comment else []
        parts += [] if self.encoding == "utf-8" else [self.encoding]
        return ", ".join(parts) + "".join(f"; {words}" for words in self.assumed)

    def but(self, **changes: Any) -> Dialect:
        """A copy in which some values are changed."""
        return replace(self, **changes)


def given_settings(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a user says of a file, checked: a value for some fields of `Dialect`, as Python values or as words.

    Raises IsthmusError for unknown fields and values.

    >>> given_settings({"delimiter": "semicolon", "header": "no", "index": "id"})
    {'delimiter': ';', 'header': False, 'index': ('id',)}
    """
    settings = {}
    for name, value in (options or {}).items():
        if name not in _GIVEN:
            raise unknown_name("setting of CSV files", name, _GIVEN)
        settings[name] = _checked(name, value)
    return settings


def parse_settings(texts: Sequence[str]) -> dict[str, str]:
    """``["delimiter=;", "header=no"]`` as a dictionary."""
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise IsthmusError(
                f"{text!r} is not of the form NAME=VALUE, as in 'delimiter=;'; names: {', '.join(_GIVEN)}"
            )
        settings[name.strip()] = value
    return settings


def _checked(name: str, value: Any) -> Any:
    text = _NAMES.get(value, value) if isinstance(value, str) else value
    match name:
        case "header":
            words = {"yes": True, "no": False, True: True, False: False}
            if text in words:
                return words[text]
            raise _wrong(name, value, "yes or no")
        case "index":
            columns = (text,) if isinstance(text, str) else tuple(text or ())
            return () if columns == ("none",) else columns
        case "skipped":
            if str(text).isdecimal():
                return int(text)
            raise _wrong(name, value, "a number of lines")
        case "encoding":
            try:
                "".encode(text)
            except (LookupError, TypeError) as error:
                raise _wrong(name, value, "a Python codec, as utf-8 or cp1252") from error
            return text
        case "decimal" if text not in (".", ","):
            raise _wrong(name, value, "a point or a comma")
        case "thousands" | "comment" if text in (None, "none", ""):
            return None
        case "delimiter" if text == "whitespace":
            return text
    if not isinstance(text, str) or len(text) != 1:
        raise _wrong(name, value, "one character")
    return text


def _wrong(name: str, value: object, right: str) -> IsthmusError:
    return IsthmusError(f"{name}={value!r} of a CSV file is not understood; it is {right}")
