"""W5: the port on which a waypoint believes PROXY headers is reached by ztunnel alone, even when what listens there takes everybody."""

import json

import pytest
import weft
from weft import namespace, pod, python_app

BELIEVES, ORDINARY = 15089, 8080


@pytest.fixture(scope="module")
def world(mesh):
    """A pod that says it is a waypoint, and listens where one does, on every address."""
    script = f"{' '.join(python_app('echo', BELIEVES))} & exec {' '.join(python_app('echo', ORDINARY))}"
    mesh.apply([namespace("door", True), namespace("street"),
                pod("door", "careless", ["/bin/sh", "-c", script], node="node1", labels={"weft.dev/waypoint": "careless"}, ready_port=ORDINARY),
                pod("door", "neighbour", node="node1"), pod("door", "meshed", node="node2"), pod("street", "plain", node="node2"),
                pod("street", "near", node="node1")])
    for ns, name in (("door", "careless"), ("door", "neighbour"), ("door", "meshed"), ("street", "plain"), ("street", "near")):
        mesh.wait("pod", name, ns=ns)
    mesh.wait_captured(("door", "careless"), ("door", "meshed"), ("door", "neighbour"))
    yield mesh
    mesh.delete("namespace", "door")
    mesh.delete("namespace", "street")


CLIENTS = [("door", "neighbour"), ("door", "meshed"), ("street", "plain"), ("street", "near")]


def attempt(run, ip, port):
    return json.loads(run(*python_app("client", "try", ip, port, 5)).stdout)["outcome"]


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("ns,name", CLIENTS)
def test_no_pod_comes_through(world, ns, name, family):
    ip = next(i for i in world.pod_ips("door", "careless") if (":" in i) == (family == "v6"))
    run = lambda *argv: world.exec(ns, name, *argv)
    assert attempt(run, ip, ORDINARY) == "ok"
    assert attempt(run, ip, BELIEVES) in ("reset", "refused", "eof")


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_the_node_does_not_come_through(world, family):
    ip = next(i for i in world.pod_ips("door", "careless") if (":" in i) == (family == "v6"))
    run = lambda *argv: world.node_exec("node1", *argv)
    assert attempt(run, ip, ORDINARY) == "ok"
    assert attempt(run, ip, BELIEVES) in ("reset", "refused", "eof")


def test_the_log_says_who_knocked(world):
    attempt(lambda *argv: world.exec("street", "plain", *argv), world.pod_ips("door", "careless")[0], BELIEVES)
    lines = weft.eventually(lambda: [l for l in world.access("node1") if "port of the waypoint itself" in l])
    assert "connection failed" in lines[-1]


def test_the_pod_itself_is_inside(world):
    run = lambda *argv: world.exec("door", "careless", *argv)
    assert attempt(run, "127.0.0.1", BELIEVES) == "ok"
