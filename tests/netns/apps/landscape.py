#!/usr/bin/python3
"""One service of the conference landscape: landscape.py ROLE [VERSION] [PORT]. composite asks product, recommendation and review, in that order.
GET /__count answers {"METHOD path": n}, POST /__fault sets {"status", "delay", "p"}, GET /__echo answers the request's headers.
Every answer carries x-bookinfo: ROLE-VERSION (what hammer.py counts by) and composite's body says who served each part."""
import http.client
import json
import random
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE = sys.argv[1]
VERSION = sys.argv[2] if len(sys.argv) > 2 else "v1"
PORT = int(sys.argv[3]) if len(sys.argv) > 3 else 8080
PARTS = ["product", "recommendation", "review"]
PASSED_ON = ["x-request-id", "traceparent", "tracestate", "b3", "x-group"]
counts, lock, fault = {}, threading.Lock(), {}


def call(service, number, headers):
    connection = http.client.HTTPConnection(service, 8080, timeout=15)
    try:
        connection.request("GET", f"/{service}/{number}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        return {"status": answer.status, "served_by": answer.getheader("x-served-by", "")}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "served_by": "", "error": type(error).__name__}
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (("content-type", "application/json"), ("content-length", str(len(body))), ("x-served-by", f"{ROLE}-{VERSION}"),
                           ("x-bookinfo", f"{ROLE}-{VERSION}")):
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if self.path == "/__count":
            return self.answer(200, counts)
        if self.path == "/__fault":
            fault.clear()
            fault.update(json.loads(body))
            return self.answer(200, fault)
        with lock:
            key = f"{self.command} {self.path}"
            counts[key] = counts.get(key, 0) + 1
        if fault and random.random() < fault.get("p", 1):
            time.sleep(fault.get("delay", 0))
            if "status" in fault:
                return self.answer(fault["status"], {"error": "on purpose"})
        if self.path == "/__echo":
            return self.answer(200, {"host": self.headers.get("host"), "headers": {k.lower(): v for k, v in self.headers.items()}})
        if ROLE != "composite":
            return self.answer(200, {"served_by": f"{ROLE}-{VERSION}", "path": self.path})
        passed = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        parts = {part: call(part, 1, passed) for part in PARTS}
        return self.answer(200 if all(p["status"] == 200 for p in parts.values()) else 500, parts)

    do_POST = do_PUT = do_GET


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 512
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


Server(("::", PORT), Handler).serve_forever()
