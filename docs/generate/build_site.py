"""Build the site: ``python docs/generate/build_site.py build`` writes build/site.

The pages of docs/ are copied, with what the site has of its own beside them: the reference, which is written from
the command line and the docstrings, the gallery, and pages that lie at the top of the repository. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from api_pages import api_pages
from command_page import command_page
from gallery_pages import gallery_pages, with_notebooks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/isthmus-ae/isthmus/blob/main/"
FROM_THE_TOP = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]+)">\s*<img alt="([^"]+)" src="([^"]+)">\s*</picture>')


def both_pictures(text: str) -> str:
    """A picture for each mode: readers choose it on the page, and <picture> knows only what the system says."""
    return PICTURE.sub(r"![\2](\3#only-light)\n![\2](\1#only-dark)", text)


def place(path: Path) -> str | None:
    """Where the site has a file of the repository, if it has it."""
    if path.parent == ROOT and path.name in FROM_THE_TOP:
        return FROM_THE_TOP[path.name]
    if path.is_file() and path.is_relative_to(DOCS) and path.suffix != ".py":
        return path.relative_to(DOCS).as_posix().replace(".ipynb", ".md")
    return None


def links_of_the_site(text: str, page: Path) -> str:
    """Lead the links of a page to where the site has what they name, or to the repository if it does not have it.

    page : where the page is in the repository.
    """
    here = posixpath.dirname(place(page) or "") or "."

    def led(link: re.Match[str]) -> str:
        target = (page.parent / link[1]).resolve()
        if found := place(target):
            return f"]({posixpath.relpath(found, here)}"
        return f"]({REPOSITORY}{target.relative_to(ROOT).as_posix()}" if target.exists() else link[0]

    return LINK.sub(led, text)


def written_pages() -> Iterator[tuple[str, str]]:
    """Name and text of every page that somebody wrote."""
    sources = [(path.relative_to(DOCS).as_posix(), path) for path in sorted(DOCS.rglob("*.md"))]
    for name, path in [*sources, *((page, ROOT / top) for top, page in FROM_THE_TOP.items())]:
        yield name, both_pictures(links_of_the_site(path.read_text(encoding="utf-8"), path))


def gather(folder: Path) -> None:
    """Make the folder of pages that the site is built from; one that is there is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.md", "*.py", "*.ipynb", "mkdocs.yml", "source")
    shutil.copytree(DOCS, folder, ignore=ignored)
    for name, content in [*written_pages(), *gallery_pages(DOCS / "gallery"), command_page(), *api_pages()]:
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(content if isinstance(content, bytes) else content.encode())


def build(folder: Path) -> int:
    """Build folder/site; returns the exit status."""
    gather(folder / "docs")
    settings = (DOCS / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(with_notebooks(settings, DOCS / "gallery"), encoding="utf-8")
    return subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=folder).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to work; the site is its sub-folder `site`")
    sys.exit(build(parser.parse_args().folder))
