"""The waypoint's rows: one route changed among many services (bytes to Envoy, time to effect), Envoy's memory, its CPU a request."""

import json
import os
import re
import statistics
import subprocess
import time

import weft

NS = "bench-l7"
TICKS = os.sysconf("SC_CLK_TCK")

APP = """
import http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "128")
        self.end_headers()
        self.wfile.write(b"x" * 128)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 8080), Handler).serve_forever()
"""

# Asks s0 on one connection until the answer says the step that it is told by a line on stdin; prints when (CLOCK_MONOTONIC).
WATCH = """
import http.client, sys, time
connection = http.client.HTTPConnection("s0", 80, timeout=10)
print("ready", flush=True)
for line in sys.stdin:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        if answer.getheader("x-step") == line.strip(): break
        time.sleep(0.001)
    print(time.monotonic(), flush=True)
"""


def service(number):
    port = {"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}
    return weft.service(NS, f"s{number}", [port], selector={"app": "web"})


def route(number, step):
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": f"s{number}", "namespace": NS},
            "spec": {"hosts": [f"s{number}"], "http": [{"headers": {"response": {"set": {"x-step": str(step)}}}, "route": [{"destination": {"host": f"s{number}"}}]}]}}


class Waypoint:
    """In a sandbox that is up. `services`: how many, each with one route."""

    def __init__(self, sandbox, services):
        self.sandbox, self.services = sandbox, services

    def up(self):
        box = self.sandbox
        box.apply([weft.namespace(NS, True), weft.pod(NS, "client", node="node1"),
                   weft.pod(NS, "web", [weft.PYTHON, "-c", APP], node="node2", ready_port=8080)])
        for name in ("client", "web"):
            box.wait("pod", name, ns=NS)
        box.wait_captured((NS, "client"), (NS, "web"))
        box.apply([made for number in range(self.services) for made in (service(number), route(number, 0))])
        for number in {0, self.services - 1}:
            weft.eventually(lambda n=number: "x-step: 0" in self.head(n), within=60, every=0.2, what=f"s{number} through the waypoint")
        (self.pid,) = box.pids("envoy")

    def head(self, number):
        return self.sandbox.exec(NS, "client", "curl", "-si", "--max-time", "2", f"http://s{number}/", check=False).stdout

    def stat(self, name):
        (pod,) = [p["metadata"]["name"] for p in self.sandbox.get("pod", ns=NS)["items"] if "weft.dev/waypoint" in p["metadata"].get("labels", {})]
        text = self.sandbox.exec(NS, pod, "curl", "-s", f"http://127.0.0.1:15000/stats?filter={re.escape(name)}$").stdout
        return int(text.split(": ")[1])

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss(self):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def changes(self, rounds):
        """One route changed at a time: (ms from `apply` to the first answer that shows it, bytes that Envoy was sent)."""
        watch = self.sandbox.popen(NS, "client", weft.PYTHON, "-c", WATCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        took, sent = [], []
        try:
            watch.stdout.readline()
            for step in range(1, rounds + 1):
                before, begun = self.stat("cluster.weft-xds.upstream_cx_rx_bytes_total"), time.monotonic()
                watch.stdin.write(f"{step}\n")
                watch.stdin.flush()
                self.sandbox.apply([route(0, step)])
                took.append((float(watch.stdout.readline()) - begun) * 1000)
                time.sleep(0.3)
                sent.append(self.stat("cluster.weft-xds.upstream_cx_rx_bytes_total") - before)
        finally:
            watch.stdin.close()
            weft.stop(watch)
        return took, sent

    def requests(self, count):
        """Envoy's CPU µs a request, 16 kept connections."""
        before = self.cpu_s()
        out = self.sandbox.exec(NS, "client", *weft.python_app("hammer", "http://s0/", "-n", count, "-c", 16, "--reuse"), timeout=120).stdout
        counts = json.loads(out)["counts"]
        if counts != {"200": count}:
            raise AssertionError(f"requests through the waypoint: {counts}")
        return (self.cpu_s() - before) * 1e6 / count

    def measure(self, rounds, count):
        took, sent = self.changes(rounds)
        return {"services": self.services, "change_ms": statistics.median(took), "change_bytes": statistics.median(sent), "rss": self.rss(),
                "cpu_us_each": self.requests(count)}
