"""A way to a server on which answers are lost, come late, or are refusals."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Network:
    """A way to a server on which answers are lost after the server has done what was asked, or come late; or which asks for a password."""

    address: str
    losses: dict[str, int] = field(default_factory=dict)
    """How many answers to POST requests are still to be lost, by the end of their path."""
    lost: list[str] = field(default_factory=list)
    refusals: dict[int, float] = field(default_factory=dict)
    """How many requests are still to be refused, by the status that they are answered with; 429 asks to come back after a second."""
    refused: list[int] = field(default_factory=list)
    delay: float = 0.0
    """Seconds that each answer takes."""

    def refusal(self) -> int | None:
        """The status that the next request is refused with."""
        for status, left in self.refusals.items():
            if left > 0:
                self.refusals[status] -= 1
                self.refused.append(status)
                return status
        return None

    def is_lost(self, method: str, path: str) -> bool:
        for end, left in self.losses.items():
            if method == "POST" and path.endswith(end) and left > 0:
                self.losses[end] -= 1
                self.lost.append(end)
                return True
        return False


@contextmanager
def unruly(server: str) -> Iterator[Network]:
    """Such a way to an HTTP server, on loopback; at first it is an orderly one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(network.delay)
            if (status := network.refusal()) is not None:
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection", "accept-encoding")}
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except OSError:  # the server is gone
                self.close_connection = True
                return
            finally:
                connection.close()
            if network.is_lost(self.command, urlsplit(self.path).path):
                self.close_connection = True
                return
            with suppress(OSError):  # whoever asked has given up
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        network = Network(f"http://127.0.0.1:{listening.server_address[1]}")
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield network
        listening.shutdown()
