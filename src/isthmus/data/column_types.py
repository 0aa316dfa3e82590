"""Types of Arrow columns: the few that everything computes with, and the way back to a column's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Missing cells as people write them in text.
MARKERS = ("", "?", "-", "NA", "N/A", "n/a", "NaN", "nan", "NaT", "null", "NULL", "None", "none", "#N/A", "<NA>")
_PLAIN = {"string_view": "large_string", "binary_view": "large_binary", "halffloat": "float32"}  # what has no kernels
_MOST_OF_INT8 = 100  # categories whose places any type of index holds


def plain(array: Any) -> Any:
    """An Arrow column in a type with kernels: no dictionary, extension, view, run ends or half precision."""
    import pyarrow as pa
    import pyarrow.compute as pc

    type_ = array.type
    if pa.types.is_run_end_encoded(type_):
        return plain(pc.run_end_decode(array))
    if pa.types.is_dictionary(type_):
        return plain(array.cast(type_.value_type))
    if isinstance(type_, pa.BaseExtensionType):
        return plain(array.cast(type_.storage_type))
    return array.cast(_PLAIN[str(type_)]) if str(type_) in _PLAIN else array


def known(array: Any, markers: Sequence[Any] = ()) -> Any:
    """A column in a `plain` type in which NaN, and what stands for a missing cell, is null.

    markers : values that stand for one, beside `MARKERS` in text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = plain(array)
    if pa.types.is_floating(array.type) and pc.any(pc.is_nan(array)).as_py():
        array = pc.if_else(pc.is_nan(array), None, array)
    if is_text(array.type):
        found = pc.is_in(pc.utf8_trim_whitespace(array), pa.array([*MARKERS, *map(str, markers)], array.type))
    elif pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        numbers = pa.array([marker for marker in markers if isinstance(marker, int | float)])
        found = pc.is_in(array, numbers.cast(array.type, safe=False))
    else:
        return array
    return pc.if_else(found, None, array) if pc.any(found).as_py() else array


def restored(array: Any, type_: Any, categories: Sequence[Any] = ()) -> Any:
    """An array in a column's own type. categories : the values of a dictionary, in their order; others follow them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.type == type_:
        return array
    if pa.types.is_dictionary(type_):
        values = restored(array, type_.value_type)
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        listed = pa.array(categories, type_.value_type) if len(categories) else values.drop_null().unique()
        others = pc.filter(values, pc.invert(pc.is_in(values, value_set=listed))).drop_null().unique()
        listed = pa.concat_arrays([listed, others]) if len(others) else listed
        places = pc.index_in(values, value_set=listed)
        places = places if len(listed) > _MOST_OF_INT8 else places.cast(type_.index_type)
        return pa.DictionaryArray.from_arrays(places, listed, ordered=type_.ordered)
    if isinstance(type_, pa.BaseExtensionType):
        return restored(array, type_.storage_type).cast(type_)
    if pa.types.is_run_end_encoded(type_):
        return pc.run_end_encode(restored(array, type_.value_type), run_end_type=type_.run_end_type)
    if pa.types.is_time(type_) and pa.types.is_timestamp(array.type):
        return array.cast(pa.int64()).cast(pa.time64("us")).cast(type_, safe=False)
    return array.cast(type_, safe=False)


def merged(holes: Any, values: Any, given: Any) -> Any:
    """A given column whose holes, a boolean array, are filled; in its own type unless that cannot hold the values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values, cells = plain(values), plain(given)
    for type_ in dict.fromkeys((cells.type, values.type)):
        try:
            full = pc.if_else(holes, values.cast(type_), cells.cast(type_))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        break
    else:
        full = pc.if_else(holes, values.cast(pa.string()), cells.cast(pa.string()))
    own = given.type
    if full.type != cells.type:
        return full
    return restored(full, own, _dictionary(given)) if full.type != own else full


def is_text(type_: Any) -> bool:
    """Whether it is text, in a `plain` type."""
    import pyarrow as pa

    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def is_binary(type_: Any) -> bool:
    """Whether it is bytes, in a `plain` type."""
    import pyarrow as pa

    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_))


def categories_of(array: Any) -> list[Any]:
    """The values that a column's dictionary lists, also those that do not occur; none for other columns."""
    return [value for value in _dictionary(array) if value is not None]


def _dictionary(array: Any) -> list[Any]:
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        return []
    chunks = array.unify_dictionaries().chunks if isinstance(array, pa.ChunkedArray) else [array]
    listed: list[Any] = chunks[0].dictionary.to_pylist() if chunks else []
    return listed
