"""Where a command works: in this process, or on a cluster of Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from isthmus.errors import unknown_name

Result = TypeVar("Result")

PANEL = "More than one machine"
LOCAL, RAY = "local", "ray"


@dataclass(frozen=True)
class Backend:
    """The options of every command that can work on a cluster."""

    backend: Annotated[
        str,
        typer.Option(
            "--backend", help="Where to work: local, or ray for a cluster.", metavar="NAME", rich_help_panel=PANEL
        ),
    ] = LOCAL
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Processes on the cluster, one CPU each.",
            min=1,
            show_default="all of its CPUs",
            rich_help_panel=PANEL,
        ),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            help="Address of the cluster, as host:6379 or auto.",
            show_default="RAY_ADDRESS, else one on this machine",
            rich_help_panel=PANEL,
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.backend not in (LOCAL, RAY):
            raise typer.BadParameter(str(unknown_name("backend", self.backend, (LOCAL, RAY))))
        if self.is_local:
            self._check_local()

    def _check_local(self) -> None:
        if self.workers is not None or self.ray_address is not None:
            raise typer.BadParameter("--workers and --ray-address are for --backend ray")

    @property
    def is_local(self) -> bool:
        """Whether this process works alone."""
        return self.backend == LOCAL

    def check_model(self, model: str | None, training: str) -> None:
        """Refuse to learn on the way what workers could not load. training : the command that makes such a model."""
        if model is None and not self.is_local:
            raise typer.BadParameter(
                f"--backend {self.backend} needs a model; {training} makes one, named before the data"
            )

    def map(
        self,
        opening: Callable[[], Any],
        work: Callable[[Any, Any], Result],
        parts: Sequence[Any],
        opened: Any,
        device: str,
        together: int = 1,
    ) -> Iterator[Result]:
        """``work(opened, part)`` for each part, in order. opening : makes what was opened here again, in a worker.

        together : successive parts that are best worked on by one worker.
        """
        if self.is_local:
            return (work(opened, part) for part in parts)
        from isthmus.cluster.connection import Cluster
        from isthmus.cluster.inference import map_parts

        cluster = Cluster(self.workers, self.ray_address)
        return map_parts(opening, work, parts, cluster, device=device, together=together)

    def stream(self, opening: Callable[[], Any]) -> Callable[[Callable[..., Any], Iterable[Any]], Iterator[Any]] | None:
        """What maps ``work(opening(), item)`` over items that are made here, by the workers; None without such."""
        if self.is_local:
            return None
        from isthmus.cluster.connection import Cluster
        from isthmus.cluster.inference import map_items

        cluster = Cluster(self.workers, self.ray_address)
        return lambda work, items: map_items(opening, work, items, cluster)

    def data(self, opened: Any, opening: Callable[[], Any]) -> Any:
        """Data for an estimator's `fit`: as they were opened here, or for each worker to open again."""
        if self.is_local:
            return opened
        from isthmus.cluster.training import Delayed

        return Delayed(opening)

    @property
    def fit_options(self) -> dict[str, Any]:
        """What every estimator's `fit` takes of this."""
        return {} if self.is_local else {"backend": RAY, "workers": self.workers, "address": self.ray_address}
