"""A7: what happens when parts die, under load. WEFT_SOAK=1 runs the long forms."""

import json
import os
import signal
import time

import pytest
import weft
from weft import Capture, authorization, eventually, namespace, pod, python_app

SOAK = os.environ.get("WEFT_SOAK") == "1"
RATE = 500 if SOAK else 200


def build_world(mesh, ns="faults"):
    mesh.apply([namespace(ns, True), pod(ns, "server", python_app("echo", 7000), node="node2", ready_port=7000),
                pod(ns, "client", node="node1"), pod(ns, "denied", node="node1", sa="default", labels={"role": "denied"})])
    for name in ("server", "client", "denied"):
        mesh.wait("pod", name, ns=ns)
    mesh.wait_captured((ns, "server"), (ns, "client"))
    eventually(lambda: attempt(mesh, ns)["outcome"] == "ok")
    return mesh


def attempt(mesh, ns="faults"):
    ip = mesh.pod_ips(ns, "server")[0]
    return json.loads(mesh.exec(ns, "client", *python_app("client", "try", ip, 7000)).stdout)


def load(mesh, seconds, rate=RATE, ns="faults"):
    ip = mesh.pod_ips(ns, "server")[0]
    return mesh.popen(ns, "client", *python_app("client", "load", ip, 7000, seconds, rate), stdout=-1, text=True)


def result(process, within=120):
    return json.loads(process.communicate(timeout=within)[0])


@pytest.fixture
def world(fresh):
    return build_world(fresh())


def test_ztunnel_killed_means_refused_never_plaintext_and_good_again(world):
    ip = world.pod_ips("faults", "server")[0]
    capture = Capture(world, "node2", "any", f"host {ip} and tcp and not port 15008 and not host 127.0.0.1")
    try:
        world.sb("stop", "ztunnel", "--node", "node1", "--signal", "KILL")
        out = attempt(world)
        assert out["outcome"] in ("refused", "reset", "eof"), out
        assert out["seconds"] < 2, out
        process = load(world, 3)
        time.sleep(1)
        world.sb("start", "ztunnel", "--node", "node1")
        start = time.monotonic()
        eventually(lambda: attempt(world)["outcome"] == "ok", 5)
        assert time.monotonic() - start < 2.5
        counts = result(process)
        assert "timeout" not in counts["counts"], counts
    finally:
        capture.stop()
    payload = [p for p in capture.packets() if "length 0" not in p and ip in p]
    capture.remove()
    node_ip = "172.31.0.2"
    assert not [p for p in payload if node_ip not in p], payload[:5]


def test_the_agent_killed_again_and_again_is_not_noticed(world):
    process = load(world, 25 if SOAK else 12)
    for _ in range(20 if SOAK else 8):
        world.sb("restart", "agent", "--node", "node1", "--signal", "KILL")
        time.sleep(0.6)
    out = result(process)
    assert out["counts"] == {"ok": out["started"]}, out


def test_the_control_plane_away_changes_nothing_even_across_a_ztunnel_restart(world):
    world.apply([authorization("faults", "rule", action="DENY", rules=[{"to": [{"operation": {"ports": ["7999"]}}]}]),
                 authorization("faults", "only", rules=[{"to": [{"operation": {"ports": ["7000"]}}]}])])
    eventually(lambda: attempt(world)["outcome"] == "ok")
    world.sb("stop", "controlplane")
    try:
        process = load(world, 10, RATE if SOAK else 50)
        assert result(process)["counts"].keys() == {"ok"}
        for node in ("node1", "node2"):
            world.sb("restart", "ztunnel", "--node", node)
        eventually(lambda: attempt(world)["outcome"] == "ok", 5)
        if SOAK:
            time.sleep(48)
        assert result(load(world, 5, RATE if SOAK else 50))["counts"].keys() == {"ok"}
        world.delete("AuthorizationPolicy", "only", "faults", check=False)
    finally:
        world.sb("start", "controlplane")
    eventually(lambda: attempt(world)["outcome"] == "ok")


def test_certificates_of_twenty_seconds_never_fail_a_handshake(fresh):
    mesh = build_world(fresh("certificateTtl=20s"))
    out = result(load(mesh, 180 if SOAK else 45, RATE if SOAK else 100), 300)
    assert out["counts"] == {"ok": out["started"]}, out


def test_the_root_is_rotated_without_a_failure(world):
    def ca(*argv):
        return json.loads(world.ctl("ca", *argv, "-o", "json").stdout)

    step = 8 if SOAK else 4
    old = ca()
    assert old["phase"] == "A" and len(old["roots"]) == 1, old
    process = load(world, 3 * step + 3, RATE if SOAK else 100)
    time.sleep(1)
    seen = []
    for _ in range(3):
        state = ca("rotate")
        seen.append((state["phase"], [root["signs"] for root in state["roots"]]))
        time.sleep(step)
    out = result(process)
    assert seen == [("A+B", [True, False]), ("A+B signing B", [False, True]), ("A", [True])]
    new = ca("status")
    assert [r["sha256"] for r in new["roots"]] != [r["sha256"] for r in old["roots"]]
    assert out["counts"] == {"ok": out["started"]}, out
    assert attempt(world)["outcome"] == "ok"
