"""How long a change takes from `weftctl sandbox apply` (its own start included) to the first connection that shows it."""

import statistics
import subprocess
import time

import weft

NS, PORT = "bench-change", 7000

# A line "HOST yes" or "HOST no" on stdin: connects until that is the answer of the echo server there, or no answer; prints when (CLOCK_MONOTONIC).
WATCH = """
import socket, sys, time
def answers(host):
    try:
        with socket.create_connection((host, %d), timeout=1) as sock:
            sock.sendall(b"x")
            return sock.recv(1) == b"x"
    except OSError:
        return False
print("ready", flush=True)
for line in sys.stdin:
    host, want = line.split()
    end = time.monotonic() + 10
    while answers(host) != (want == "yes") and time.monotonic() < end: time.sleep(0.0005)
    print(time.monotonic(), flush=True)
""" % PORT


class Change:
    """In a sandbox that is up."""

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def up(self):
        box = self.sandbox
        box.apply([weft.namespace(NS, True), weft.pod(NS, "client", node="node1"), weft.service(NS, "server", [PORT], {"serves": "yes"}),
                   weft.pod(NS, "server", weft.python_app("echo", PORT), node="node2", ready_port=PORT)])
        for name in ("client", "server"):
            box.wait("pod", name, ns=NS)
        box.wait_captured((NS, "client"), (NS, "server"))
        self.address = box.pod_ips(NS, "server")[0]
        self.vip = box.get("service", "server", NS)["spec"]["clusterIP"]

    def took_ms(self, watch, host, want, act):
        watch.stdin.write(f"{host} {want}\n")
        watch.stdin.flush()
        time.sleep(0.05)
        begun = time.monotonic()
        act()
        took = (float(watch.stdout.readline()) - begun) * 1000
        if took > 9000:
            raise AssertionError(f"{host}: no effect within 10 s")
        time.sleep(0.2)
        return took

    def measure(self, rounds):
        """{"policy_ms": […], "endpoint_ms": […]}: medians of a deny that comes and goes, of an endpoint that comes and goes."""
        box = self.sandbox
        deny = weft.authorization(NS, "deny", action="DENY", rules=[{}])
        acts = {"policy_ms": [(self.address, "no", lambda: box.apply([deny])),
                              (self.address, "yes", lambda: box.delete("AuthorizationPolicy", "deny", NS))],
                "endpoint_ms": [(self.vip, "yes", lambda: box.label("pod", "server", "serves=yes", ns=NS)),
                                (self.vip, "no", lambda: box.label("pod", "server", "serves-", ns=NS))]}
        watch = box.popen(NS, "client", weft.PYTHON, "-c", WATCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            watch.stdout.readline()
            return {name: statistics.median(self.took_ms(watch, *act) for _ in range(rounds) for act in both) for name, both in acts.items()}
        finally:
            watch.stdin.close()
            weft.stop(watch)
