"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# The paths that are told apart; of others there may be any number.
_PATHS = ("/", "/classify", "/health", "/metrics")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts of one server, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("slimft_requests", "Requests answered.", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "slimft_request_seconds",
            "From a request's head to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter("slimft_images", "Images, by what became of them.", ["result"], registry=registry)
        self._batch = Histogram("slimft_batch_images", "Images in a batch.", buckets=_IMAGES, registry=registry)
        self._batch_seconds = Histogram(
            "slimft_batch_seconds", "What the network takes for a batch.", buckets=_SECONDS, registry=registry
        )
        for result in ("classified", "unreadable"):  # So that they are there before there is one.
            self._images.labels(result)

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Adds a figure that `value` tells when it is asked for."""
        Gauge(f"slimft_{name}", meaning, registry=self._registry).set_function(value)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request."""
        path = path if path in _PATHS else "other"
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def images(self, classified: int, unreadable: int) -> None:
        """Counts images of a request."""
        self._images.labels("classified").inc(classified)
        self._images.labels("unreadable").inc(unreadable)

    def batch(self, images: int, seconds: float) -> None:
        """Counts a batch."""
        self._batch.observe(images)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)
