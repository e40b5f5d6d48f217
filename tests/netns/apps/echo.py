#!/usr/bin/python3
"""asyncio server of many faces. Usage: echo.py PORT [MODE]. Dual stack.
echo: sends back what comes, half-close aware. names: one JSON line {peer, local} then close. banner: speaks first.
sum: reads to EOF, answers the SHA-256 of it and its length. source N: sends N pseudo-random bytes, then FIN. rst: answers one byte, then resets.
hold: accepts and says nothing. ended: echo that remembers how a connection ended; a `?` on the next one is answered with it."""
import asyncio
import hashlib
import json
import random
import socket
import struct
import sys


LAST = "nothing"


async def remember_the_end(reader, writer):
    global LAST
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(LAST.encode() if chunk == b"?" else chunk)
            await writer.drain()
            if chunk == b"?":
                return
        LAST = "eof"
    except ConnectionResetError:
        LAST = "reset"


async def serve(reader, writer, mode):
    sock = writer.get_extra_info("socket")
    try:
        if mode == "names":
            writer.write(json.dumps({"peer": sock.getpeername()[:2], "local": sock.getsockname()[:2]}).encode() + b"\n")
        elif mode == "banner":
            writer.write(b"220 weft test ready\r\n")
            await writer.drain()
            line = await reader.readline()
            writer.write(b"250 " + line)
        elif mode == "sum":
            digest, size = hashlib.sha256(), 0
            while chunk := await reader.read(1 << 16):
                digest.update(chunk)
                size += len(chunk)
            writer.write(f"{digest.hexdigest()} {size}\n".encode())
        elif mode.startswith("source"):
            left, source = int(mode.split("=")[1]), random.Random(1)
            while left:
                chunk = source.randbytes(min(left, 1 << 16))
                writer.write(chunk)
                await writer.drain()
                left -= len(chunk)
        elif mode == "rst":
            await reader.read(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        elif mode == "ended":
            await remember_the_end(reader, writer)
        elif mode == "hold":
            await reader.read()
        else:
            while chunk := await reader.read(1 << 16):
                writer.write(chunk)
                await writer.drain()
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    except (ConnectionError, OSError):
        pass


async def main():
    port, mode = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "echo"
    sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    server = await asyncio.start_server(lambda r, w: serve(r, w, mode), sock=sock)
    async with server:
        await server.serve_forever()


asyncio.run(main())
