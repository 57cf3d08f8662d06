"""A TCP relay that delays each direction: a far host on a near machine, where the kernel has no netem."""

from __future__ import annotations

import asyncio
import contextlib
import sys

CHUNK = 65536


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on what is read, each piece `delay` seconds after it came, without holding up the next."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)

    delivery = asyncio.create_task(deliver())
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            pieces.put_nowait((loop.time() + delay, data))
    pieces.put_nowait((loop.time() + delay, b""))
    await delivery


async def main(target: int, round_trip: float) -> None:
    """Relay a free port of 127.0.0.1, printed first, to `target`, with `round_trip` seconds there and back."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        ways = ((reader, far_writer), (far_reader, writer))
        await asyncio.gather(*(_pump(*way, round_trip / 2) for way in ways), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
