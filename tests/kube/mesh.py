#!/usr/bin/python3
"""Weft on the test's cluster: its images, its manifests, and how a test looks at it. Ground truth comes from the applications and packets.

By hand: `mesh.py up`, `mesh.py kubectl …`, `mesh.py down`; WEFT_KUBE_BIN and WEFT_KUBE_CRDS name what tools/kube/build.sh made."""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys

from cluster import images
from cluster.cluster import CACHE, Cluster
from cluster.machine import HERE, Trouble, wait_for

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BIN = os.environ.get("WEFT_BIN", f"{ROOT}/build/release/bin")


class Mesh:
    """A cluster with Weft applied to it."""

    def __init__(self, binaries, name):
        self.images = f"{CACHE}/images-{name}"
        self.cluster = Cluster(binaries, self.images, name)
        self.kubectl = self.cluster.kubectl

    @staticmethod
    def sweep(binaries):
        """Takes down what a killed run left: the name of its cluster ends in its pid."""
        for path in glob.glob(f"{CACHE}/cluster-test*"):
            pid = path.rpartition("cluster-test")[2]
            if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                Mesh(binaries, f"test{pid}").down()

    def up(self, tell=lambda text: None, weft=True):
        shutil.rmtree(self.images, ignore_errors=True)
        os.makedirs(self.images)
        init = f"{self.images}/init"
        subprocess.run(["clang-19", "-Os", "-static", "-s", "-o", init, f"{HERE}/init.c"], check=True)
        images.write_images(self.images, init, BIN)
        subprocess.run([sys.executable, f"{ROOT}/tools/images.py", "--bin", BIN, "--out", self.images], check=True, capture_output=True)
        self.cluster.up(tell)
        if not weft:
            return
        crds = os.environ["WEFT_KUBE_CRDS"]
        self.kubectl("apply", "--server-side", "-f", f"{crds}/istio/customresourcedefinitions.gen.yaml")
        self.kubectl("apply", "--server-side", "-k" if os.path.exists(f"{crds}/gateway-api/kustomization.yaml") else "-f", f"{crds}/gateway-api/")
        self.apply_weft()
        tell("Weft is ready")

    def down(self):
        self.cluster.down()
        shutil.rmtree(self.images, ignore_errors=True)

    def apply_weft(self):
        folder = f"{self.cluster.dir}/deploy"  # kubectl sees the host's files, but not what it may not read as another user
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(f"{ROOT}/deploy/daemonset", f"{folder}/daemonset")
        self.kubectl("apply", "--server-side", "-k", f"{folder}/daemonset")
        for what in ("deployment/weft-controlplane", "daemonset/weft-node"):
            self.kubectl("-n", "weft-system", "rollout", "status", what, "--timeout=60s", timeout=70)

    def weftctl(self, *words, timeout=400):
        """As a person runs it who has the cluster's kubeconfig; the exit code is the caller's to judge."""
        pid = self.cluster.control_plane.machine.pid()
        argv = ["nsenter", "-t", str(pid), "-n", "--", f"{BIN}/weftctl", *words, f"--kubeconfig={self.cluster.pki.path('admin.kubeconfig')}"]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)

    # --- objects
    def apply(self, *objects):
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(json.dumps(one) for one in objects))

    def pods(self, ns, selector=""):
        words = ["-n", ns, "get", "pods", "-o", "json", *(["-l", selector] if selector else [])]
        return json.loads(self.kubectl(*words).stdout)["items"]

    def pods_ready(self, ns, count, within=60):
        def ready():
            found = [pod for pod in self.pods(ns) if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))]
            return found if len(found) == count else None
        return wait_for(ready, within, f"{count} ready pods in {ns}", every=0.3)

    def exec(self, ns, pod, *argv, check=True, timeout=30):
        return self.kubectl("-n", ns, "exec", pod, "--", *argv, check=check, timeout=timeout)

    # --- what a node's agent and ztunnel say
    def node_pods(self, node):
        """The agent's own view, over its API socket: pod name -> state."""
        script = ("import json,socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/weft-node/agent.sock'); s.sendall(b'{\"cmd\":\"status\"}\\n');"
                  "print(s.makefile().readline())")
        answer = json.loads(node.machine.run("/usr/bin/python3", "-c", script).stdout)
        return {f"{pod['namespace']}/{pod['name']}": pod["state"] for pod in answer["pods"]}

    def captured(self, ns):
        states = {}
        for node in self.cluster.nodes:
            states.update(self.node_pods(node))
        return {name for name, state in states.items() if name.startswith(f"{ns}/") and state == "captured"}

    def metrics(self, node, port):
        return node.machine.run("curl", "-s", "-m", "5", f"http://{node.ip()}:{port}/metrics").stdout


def toolbox(name, script, **more):
    """A container of the toolbox image that runs a shell script."""
    return {"name": name, "image": "localhost/weft/toolbox:1", "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", script], **more}


def deployment(ns, name, replicas, container):
    labels = {"app": name}
    spread = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": labels}}]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": ns},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels},
                                  "spec": {"terminationGracePeriodSeconds": 1, "topologySpreadConstraints": spread, "containers": [container]}}}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "kubectl"])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    mesh = Mesh(os.environ["WEFT_KUBE_BIN"], "weft")
    try:
        if args.command == "up":
            mesh.up(lambda text: print(text, flush=True))
        elif args.command == "down":
            mesh.down()
        else:
            return subprocess.run(mesh.cluster.kubectl_argv(*args.words), check=False).returncode
    except Trouble as trouble:
        print(f"cluster: {trouble}", file=sys.stderr)
        return 1
    return 0


__all__ = ["Mesh", "Trouble", "deployment", "toolbox", "wait_for"]

if __name__ == "__main__":
    sys.exit(main())
