"""Numbers of things in English, as all output says them."""

from __future__ import annotations


def count(n: int, what: str, many: str | None = None) -> str:
    """A number of things. many : their plural, where it is not the singular and an s.

    >>> count(1, "sample"), count(2000, "sample"), count(2, "class", "classes")
    ('1 sample', '2,000 samples', '2 classes')
    """
    return f"{n:,} {what if n == 1 else many or what + 's'}"
