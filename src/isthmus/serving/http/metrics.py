"""What Prometheus is told of a server."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from isthmus.serving.http.model_thread import Batch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client adds up what several processes count
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)
_DRIFT = {
    "alarm": "1 once rows have stopped being like those that the detector learned from",
    "value": "Evidence of that: the martingale, 1 at the start",
    "seen": "Rows that the monitor has seen",
}


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._of: dict[tuple[str, int], tuple[Counter, Histogram]] = {}  # by endpoint and status
        self._requests = Counter(
            "isthmus_requests", "Requests that were answered", ["endpoint", "status"], registry=self._registry
        )
        self._latency = Histogram(
            "isthmus_request_seconds",
            "From a request to its answer",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Histogram(
            "isthmus_batch_rows", "Rows computed together", ["model"], buckets=_ROWS, registry=self._registry
        )
        self._merged = Counter(
            "isthmus_batch_requests", "Requests whose rows were computed", ["model"], registry=self._registry
        )
        self._seconds = Counter(
            "isthmus_model_seconds", "Time that models computed", ["model"], registry=self._registry
        )
        self._queue = Gauge(
            "isthmus_queue_rows", "Rows that wait to be computed", registry=self._registry, multiprocess_mode="livesum"
        )
        self._drift = {
            name: Gauge(f"isthmus_drift_{name}", text, ["model"], registry=self._registry, multiprocess_mode="liveall")
            for name, text in _DRIFT.items()
        }

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer. endpoint : method and path, with names in place of what requests put there."""
        known = self._of.get((endpoint, status))
        if known is None:  # looked up once: to find them by their labels takes longer than to count
            known = self._of[endpoint, status] = (
                self._requests.labels(endpoint, str(status)),
                self._latency.labels(endpoint),
            )
        answers, latency = known
        answers.inc()
        latency.observe(seconds)

    def computed(self, batch: Batch) -> None:
        """Count a batch."""
        self._rows.labels(batch.model).observe(batch.rows)
        self._merged.labels(batch.model).inc(batch.requests)
        self._seconds.labels(batch.model).inc(batch.seconds)
        self._queue.set(batch.waiting)
        if batch.drift is not None:
            for name, gauge in self._drift.items():
                gauge.labels(batch.model).set(getattr(batch.drift, name))

    def text(self, waiting: int) -> bytes:
        """All of it, as Prometheus reads it, added up where several processes serve. waiting : rows that wait now."""
        self._queue.set(waiting)
        if METRICS_FOLDER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
