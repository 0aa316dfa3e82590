"""The explorer: a page on which a model can be looked at, walked through and tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.serving.explorer.atlas import ProjectionName
from isthmus.serving.explorer.notebook import Served
from isthmus.serving.explorer.prepared import prepared


def explore(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    projection: ProjectionName = "pca",
) -> Any:
    """A page with the codes of X as a map, and whatever the model does, live; in a notebook it shows itself.

    model : a fitted AutoEncoder, ManifoldMap, Denoiser or Codec, or a dictionary of names to such models, side by side.
    X : samples as in `transform`; y : their labels, array of shape (n,); class_names : what these mean.
    projection : how codes of more than two numbers are mapped: "pca", the plane of their principal directions, or
        "neighbours", a ManifoldMap that is fitted to them first.

    Returns what a notebook shows as a frame; its `url` is the page's address, at 127.0.0.1, until `stop()`.

    Raises IsthmusError where a model has no page, a projection is unknown or labels do not fit, MissingExtraError
    without Panel.

    Examples
    --------
    >>> from isthmus import AutoEncoder, datasets, explore
    >>> X = datasets.load("digits").train.images[:200]
    >>> page = explore(AutoEncoder(2, epochs=1, random_state=0).fit(X), X)
    >>> page.url.startswith("http://127.0.0.1:")
    True
    >>> page.stop()
    """
    models = model if isinstance(model, Mapping) else {type(model).__name__: model}
    pages = {name: prepared(one, X, y, class_names, projection) for name, one in models.items()}
    return Served(pages)
