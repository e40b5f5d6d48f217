"""The whole cluster."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import time

from .control_plane import ControlPlane
from .machine import HERE, Trouble, wait_for
from .network import API_IP, pods_of
from .node import Node
from .pki import Pki

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weft")
OVERLAID = ("/run/", "/var/", "/etc/", "/opt/", "/sys/", "/proc/")  # a machine has its own of these


class Cluster:
    """One owner. Everything it makes on the host: the directory `dir`, the processes of its machines, and cgroups named PREFIX-…"""

    def __init__(self, binaries, images, name="weft", nodes=2, directory=None):
        self.binaries, self.images, self.node_count = binaries, images, nodes
        self.dir = directory or f"{CACHE}/cluster-{name}"
        if self.dir.startswith(OVERLAID):
            raise Trouble(f"{self.dir}: a machine cannot see it; set XDG_CACHE_HOME to a directory outside of {', '.join(OVERLAID)}")
        self.prefix = f"weftkube-{name}"
        self.init = f"{self.dir}/init"
        self.pki = Pki(f"{self.dir}/pki", f"https://{API_IP}:6443")
        self.control_plane = ControlPlane(self)
        self.nodes = [Node(self, number) for number in range(1, nodes + 1)]
        self.wait = wait_for

    def up(self, tell=lambda text: None):
        began = time.monotonic()
        lap = lambda what: tell(f"{time.monotonic() - began:5.1f} s  {what}")
        if self.control_plane.machine.pid():
            raise Trouble(f"a cluster is up in {self.dir}: take it down first")
        self._prepare()
        lap("keys")
        self.control_plane.start()
        lap("API server ready")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Node.start, self.nodes))
        lap("nodes started")
        self.wait_ready()
        lap(f"{self.node_count} nodes ready")

    def _prepare(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir, mode=0o700)
        subprocess.run(["clang-19", "-Os", "-static", "-s", "-o", self.init, f"{HERE}/init.c"], check=True)
        self.control_plane.make_keys()
        for node in self.nodes:
            node.make_keys()

    def wait_ready(self, within=60):
        for node in self.nodes:
            self.wait(lambda name=node.name: self.kubectl("get", "node", name, check=False).returncode == 0, within, f"node {node.name}")
            pods = pods_of(node.number)
            self.kubectl("patch", "node", node.name, "--type=merge", "-p", json.dumps({"spec": {"podCIDR": pods, "podCIDRs": [pods]}}))
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", f"--timeout={within}s", timeout=within + 10)
        for needed in (("sa", "default", "-n", "default"), ("cm", "kube-root-ca.crt", "-n", "default")):
            self.wait(lambda what=needed: self.kubectl("get", *what, check=False).returncode == 0, 30, " ".join(needed[:2]))

    def down(self):
        for node in self.nodes:
            node.power_off()
        self.control_plane.machine.power_off()
        shutil.rmtree(self.dir, ignore_errors=True)

    def binary(self, name):
        return f"{self.binaries}/{name}"

    def kubectl_argv(self, *words):
        pid = self.control_plane.machine.pid()
        if not pid:
            raise Trouble(f"no cluster is up in {self.dir}")
        return ["nsenter", "-t", str(pid), "-n", "--", self.binary("kubectl"), f"--kubeconfig={self.pki.path('admin.kubeconfig')}", *words]

    def kubectl(self, *words, check=True, timeout=60, stdin=None):
        argv = self.kubectl_argv(*words)
        result = subprocess.run(argv, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=timeout, check=False)
        if check and result.returncode != 0:
            raise Trouble(f"kubectl {' '.join(words)}: exit {result.returncode}: {result.stderr[-1500:]}")
        return result
