#!/usr/bin/python3
"""A client of many acts; prints one JSON object. Exit 0 whenever it could report.
names HOST PORT            what getpeername and getsockname say, and what the server saw
try HOST PORT [S]          one connect + one byte there and back: {"outcome": ok|refused|reset|eof|timeout, "seconds"}
load HOST PORT S RATE      connects at RATE a second for S seconds: counts by outcome, slowest
stream HOST PORT S         echo with sequence numbers on one connection: bytes, errors, longest gap; when it broke (CLOCK_MONOTONIC)
many HOST PORT N           N connections open at once, each echoes, then all close
first HOST PORT N M        the server sends N bytes and ends; then M are sent to it: both digests equal?
half HOST PORT             sends, half-closes, reads to EOF: the sum server's answer
rst HOST PORT              sends one byte to the rst server: what it sees
abort HOST PORT            resets a connection to the ended server: what that saw
short HOST PORT N          N short connections in a row, 8 at once
up HOST PORT BYTES         sends pseudo-random bytes to `sum`: digests equal?
down HOST PORT BYTES       reads from `source`: digest equal?
resolve NAME S RATE        asks the system's resolver RATE times a second for S seconds: counts by outcome, slowest"""
import asyncio
import collections
import concurrent.futures
import hashlib
import json
import random
import socket
import struct
import sys
import time


def outcome_of(error):
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError, socket.timeout)):
        return "timeout"
    return f"error: {error}"


async def attempt(host, port, limit=10.0):
    start = time.monotonic()
    writer = None
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"x")
            got = await reader.read(1)
            outcome = "ok" if got == b"x" else "eof"
    except Exception as error:
        outcome = outcome_of(error)
    if writer:
        writer.close()
        try:
            await asyncio.wait_for(writer.wait_closed(), 1)
        except Exception:
            pass
    return outcome, time.monotonic() - start


async def do_try(host, port, limit="10"):
    outcome, seconds = await attempt(host, port, float(limit))
    return {"outcome": outcome, "seconds": seconds}


async def do_names(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    sock = writer.get_extra_info("socket")
    mine = {"peer": sock.getpeername()[:2], "local": sock.getsockname()[:2]}
    server = json.loads(await asyncio.wait_for(reader.readline(), 10))
    return {"client": mine, "server": server}


async def do_load(host, port, seconds, rate):
    counts, slowest, waiting = collections.Counter(), 0.0, set()
    timeline = []
    start = time.monotonic()
    n = 0

    def done(task, at):
        nonlocal slowest
        outcome, took = task.result()
        counts[outcome] += 1
        slowest = max(slowest, took)
        if outcome != "ok":
            timeline.append([round(at - start, 3), outcome, round(took, 3)])
        waiting.discard(task)

    while (now := time.monotonic()) - start < float(seconds):
        while n < (now - start) * float(rate) and len(waiting) < 2000:
            task = asyncio.ensure_future(attempt(host, port))
            waiting.add(task)
            task.add_done_callback(lambda t, at=now: done(t, at))
            n += 1
        await asyncio.sleep(0.005)
    while waiting:
        await asyncio.wait(waiting)
    return {"started": n, "counts": dict(counts), "slowest": slowest, "failures": timeline[:50]}


async def do_stream(host, port, seconds):
    reader, writer = await asyncio.open_connection(host, port)
    end, sent, gap, last = time.monotonic() + float(seconds), 0, 0.0, time.monotonic()
    try:
        while time.monotonic() < end:
            block = struct.pack("!Q", sent) * 64
            writer.write(block)
            await writer.drain()
            back = await asyncio.wait_for(reader.readexactly(len(block)), 10)
            now = time.monotonic()
            gap, last = max(gap, now - last), now
            if back != block:
                return {"outcome": "corrupt", "blocks": sent}
            sent += 1
            await asyncio.sleep(0.002)
    except asyncio.IncompleteReadError as error:
        return {"outcome": "eof", "blocks": sent, "partial": len(error.partial), "ended": time.monotonic()}
    except Exception as error:
        return {"outcome": outcome_of(error), "blocks": sent, "seconds": time.monotonic() - last, "ended": time.monotonic()}
    writer.close()
    return {"outcome": "ok", "blocks": sent, "gap": gap}


async def do_many(host, port, count):
    async def one():
        return await asyncio.open_connection(host, port)

    opened = await asyncio.gather(*[one() for _ in range(int(count))], return_exceptions=True)
    pairs = [o for o in opened if not isinstance(o, BaseException)]
    good = 0
    for number, (reader, writer) in enumerate(pairs):
        writer.write(struct.pack("!I", number))
    for number, (reader, writer) in enumerate(pairs):
        good += await asyncio.wait_for(reader.readexactly(4), 20) == struct.pack("!I", number)
    for _, writer in pairs:
        writer.close()
    return {"opened": len(pairs), "echoed": good, "errors": [repr(o) for o in opened if isinstance(o, BaseException)][:3]}


async def do_first(host, port, down, up):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"x")
    got = hashlib.sha256(await asyncio.wait_for(reader.read(), 60)).hexdigest()
    await asyncio.sleep(0.2)  # it is half closed
    sent = random.Random(time.monotonic_ns()).randbytes(int(up))  # never what an earlier one sent
    for at in range(0, len(sent), 1 << 16):
        writer.write(sent[at:at + (1 << 16)])
        await writer.drain()
    writer.close()
    await writer.wait_closed()
    want = f"{hashlib.sha256(sent).hexdigest()} {up}"
    for _ in range(100):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"?")
        saw = (await asyncio.wait_for(reader.read(), 10)).decode()
        writer.close()
        if saw == want:
            break
        await asyncio.sleep(0.05)
    return {"down": got == hashlib.sha256(random.Random(1).randbytes(int(down))).hexdigest(), "up": saw == want, "server_saw": saw}


