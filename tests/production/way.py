"""The way to a server: `python way.py PORT TARGET` hands on what comes to 127.0.0.1:PORT to 127.0.0.1:TARGET until it is ended."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65_536):
            target.write(chunk)
            await target.drain()
    target.close()


async def _lead(port: int, target: int) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_pour(reader, back), _pour(there, writer))

    server = await asyncio.start_server(meet, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_lead(*(int(argument) for argument in sys.argv[1:])))
