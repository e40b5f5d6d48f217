#!/usr/bin/python3
"""Connections that end in one given order, and whether the other end learns of it without reading. `ends.py serve PORT` (dual stack) and
`ends.py play HOST PORT COUNT ORDER…`: COUNT connections in each order, all orders at once; prints {ORDER: {"made", "told", "errors"}}.
An order is two words: who ends (or stops reading) first, then who resets. Nobody reads after the first word is done; an end that did not
reset is "told" when the kernel shows its socket as broken (POLLERR or POLLHUP), as it does between two sockets without a proxy.
  server-fin,client-rst  client-fin,server-rst  client-fin,client-rst  server-fin,server-rst   a half-close, then a reset
  client-data,client-rst  client-data,server-rst  server-data,client-rst  server-data,server-rst  bytes that nobody reads, then a reset"""
import asyncio
import collections
import json
import select
import socket
import struct
import sys
import time

TOLD_S = 15  # a reset must have reached the other end by then; counted from before it, when the way may still be filling
QUEUE_MAX = 32 << 20
CHUNK = b"x" * 65536
told = collections.Counter()  # the server's: by order


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def keep_small(sock):
    """Little fits into it: the way is soon full. What a listener accepts is as it is."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)


async def exactly(loop, sock, size):
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


async def fill(sock):
    """Sends until the way is full."""
    sent, since = 0, time.monotonic()
    while time.monotonic() - since < 0.3 and sent < QUEUE_MAX:
        try:
            sent += sock.send(CHUNK)
            since = time.monotonic()
        except BlockingIOError:
            await asyncio.sleep(0.02)
    return sent


async def is_told(sock):
    poll = select.poll()
    poll.register(sock, 0)
    end = time.monotonic() + TOLD_S
    while time.monotonic() < end:
        if poll.poll(0):
            return True
        await asyncio.sleep(0.02)
    return False


async def act(loop, sock, me, first, last):
    """This end's part. True: it was told of the other's reset; None: it was the one that reset."""
    who, what = first.split("-")
    if who == me and what == "fin":
        sock.shutdown(socket.SHUT_WR)
    elif who == me:
        try:
            await fill(sock)
        except ConnectionError:
            return True
    elif what == "fin":
        assert await loop.sock_recv(sock, 1) == b""
    else:
        await asyncio.sleep(0.8)
    if last == f"{me}-rst":
        await asyncio.sleep(0.2)
        reset(sock)
        return None
    return await is_told(sock)


async def serve_one(loop, sock):
    try:
        size = (await exactly(loop, sock, 1))[0]
        order = (await exactly(loop, sock, size)).decode()
        if order == "?":
            await loop.sock_sendall(sock, json.dumps(told).encode())
            told.clear()
            return
        await loop.sock_sendall(sock, b"k")
        if await act(loop, sock, "server", *order.split(",")):
            told[order] += 1
    except (OSError, EOFError, AssertionError) as error:
        print(type(error).__name__, error, flush=True)
    finally:
        sock.close()


async def serve(port):
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    keep_small(listener)
    tasks = set()
    while True:
        sock, _ = await loop.sock_accept(listener)
        sock.setblocking(False)
        task = asyncio.ensure_future(serve_one(loop, sock))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def dial(loop, host, port, order):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    keep_small(sock)
    await asyncio.wait_for(loop.sock_connect(sock, (host, int(port))), 10)
    await loop.sock_sendall(sock, bytes([len(order)]) + order.encode())
    return sock


async def play_one(loop, host, port, order, out):
    try:
        sock = await dial(loop, host, port, order)
        await asyncio.wait_for(exactly(loop, sock, 1), 10)
        out["made"] += 1
        if await act(loop, sock, "client", *order.split(",")):
            out["told"] += 1
        sock.close()
    except (OSError, EOFError, AssertionError, TimeoutError) as error:
        out["errors"][repr(error)] += 1


async def play_all(loop, host, port, count, order):
    out = {"made": 0, "told": 0, "errors": collections.Counter()}
    batch = 100 if "data" in order else 200  # what is queued is memory
    for done in range(0, count, batch):
        await asyncio.gather(*[play_one(loop, host, port, order, out) for _ in range(min(batch, count - done))])
    return out


async def play(host, port, count, *orders):
    loop = asyncio.get_running_loop()
    results = dict(zip(orders, await asyncio.gather(*[play_all(loop, host, port, int(count), order) for order in orders])))
    heard, end = collections.Counter(), time.monotonic() + TOLD_S
    wanted = {order: int(count) for order in orders if order.endswith("client-rst")}
    while any(heard[order] < n for order, n in wanted.items()) and time.monotonic() < end:
        await asyncio.sleep(0.25)
        heard.update(json.loads(await whole(loop, await dial(loop, host, port, "?"))))
    for order in wanted:
        results[order]["told"] = heard[order]
    print(json.dumps(results), flush=True)


async def whole(loop, sock):
    data = b""
    while piece := await loop.sock_recv(sock, 65536):
        data += piece
    return data


asyncio.run(serve(*sys.argv[2:]) if sys.argv[1] == "serve" else play(*sys.argv[2:]))
