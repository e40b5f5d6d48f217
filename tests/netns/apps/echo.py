#!/usr/bin/python3
"""asyncio server of many faces. Usage: echo.py PORT [MODE [ADDRESS]]. Dual stack without an ADDRESS.
echo: sends back what comes, half-close aware. names: one JSON line {peer, local} then close. banner: speaks first.
sum: reads to EOF, answers the SHA-256 of it and its length. source N: sends N pseudo-random bytes, then FIN. rst: answers one byte, then resets.
hold: accepts and says nothing. ended: echo that remembers how a connection ended; a `?` on the next one is answered with it.
first=N: after one byte, N pseudo-random bytes, then FIN, then it reads to EOF; a connection that begins with `?` is answered with the SHA-256
of what the one before sent, and its length."""
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


async def send_random(writer, left):
    source = random.Random(1)
    while left:
        chunk = source.randbytes(min(left, 1 << 16))
        writer.write(chunk)
        await writer.drain()
        left -= len(chunk)


async def sum_of(reader):
    digest, size = hashlib.sha256(), 0
    while chunk := await reader.read(1 << 16):
        digest.update(chunk)
        size += len(chunk)
    return f"{digest.hexdigest()} {size}"


async def end_first(reader, writer, size):
    global LAST
    if await reader.readexactly(1) == b"?":
        writer.write(LAST.encode())
        return
    await send_random(writer, size)
    writer.write_eof()
    LAST = await sum_of(reader)


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
            writer.write(f"{await sum_of(reader)}\n".encode())
        elif mode.startswith("source"):
            await send_random(writer, int(mode.split("=")[1]))
        elif mode.startswith("first"):
            await end_first(reader, writer, int(mode.split("=")[1]))
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
    if len(sys.argv) > 3:
        sock = socket.create_server((sys.argv[3], port), backlog=4096)
    else:
        sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    server = await asyncio.start_server(lambda r, w: serve(r, w, mode), sock=sock)
    async with server:
        await server.serve_forever()


asyncio.run(main())