async def do_half(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"hello half")
    writer.write_eof()
    answer = (await asyncio.wait_for(reader.read(), 10)).decode().split()
    return {"ok": answer == [hashlib.sha256(b"hello half").hexdigest(), "10"], "answer": answer}


async def do_rst(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"x")
    try:
        got = await asyncio.wait_for(reader.read(10), 10)
        return {"outcome": "eof" if not got else "data"}
    except Exception as error:
        return {"outcome": outcome_of(error)}


async def do_abort(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"x")
    await asyncio.wait_for(reader.readexactly(1), 10)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    for _ in range(50):
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"?")
        seen = (await asyncio.wait_for(reader.read(), 10)).decode()
        if seen != "nothing":
            break
    return {"server_saw": seen}


async def do_short(host, port, count):
    counts, left = collections.Counter(), int(count)
    start = time.monotonic()

    async def worker():
        nonlocal left
        while left > 0:
            left -= 1
            outcome, _ = await attempt(host, port)
            counts[outcome] += 1

    await asyncio.gather(*[worker() for _ in range(8)])
    return {"counts": dict(counts), "seconds": time.monotonic() - start}


async def do_up(host, port, size):
    reader, writer = await asyncio.open_connection(host, port)
    source, digest, left = random.Random(2), hashlib.sha256(), int(size)
    while left:
        chunk = source.randbytes(min(left, 1 << 18))
        digest.update(chunk)
        writer.write(chunk)
        await writer.drain()
        left -= len(chunk)
    writer.write_eof()
    answer = (await asyncio.wait_for(reader.read(), 60)).decode().split()
    return {"ok": answer == [digest.hexdigest(), size], "answer": answer}


async def do_down(host, port, size):
    reader, writer = await asyncio.open_connection(host, port)
    source, want, left = random.Random(1), hashlib.sha256(), int(size)
    while left:
        chunk = source.randbytes(min(left, 1 << 16))
        want.update(chunk)
        left -= len(chunk)
    got, count = hashlib.sha256(), 0
    while chunk := await asyncio.wait_for(reader.read(1 << 18), 60):
        got.update(chunk)
        count += len(chunk)
    return {"ok": got.digest() == want.digest(), "bytes": count}


async def do_resolve(name, seconds, rate):
    def ask():
        start = time.monotonic()
        try:
            outcome = "ok" if socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM) else "empty"
        except OSError as error:
            outcome = f"error: {error}"
        return outcome, time.monotonic() - start

    counts, slow, asked = collections.Counter(), [], []
    loop, start = asyncio.get_running_loop(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        while (now := time.monotonic()) - start < float(seconds):
            while len(asked) < (now - start) * float(rate):
                asked.append((now - start, loop.run_in_executor(pool, ask)))
            await asyncio.sleep(0.002)
        for at, task in asked:
            outcome, took = await task
            counts[outcome] += 1
            slow.append((took, round(at, 3)))
    return {"started": len(asked), "counts": dict(counts), "slowest": max(slow)[0], "slow": sorted(slow)[-5:]}


print(json.dumps(asyncio.run(globals()[f"do_{sys.argv[1]}"](*sys.argv[2:]))), flush=True)
