"""A pod of the mesh never runs an instruction outside it: it starts after its agent has it, and not at all while the agent is away."""

import os

import pytest
import weft
from weft import Capture, eventually, namespace, pod, python_app

CLIENT_IP = "10.244.1.77"
SETTINGS = os.environ.get("WEFT_TEST_HOLD_SET", "").split()  # holdPods=false shows what the hold is for


def talk(ip):
    """Speaks as its first act, and goes on trying."""
    return ["sh", "-c", f"while :; do {' '.join(python_app('client', 'try', ip, 7000))}; sleep 0.2; done"]


@pytest.fixture
def world(fresh):
    mesh = fresh(*SETTINGS)
    mesh.apply([namespace("held", True), namespace("free"), pod("held", "server", python_app("echo", 7000), node="node2", ready_port=7000)])
    mesh.wait("pod", "server", ns="held")
    mesh.wait_captured(("held", "server"))
    return mesh


def phase(mesh, ns, name):
    return mesh.get("pod", name, ns)["status"].get("phase")


@pytest.mark.parametrize("how", ["KILL", "STOP"])
def test_without_its_agent_a_pod_of_the_mesh_does_not_start_and_others_do(world, how):
    ip = world.pod_ips("held", "server")[0]
    capture = Capture(world, "node1", "any", f"host {CLIENT_IP} and tcp and port 7000")
    try:
        if how == "KILL":
            world.sb("stop", "agent", "--node", "node1", "--signal", "KILL")
        else:
            os.kill(world.pids("weft-agent", "node1")[0], 19)
        world.apply([pod("held", "client", talk(ip), node="node1", ips=CLIENT_IP), pod("free", "plain", node="node1"),
                     pod("held", "host", node="node1", hostNetwork=True), pod("held", "out", node="node1", labels={"weft.dev/mesh": "disabled"})])
        for ns, name in (("free", "plain"), ("held", "host"), ("held", "out")):
            world.wait("pod", name, ns=ns, timeout="5s")
        status = eventually(lambda: (s := world.get("pod", "client", "held")["status"]).get("message") and s, 5)
        assert status["phase"] == "Pending" and status["reason"] == "FailedCreatePodSandBox", status
        assert "weft-agent" in status["message"], status
        assert world.exec("held", "client", "true", check=False).returncode != 0
        if how == "KILL":
            world.sb("start", "agent", "--node", "node1")
        else:
            os.kill(world.pids("weft-agent", "node1")[0], 18)
        world.wait("pod", "client", ns="held")
        assert ("held", "client") in world.enrolled()
        assert "message" not in world.get("pod", "client", "held")["status"]
        eventually(lambda: any(CLIENT_IP in line and "connection complete" in line for line in world.access("node1")))
    finally:
        capture.stop()
    outside = [p for p in capture.packets(f"dst host {ip} and not src net 127.0.0.0/8") if "eth0" in p]
    capture.remove()
    assert not outside, outside[:5]


def test_the_first_connection_of_a_pod_is_in_the_mesh(world):
    """Ten pods that speak at once after they start: none of their connections goes around it."""
    ip = world.pod_ips("held", "server")[0]
    capture = Capture(world, "node2", "eth0", "tcp and port 7000")
    try:
        names = [f"early{n}" for n in range(10)]
        world.apply([pod("held", name, talk(ip), node="node1") for name in names])
        for name in names:
            world.wait("pod", name, ns="held")
        eventually(lambda: len(world.access("node1")) >= 20)
    finally:
        capture.stop()
    outside = capture.packets()
    capture.remove()
    assert not outside, outside[:5]


def test_pods_that_run_keep_talking_while_the_agent_is_away(world):
    ip = world.pod_ips("held", "server")[0]
    world.apply([pod("held", "old", node="node1")])
    world.wait("pod", "old", ns="held")
    talks = python_app("client", "try", ip, 7000)
    assert '"ok"' in world.exec("held", "old", *talks).stdout  # from here on ztunnel has sockets of this pod in stock
    world.sb("stop", "agent", "--node", "node1", "--signal", "KILL")
    assert '"ok"' in world.exec("held", "old", *talks).stdout
