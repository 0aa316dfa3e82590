"""The line of totals that people leave below a table."""

from __future__ import annotations

import re
from typing import Any

_TOTAL = re.compile(
    r"(?:grand |sub)?totals?|sums?|summe|gesamt(?:summe)?|insgesamt|totaal|totale?|somme|suma", re.IGNORECASE
)
_CLOSE = 1e-6  # rounding of a sum, as a share of it
_LEAST = 3  # rows above


def total_row(table: Any) -> str:
    """What to say of an Arrow table whose last row holds the sums of those above; "" for another table.

    The proof is the word in it and one matching sum, or two matching sums.

    >>> import pyarrow as pa
    >>> total_row(pa.table({"what": ["a", "b", "c", "Total"], "price": [1.5, 2.0, 4.0, 7.5]}))
    "the last row ('Total') is the sum of those above, and counts as a row: take it out of the file"
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    above = table.num_rows - 1
    if above < _LEAST:
        return ""
    word, sums = "", 0
    for column in table.columns:
        last = column[above].as_py()
        if isinstance(last, str) and _TOTAL.fullmatch(last.strip().rstrip(":")):
            word = repr(last)
        elif last and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            total = pc.sum(column.slice(0, above).cast(pa.float64(), safe=False)).as_py()
            sums += total is not None and abs(total - last) <= _CLOSE * abs(last)
    if sums and (word or sums > 1):
        which = f" ({word})" if word else ""
        return f"the last row{which} is the sum of those above, and counts as a row: take it out of the file"
    return ""
