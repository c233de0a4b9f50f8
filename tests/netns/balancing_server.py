"""A real server: says its name to whoever connects, then echoes; answers datagrams with its name.

Arguments: name, then ports. Every address of the machine is listened at, IPv4 and IPv6.
"""

import asyncio
import socket
import sys
from typing import cast

BACKLOG = 4096


async def serve(name: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until the client ends it."""
    try:
        writer.write(name)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the client has gone
    finally:
        writer.close()


class Answering(asyncio.DatagramProtocol):
    """Answers each datagram with the name before it."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer by."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Answer."""
        self._transport.sendto(self._name + b" " + data, addr)  # type: ignore[arg-type]


async def main(name: str, addresses: str, ports: list[int]) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    said = name.encode()
    servers = []
    for port in ports:
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            servers.append(
                await asyncio.start_server(
                    lambda r, w: serve(said, r, w), host, port, family=family, backlog=BACKLOG
                )
            )
        # An answer comes from the address that was asked, so each address has a socket.
        for address in addresses.split(","):
            await loop.create_datagram_endpoint(lambda: Answering(said), local_addr=(address, port))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], [int(word) for word in sys.argv[3:]]))
