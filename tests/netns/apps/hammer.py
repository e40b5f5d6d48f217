#!/usr/bin/python3
"""Requests from inside a pod, counted: hammer.py URL [-n N] [-c CLIENTS] [--rate PER_SECOND] [--seconds S] [-X METHOD] [-H 'k: v']… [--body N]
[--reuse] [--timeout S]. Prints one JSON line: {"counts": {"STATUS TAG": n}, "bodies": [first few], "times": […], "errors": […], "log": [[t, key]]}.
TAG is the x-bookinfo header. A new connection for each request unless --reuse."""
import argparse
import http.client
import json
import threading
import time
import urllib.parse

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("-n", type=int, default=0)
parser.add_argument("-c", type=int, default=1)
parser.add_argument("--rate", type=float, default=0)
parser.add_argument("--seconds", type=float, default=0)
parser.add_argument("-X", dest="method", default="GET")
parser.add_argument("-H", dest="headers", action="append", default=[])
parser.add_argument("--body", type=int, default=0)
parser.add_argument("--reuse", action="store_true")
parser.add_argument("--timeout", type=float, default=30)
parser.add_argument("--log", action="store_true")
args = parser.parse_args()

url = urllib.parse.urlsplit(args.url)
path = url.path + ("?" + url.query if url.query else "")
headers = dict(h.split(": ", 1) for h in args.headers)
body = b"x" * args.body if args.body else None
lock = threading.Lock()
counts, bodies, times, errors, log = {}, {}, [], [], []
started = time.monotonic()
sent = 0


def turn():
    """The moment at which the next request is due, or nothing when all are sent."""
    global sent
    with lock:
        now = time.monotonic() - started
        if (args.n and sent >= args.n) or (args.seconds and now >= args.seconds):
            return None
        sent += 1
        return started + (sent - 1) / args.rate if args.rate else 0.0


def one(connection):
    begun = time.monotonic()
    key = tag = ""
    text = b""
    try:
        connection.request(args.method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        tag = answer.getheader("x-bookinfo") or ""
        key = f"{answer.status} {tag}".strip()
    except (OSError, http.client.HTTPException) as error:
        key = f"error {type(error).__name__}"
        connection.close()
        with lock:
            errors.append([round(begun - started, 3), str(error)[:100]])
    took = time.monotonic() - begun
    with lock:
        counts[key] = counts.get(key, 0) + 1
        times.append(round(took, 4))
        if len(bodies) < 20:
            bodies.setdefault(text[:2000].decode(errors="replace"), key)
        if args.log:
            log.append([round(begun - started, 4), key])


def work():
    connection = None
    while (due := turn()) is not None:
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        if connection is None or not args.reuse:
            connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=args.timeout)
        one(connection)
        if not args.reuse:
            connection.close()


threads = [threading.Thread(target=work, daemon=True) for _ in range(args.c)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
times.sort()
print(json.dumps({"counts": counts, "bodies": list(bodies), "times": times, "errors": errors[:10], "log": log}))
