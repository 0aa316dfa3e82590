"""The reference of the command line, written from the commands themselves."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

import typer

from isthmus.cli import app

TOP = """# Commands

Every command with all of its options, as `isthmus COMMAND --help` prints them. How commands belong together, how runs
are stopped and continued, and what exit statuses mean: [the command line](../guide/command-line.md).

"""


def escaped(text: str) -> str:
    """Text in which nothing is taken for markup."""
    return re.sub(r"([*_<>|\[\]{}])", r"\\\1", text)


def is_example(paragraph: str) -> bool:
    """Whether a paragraph of a help text is a command."""
    return paragraph.startswith("  ") and "isthmus " in paragraph


def prose(text: str) -> str:
    """Help text as Markdown: the commands in it become blocks."""
    parts: list[str] = []
    for example, group in groupby(re.split(r"\n\s*?\n", text.rstrip()), is_example):
        paragraphs = list(group)
        commands = "".join(f"$ {line.strip()}\n" for line in "\n".join(paragraphs).splitlines())
        parts += [f"```console\n{commands}```"] if example else map(escaped, paragraphs)
    return "\n\n".join(parts) + "\n\n"


def cell(text: str) -> str:
    """Text that stands in a table."""
    return escaped(" ".join(text.split()))


def code(text: str) -> str:
    """Code that stands in a table."""
    return "<code>" + text.replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;") + "</code>"


def panel(parameter: Any) -> str:
    """The heading under which a parameter stands."""
    other = "Arguments" if parameter.param_type_name == "argument" else "Options"
    return getattr(parameter, "rich_help_panel", None) or other


def parameters(command: Any, context: Any) -> str:
    """Tables of what a command takes, one for each panel, in the order of its help."""
    panels: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts and "completion" not in parameter.name:
            panels.setdefault(panel(parameter), []).append(f"| {code(record[0])} | {cell(record[1])} |\n")
    return "".join(f"| {name} | |\n| --- | --- |\n{''.join(rows)}\n" for name, rows in panels.items())


def section(command: Any, context: Any, called: str, level: int) -> str:
    """A command and its own commands."""
    usage = " ".join(["$", called, *command.collect_usage_pieces(context)])
    text = f"{'#' * level} {called}\n\n{prose(command.help or '')}```console\n{usage}\n```\n\n"
    text += parameters(command, context) + prose(command.epilog or "")
    for name, child in getattr(command, "commands", {}).items():
        text += section(child, context, f"{called} {name}", level + 1)
    return text


def command_page() -> tuple[str, str]:
    """Name and text of the page."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    context = group.make_context("isthmus", [], resilient_parsing=True)
    text = TOP
    for name, commands in groupby(group.commands.values(), lambda command: getattr(command, "rich_help_panel", "")):
        rows = [(f"isthmus {command.name}", command) for command in commands]
        text += f"| {name} | |\n| --- | --- |\n"
        for called, command in rows:
            first = (command.help or "").partition("\n\n")[0]
            text += f"| [{called}](#{called.replace(' ', '-')}) | {cell(first)} |\n"
        text += "\n"
    text += "## Before a command's name\n\n" + parameters(group, context)
    return "reference/commands.md", text + "".join(
        section(command, context, f"isthmus {name}", 2) for name, command in group.commands.items()
    )
