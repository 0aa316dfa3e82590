"""The reference of the Python interface, written from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import isthmus
from isthmus import mlflow
from isthmus.cluster import inference
from isthmus.data import datasets
from isthmus.evaluation import plots
from isthmus.serving import http

CLASSES = ("AutoEncoder", "Codec", "Denoiser", "ManifoldMap", "Imputer", "AnomalyDetector", "DriftMonitor", "Store")
INHERITED = {"fit_transform", "get_params", "set_params", "set_output"}  # scikit-learn's, where there are such
SECTIONS = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
ENTRY = re.compile(r"^(\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}[A-Za-z_][\w.]*)*) : (.*)$")
LONGEST = 92  # characters of a signature on one line
STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
INDEX = """# Python

What `from isthmus import ...` gives, and some functions of rooms below. Estimators keep scikit-learn's contract: `fit`
returns `self`, what was learned ends in `_`, `clone` and `Pipeline` work. Every error that a user can cause is an
`isthmus.IsthmusError` with one line.

"""


def functions() -> dict[str, Any]:
    """What is public and no class, under the name by which it is called."""
    here = {name: getattr(isthmus, name) for name in isthmus.__all__}
    of_isthmus = {f"isthmus.{name}": thing for name, thing in here.items() if inspect.isfunction(thing)}
    modules = {"datasets": datasets, "plots": plots}
    within = {f"isthmus.{m}.{name}": getattr(module, name) for m, module in modules.items() for name in module.__all__}
    others = {
        "isthmus.serving.http.app": http.app,
        "isthmus.cluster.inference.map_parts": inference.map_parts,
        "isthmus.mlflow.log_model": mlflow.log_model,
        "isthmus.mlflow.load_model": mlflow.load_model,
    }
    return of_isthmus | within | others


def annotation(text: Any) -> str:
    """A type as it was written."""
    return text if isinstance(text, str) else getattr(text, "__name__", str(text))


def signature(name: str, thing: Any) -> str:
    """How a thing is called, a parameter a line where one line would be too long."""
    called = inspect.signature(thing)
    parts, kinds = [], [parameter.kind for parameter in called.parameters.values()]
    for parameter in called.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind == parameter.KEYWORD_ONLY and parameter.VAR_POSITIONAL not in kinds and "*" not in parts:
            parts.append("*")
        star = STARS.get(parameter.kind, "")
        typed = "" if parameter.annotation is parameter.empty else f": {annotation(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f"{' = ' if typed else '='}{parameter.default!r}"
        parts.append(f"{star}{parameter.name}{typed}{default}")
    back = "" if called.return_annotation in (called.empty, None) else f" -> {annotation(called.return_annotation)}"
    line = f"{name}({', '.join(parts)}){back}"
    return line if len(line) <= LONGEST else f"{name}(\n    " + ",\n    ".join(parts) + f",\n){back}"


def plain(text: str) -> str:
    """Prose of a docstring as Markdown: only what stands in backticks is markup."""
    parts = re.split(r"(`+[^`]+`+)", text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([*_{}\[\]|])", r"\\\1", parts[i].replace("<", "&lt;"))
    return "".join(parts)


def linked(text: str, here: str) -> str:
    """Names of public classes in backticks lead to their pages, but not from these pages themselves."""

    def led(name: re.Match[str]) -> str:
        anchor = f"#{name[2][1:].lower()}" if name[2] else ""
        return name[0] if name[1] == here else f"[{name[0]}]({name[1]}.md{anchor})"

    return re.sub(rf"`({'|'.join(CLASSES)})((?:\.[a-z_]+)?)`", led, text)


def entries(block: list[str], types: bool) -> str:
    """Lines `name : what it is`, with what belongs to each indented below it, as a list of definitions.

    types : whether what follows a name is its type, which then has a line of its own.
    """
    text = ""
    for line in block:
        if entry := ENTRY.match(line):
            text += f"\n`{entry[1]}`\n:   " + (f"*{plain(entry[2])}*  \n" if types else f"{plain(entry[2])}\n")
        else:
            text += f"    {plain(line.strip())}\n"
    return text + "\n"


def body(text: str, types: bool = False) -> str:
    """A part of a docstring: paragraphs, lists of what is taken, drawings and examples."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = paragraph.splitlines()
        if paragraph.startswith(">>>"):
            parts.append(f"```pycon\n{paragraph}\n```")
        elif all(line.startswith("    ") for line in lines):
            parts.append("```text\n" + inspect.cleandoc("\n" + paragraph) + "\n```")
        elif ENTRY.match(lines[0]):
            parts.append(entries(lines, types))
        else:
            parts.append("\n".join(map(plain, lines)))
    return "\n\n".join(parts) + "\n\n"


def docstring(thing: Any) -> str:
    """The docstring as Markdown, its sections under bold headings."""
    first, *sections = SECTIONS.split(inspect.getdoc(thing) or "")
    text = body(first)
    for heading, content in zip(sections[::2], sections[1::2], strict=True):
        text += f"**{heading}**\n\n{body(content, types=heading == 'Parameters')}"
    return text


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, in the order of their names."""
    for name, member in inspect.getmembers(cls):
        origin = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not (callable(member) or isinstance(member, property)) or inspect.isclass(member):
            continue
        if getattr(origin, "__module__", "").startswith("isthmus") or (name in INHERITED and inspect.getdoc(origin)):
            yield name, member


def class_page(name: str) -> str:
    """Everything about a class."""
    cls = getattr(isthmus, name)
    text = f"# {name}\n\n```python\nfrom isthmus import {name}\n```\n\n"
    text += f"```python\n{signature(name, cls)}\n```\n\n{docstring(cls)}"
    for method, member in members(cls):
        if isinstance(member, property):
            shown = f"{method}: {annotation(member.fget.__annotations__.get('return', ''))}"
        else:
            shown = signature(method, member)
        written = "" if method in INHERITED else docstring(member)
        text += f"## {method}\n\n```python\n{shown}\n```\n\n{written or 'As in scikit-learn.'}\n\n"
    return linked(text, name)


def functions_page() -> str:
    """What is public and no class."""
    text = "# Functions\n\n"
    for name, thing in functions().items():
        text += f"## {name}\n\n```python\n{signature(name.rpartition('.')[2], thing)}\n```\n\n{docstring(thing)}"
    return linked(text, "")


def first_line(thing: Any) -> str:
    return plain((inspect.getdoc(thing) or "").partition("\n\n")[0])


def index_page() -> str:
    """All names, a line for each."""
    text = INDEX + "| class | |\n| --- | --- |\n"
    text += "".join(f"| [{name}]({name}.md) | {first_line(getattr(isthmus, name))} |\n" for name in CLASSES)
    text += "\n| function | |\n| --- | --- |\n"
    for name, thing in functions().items():
        text += f"| [{name}](functions.md#{name.replace('.', '').lower()}) | {' '.join(first_line(thing).split())} |\n"
    return text


def api_pages() -> Iterator[tuple[str, str]]:
    """Name and text of each page."""
    yield "reference/index.md", index_page()
    yield "reference/functions.md", functions_page()
    for name in CLASSES:
        yield f"reference/{name}.md", class_page(name)
