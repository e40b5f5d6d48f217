"""The bench's world: one sandbox an I/O engine, each with the same pods, and weft-bench inside them."""

import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "netns"))

import weft  # noqa: E402

PORT = 9000
PLACES = {"cross node": "far", "same node": "near"}  # client on node1 → server of that name
NAMESPACES = {"plain": False, "meshed": True}


class Trouble(Exception):
    """The bench itself failed; the message says where."""


class World:
    """REQUIRES: root. down() may be called at any time, also after a failed up()."""

    def __init__(self, engine):
        self.engine = engine
        self.sandbox = weft.Sandbox(f"bench{os.getpid()}{engine[0]}")
        self.servers = {}  # (namespace, pod) → address

    def up(self):
        self.sandbox.up("--nodes", "2", "--set", f"io={self.engine}")
        serve = [f"{weft.BIN}/weft-bench", "serve", "--listen", f"0.0.0.0:{PORT}"]
        manifest = []
        for ns, meshed in NAMESPACES.items():
            manifest.append(weft.namespace(ns, meshed))
            manifest.append(weft.pod(ns, "client", node="node1"))
            for name, node in (("near", "node1"), ("far", "node2")):
                manifest.append(weft.pod(ns, name, serve, node=node, ready_port=PORT))
        self.sandbox.apply(manifest)
        for ns in NAMESPACES:
            for pod in ("client", "near", "far"):
                self.sandbox.wait("pod", pod, ns=ns)
                self.servers[ns, pod] = self.sandbox.pod_ips(ns, pod)[0]
                # Tens of thousands of TIME_WAITs would use the ports up, and then the search for one is what is measured.
                self.sandbox.exec(ns, pod, "sysctl", "-qw", "net.ipv4.tcp_max_tw_buckets=64")
        self.sandbox.wait_captured(*(("meshed", pod) for pod in ("client", "near", "far")))
        time.sleep(1)  # "at start" is: ready, and nothing was asked of it yet
        self.start_rss = self.memory()

    def down(self):
        self.sandbox.down()

    def start(self, ns, place, mode, **options):
        """Starts weft-bench in the client pod of `ns`; the caller passes it to finish()."""
        argv = [f"{weft.BIN}/weft-bench", mode, "--to", f"{self.servers[ns, PLACES[place]]}:{PORT}"]
        for name, value in options.items():
            argv += [f"--{name.replace('_', '-')}", str(value)]
        return self.sandbox.popen(ns, "client", *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process, timeout):
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            weft.stop(process)
        try:
            found = json.loads(out)
        except json.JSONDecodeError:
            raise Trouble(f"weft-bench said {out!r} {err!r} (exit {process.returncode})") from None
        return found

    def run(self, ns, place, mode, seconds, **options):
        process = self.start(ns, place, mode, seconds=seconds, warm_up=min(seconds, 0.4), **options)
        found = self.finish(process, timeout=seconds + 30)
        if found["errors"]:
            raise Trouble(f"{self.engine}, {ns}, {place}, {mode}: {found['errors']} errors, the first: {found['error']}")
        return found

    def memory(self):
        """{node: bytes of /proc/PID/smaps_rollup} of the ztunnels."""
        out = {}
        for node in ("node1", "node2"):
            (pid,) = self.sandbox.pids("weft-ztunnel", node)
            with open(f"/proc/{pid}/smaps_rollup") as file:
                kb = {k.lower(): int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.M)}
            with open(f"/proc/{pid}/status") as file:
                status = {k: int(v) for k, v in re.findall(r"^(Rss\w+|VmHWM):\s+(\d+) kB", file.read(), re.M)}
            out[node] = {"rss": kb["rss"] * 1024, "pss": kb["pss"] * 1024, "anonymous": status["RssAnon"] * 1024,
                         "file": status["RssFile"] * 1024}
        return out

    def idle(self, connections, settle):
        """Growth of the ztunnels by `connections` idle ones, bytes each. The first few have made tunnels and series already.
        `settle`: seconds until all are there and have spoken."""
        warm = self.start("meshed", "cross node", "idle", connections=16, seconds=0.3, warm_up=0.3)
        self.finish(warm, timeout=30)
        before = self.memory()
        process = self.start("meshed", "cross node", "idle", connections=connections, seconds=1.0, warm_up=settle)
        time.sleep(settle + 0.5)
        after = self.memory()
        found = self.finish(process, timeout=40)
        if found["lived"] != connections:
            raise Trouble(f"{self.engine}: {found['lived']} of {connections} idle connections lived: {found['error']}")
        return {"connections": connections,
                "outbound_bytes": (after["node1"]["anonymous"] - before["node1"]["anonymous"]) / connections,
                "inbound_bytes": (after["node2"]["anonymous"] - before["node2"]["anonymous"]) / connections}

    def libraries(self):
        """What ztunnel says it runs on: {"io": …, "tls": …}."""
        said = re.findall(r'serving .*?\bio=(\S+) tls="([^"]*)"', self.sandbox.logs("ztunnel", "node1"))
        if not said:
            raise Trouble("ztunnel's log does not say what it runs on")
        return {"io": said[-1][0], "tls": said[-1][1]}
