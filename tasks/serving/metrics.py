"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, Summary, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server, apart from those of others in the same process."""

    def __init__(self, waiting: Callable[[], int], version: Callable[[], int], is_champion: Callable[[], bool]) -> None:
        """The arguments are asked when somebody looks."""
        registry = self._registry = CollectorRegistry()
        self.requests = Counter("gantry_requests", "Requests answered.", ["path", "status"], registry=registry)
        self.seconds = Histogram("gantry_request_seconds", "From request to answer.", ["path"], buckets=_SECONDS, registry=registry)
        self.drawn = Counter("gantry_drawn_requests", "Requests answered with samples.", ["version"], registry=registry)
        self.samples = Counter("gantry_samples", "Samples answered.", ["version"], registry=registry)
        self.together = Histogram("gantry_pass_requests", "Requests drawn in one pass.", buckets=_SIZES, registry=registry)
        self.in_pass = Histogram("gantry_pass_samples", "Samples drawn in one pass.", buckets=_SIZES, registry=registry)
        self.swaps = Counter("gantry_swaps", "Changes to another version.", registry=registry)
        self.shadow_seconds = Histogram(
            "gantry_shadow_seconds", "Of the passes that drew what was compared.", ["version"], buckets=_SECONDS, registry=registry
        )
        self.shadow_means = Summary(
            "gantry_shadow_mean", "Means of what both drew for a request.", ["version", "measure"], registry=registry
        )
        self.shadow_failures = Counter("gantry_shadow_failures", "Requests at which the shadow failed.", ["version"], registry=registry)
        self.shadow_dropped = Counter("gantry_shadow_dropped", "Requests of its share that the shadow let go.", registry=registry)
        Gauge("gantry_waiting", "Requests that wait.", registry=registry).set_function(waiting)
        Gauge("gantry_version", "The version in use.", registry=registry).set_function(version)
        Gauge("gantry_is_champion", "1 while that is the champion, as far as is known.", registry=registry).set_function(is_champion)
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """All of it, of the type `TYPE`."""
        return generate_latest(self._registry)
