#!/usr/bin/env bash
# Guess: what uvicorn listens on, an address, the socket that it opens for several workers or one that it inherits by number, makes no difference to how soon it answers.
# Version: uvicorn 0.54.0, uvloop 0.22.1.
# Behaviour: asyncio switches Nagle's algorithm off only on connections whose socket names the protocol, TCP. Those of an address do; those of `Config.bind_socket`, which `--workers` and `--reload` use, do not, and one of `--fd` is taken for a Unix socket. An answer's body then waits until the client has confirmed its head, which Linux does after 40 ms. uvloop leaves it on for the inherited one alone.
# Seen: with asyncio the median of 30 requests was 0.2 ms by address, 48 ms with a socket of bind_socket and 50 ms with fd; with uvloop 0.1, 0.2 and 0.1 ms, since it sends head and body of this answer at once.
# Meaning: a small generator behind `uvicorn --workers 4` without uvloop, or behind a socket that systemd opened, answers each client some 23 times a second, whatever the model takes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet uvicorn==0.54.0 uvloop==0.22.1

venv/bin/python - <<'PYTHON'
import http.client
import socket
import statistics
import threading
import time

import uvicorn


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def without_delay(way, loop):
    """Whether TCP_NODELAY is on, and the median time of 30 requests over one connection."""
    listener = socket.create_server(("127.0.0.1", 0)) if way == "inherited" else None
    given = {"fd": listener.fileno()} if listener else {"port": 0}
    config = uvicorn.Config(app, log_level="error", lifespan="off", loop=loop, **given)
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()] if way == "of workers" else None
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = (listener or (sockets or server.servers[0].sockets)[0]).getsockname()[1]
    client, seconds = http.client.HTTPConnection("127.0.0.1", port), []
    for _ in range(30):
        start = time.perf_counter()
        client.request("GET", "/")
        assert client.getresponse().read() == b"ok"
        seconds.append(time.perf_counter() - start)
    (connection,) = server.server_state.connections
    taken = socket.socket(fileno=socket.dup(connection.transport.get_extra_info("socket").fileno()))
    found = taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    taken.close()
    client.close()
    server.should_exit = True
    thread.join()
    return found, statistics.median(seconds)


found = {}
for loop in ("asyncio", "uvloop"):
    for way in ("address", "of workers", "inherited"):
        found[loop, way], median = without_delay(way, loop)
        print(f"{loop}, {way}: TCP_NODELAY {found[loop, way]}, {1000 * median:.1f} ms")
assert [*found.values()] == [1, 0, 0, 1, 1, 0], "changed: which connections are sent at once"
PYTHON
