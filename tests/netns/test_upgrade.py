"""A node's agent and ztunnel are replaced by a pair that starts beside them, as a DaemonSet with a surge does it: nobody notices.

The successors are the sandbox's own programs with its own arguments, but for the sockets that each pair has to itself."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
import weft
from weft import Capture, eventually, namespace, pod, python_app

NODES = ("node1", "node2")
GRACE_S = 6
RATE = 500 if os.environ.get("WEFT_SOAK") == "1" else 200
ROUNDS = 5 if os.environ.get("WEFT_SOAK") == "1" else 1
ZTUNNEL_UID = "1337"


def of_process(pid, what):
    with open(f"/proc/{pid}/{what}", encoding="utf-8") as file:
        return file.read().rstrip("\0").split("\0")


def cgroup_of(pid):
    """Its cgroup2 directory, as this process sees it."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mount = next(line.split()[1] for line in file if line.split()[2] == "cgroup2")
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        return mount + next(line.rstrip("\n").split("::", 1)[1] for line in file if line.startswith("0::"))


class Pair:
    """An agent and a ztunnel of one node, beside those that are there."""

    def __init__(self, mesh, node, number, tmp):
        self.mesh, self.node = mesh, node
        self.dir = f"{tmp}/{node}-{number}"
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o777)
        agent, ztunnel = (self.the_one(name) for name in ("weft-agent", "weft-ztunnel"))
        words = of_process(agent, "cmdline")[1:]
        words[words.index("--zds") + 1] = f"{self.dir}/zds.sock"
        words = [word for word in words if not word.startswith(("--ready-socket", "--take-over"))]
        environment = dict(entry.split("=", 1) for entry in of_process(ztunnel, "environ"))
        environment |= {"INPOD_UDS": f"{self.dir}/zds.sock", "WEFT_READY_SOCKET": f"{self.dir}/ztunnel-ready.sock", "WEFT_TAKE_OVER": "true",
                        "WEFT_STATE_DIR": "", "POD_NAME": f"weft-node-{node}-{number}"}
        self.agent = self.spawn("agent", agent, [f"{weft.BIN}/weft-agent", *words, f"--ready-socket={self.dir}/agent-ready.sock", "--take-over"])
        drop = ["setpriv", "--reuid", ZTUNNEL_UID, "--regid", ZTUNNEL_UID, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        self.ztunnel = self.spawn("ztunnel", ztunnel, [*drop, f"{weft.BIN}/weft-ztunnel"], environment)

    def the_one(self, name):
        """Its pid; one that was told to end may need its grace."""
        [pid] = eventually(lambda: pids if len(pids := self.mesh.pids(name, self.node)) == 1 else None, GRACE_S + 5, what=f"one {name} on {self.node}")
        return pid

    def spawn(self, name, like, argv, environment=None):
        """In the namespaces and the cgroup of process `like`."""
        def join():
            with open(f"{cgroup_of(like)}/cgroup.procs", "w", encoding="utf-8") as file:
                file.write("0")
        with open(f"{self.dir}/{name}.log", "ab") as log:
            return subprocess.Popen(["nsenter", "-t", str(like), "-m", "-n", "-u", "--", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    env=environment, preexec_fn=join)

    def text(self, name):
        with open(f"{self.dir}/{name}.log", encoding="utf-8") as file:
            return file.read()

    def is_ready(self):
        return all(subprocess.run([f"{weft.BIN}/weft-agent", "--is-ready", f"{self.dir}/{name}-ready.sock"], capture_output=True,
                                  check=False).returncode == 0 for name in ("agent", "ztunnel"))

    def wait_ready(self):
        eventually(self.is_ready, 20, every=0.1, what=f"the successors on {self.node} ready")

    def end(self, how=signal.SIGTERM):
        """Both get their signal at once, as kubelet sends it. How long the ztunnel took."""
        began = time.monotonic()
        for process in (self.agent, self.ztunnel):
            if process.poll() is None:
                process.send_signal(how)
        assert weft.stop(self.ztunnel, how, GRACE_S + 5) in (0, -how), self.text("ztunnel")[-2000:]
        took = time.monotonic() - began
        assert weft.stop(self.agent, how, 8) in (0, -how), self.text("agent")[-2000:]
        return took


@pytest.fixture
def world(fresh):
    mesh = fresh(f"terminationGrace={GRACE_S}s", "ztunnel.WEFT_TAKE_OVER=true")
    mesh.apply([namespace("up", True), pod("up", "server", python_app("echo", 7000), node="node2", ready_port=7000),
                pod("up", "client", node="node1"), pod("up", "local", node="node1")])
    for name in ("server", "client", "local"):
        mesh.wait("pod", name, ns="up")
    mesh.wait_captured(("up", "server"), ("up", "client"), ("up", "local"))
    eventually(lambda: act(mesh, "try")["outcome"] == "ok")
    return mesh


@pytest.fixture
def pairs(world, tmp_path):
    """pairs(node): a successor's pair on that node."""
    made = []
    os.chmod(tmp_path, 0o755)
    for parent in list(tmp_path.parents)[:2]:
        os.chmod(parent, 0o755)

    def make(node):
        made.append(Pair(world, node, len(made), str(tmp_path)))
        return made[-1]

    yield make
    for pair in made:
        with contextlib.suppress(AssertionError):
            pair.end(signal.SIGKILL)


def words(mesh, *argv):
    return python_app("client", argv[0], mesh.pod_ips("up", "server")[0], 7000, *argv[1:])


def act(mesh, *argv, by="client", timeout=60):
    return json.loads(mesh.exec("up", by, *words(mesh, *argv), timeout=timeout).stdout)


def begin(mesh, *argv, by="client"):
    return mesh.popen("up", by, *words(mesh, *argv), stdout=subprocess.PIPE, text=True)


def result(process):
    return json.loads(process.communicate(timeout=120)[0])


def test_a_pair_takes_over_under_load_and_no_connection_fails(world, pairs):
    """Both nodes, one after the other; new connections all the while, and one that is there from the beginning."""
    ip = world.pod_ips("up", "server")[0]
    capture = Capture(world, "node2", "any", f"host {ip} and tcp and not port 15008 and not host 127.0.0.1")
    current, ended_at = {}, {}
    seconds = ROUNDS * len(NODES) * 10
    loads = [begin(world, "load", seconds, RATE, by=by) for by in ("client", "local")]
    stream = begin(world, "stream", seconds, by="client")
    time.sleep(1)
    try:
        for number in range(ROUNDS):
            for node in NODES:
                after = pairs(node)
                after.wait_ready()
                ended_at.setdefault(node, time.monotonic())
                if number == 0:
                    for name in ("agent", "ztunnel"):
                        world.sb("stop", name, "--node", node)
                else:
                    current[node].end()
                current[node] = after
                time.sleep(1.5)
        outs = [result(load) for load in loads]
        lived = result(stream)
    finally:
        capture.stop()
    for out in outs:
        assert out["counts"] == {"ok": out["started"]} and out["started"] > 0.9 * seconds * RATE, out
        assert out["slowest"] < 1.0, out
    # The stream goes through the first ztunnels of both nodes: it lives as long as the grace of the first one that ended.
    assert lived["outcome"] in ("eof", "reset"), lived
    assert lived["ended"] - min(ended_at.values()) >= GRACE_S - 0.5, (lived, ended_at)
    plain = [p for p in capture.packets() if "length 0" not in p and "172.31.0.2" not in p]
    capture.remove()
    assert not plain, plain[:5]
    for node in NODES:
        assert "stepping aside" in world.logs("agent", node)
    # The successors are the node's: what comes and goes is theirs.
    world.apply([pod("up", "late", node="node1")])
    world.wait("pod", "late", ns="up")
    assert json.loads(world.exec("up", "late", *words(world, "try")).stdout)["outcome"] == "ok"
    assert (("up", "late") in world.enrolled()) and "captured" in current["node1"].text("agent")
    assert weft.total(world.metrics("node1", 15020), "istio_tcp_connections_opened_total") > 0  # the address is theirs as well


def test_a_successor_that_dies_gives_the_node_back(world, pairs):
    after = pairs("node1")
    after.wait_ready()
    world.apply([pod("up", "between", node="node1")])
    world.wait("pod", "between", ns="up")
    load = begin(world, "load", 8, RATE)
    time.sleep(1)
    after.agent.kill()
    eventually(lambda: "starts again in its place" in world.logs("agent", "node1"), 10)
    after.ztunnel.kill()  # what it had accepted is lost with it, as in any crash
    out = result(load)
    assert set(out["counts"]) <= {"ok", "reset", "eof"} and out["counts"]["ok"] >= out["started"] - 20, out
    world.apply([pod("up", "again", node="node1")])
    world.wait("pod", "again", ns="up")
    for name in ("between", "again"):
        assert json.loads(world.exec("up", name, *words(world, "try")).stdout)["outcome"] == "ok"
    world.delete("pod", "between", "up")
    world.wait_released(("up", "between"))


def test_a_successor_that_cannot_serve_changes_nothing(world, pairs):
    """No control plane, no configuration: it waits, and the ones of before go on, with pods that come too."""
    world.sb("stop", "controlplane")
    try:
        after = pairs("node1")
        eventually(lambda: "waiting for our ztunnel" in after.text("agent"))
        load = begin(world, "load", 4, RATE)
        time.sleep(2)
        assert not after.is_ready() and "connected to the agent" not in after.text("ztunnel")
        out = result(load)
        assert out["counts"] == {"ok": out["started"]}, out
        assert "stepping aside" not in world.logs("agent", "node1")
        assert after.end() < 3
    finally:
        world.sb("start", "controlplane")
    eventually(lambda: act(world, "try")["outcome"] == "ok")
