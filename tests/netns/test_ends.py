"""A6: however a connection is broken off, the other end is told as it would be without a mesh, and no proxy keeps anything of it."""

import json

import pytest
from weft import descriptors, eventually, namespace, pod, python_app

COUNT = 200
TUNNELS = 32  # 1,600 connections at once open tunnels of 100 streams each, which stay for a while; one order alone would leave 200
PORT = 7100
ORDERS = [f"{who}-{what},{last}-rst" for what in ("fin", "data") for who in ("client", "server") for last in ("client", "server")]
# The path: the client's namespace, the server's, the family.
PATHS = {"hbone": ("ends", "ends", "v4"), "plaintext": ("endsout", "ends", "v6"), "passthrough": ("ends", "endsout", "v4")}


@pytest.fixture(scope="module")
def world(mesh):
    for ns, meshed in (("ends", True), ("endsout", False)):
        mesh.apply([namespace(ns, meshed), pod(ns, "client", node="node1"),
                    pod(ns, "server", python_app("ends", "serve", PORT), node="node2", ready_port=PORT)])
    for ns in ("ends", "endsout"):
        for name in ("client", "server"):
            mesh.wait("pod", name, ns=ns)
    mesh.wait_captured(("ends", "client"), ("ends", "server"))
    yield mesh
    for ns in ("ends", "endsout"):
        mesh.delete("namespace", ns)


def play(mesh, path, count=COUNT, orders=ORDERS):
    client, server, family = PATHS[path]
    ip = next(i for i in mesh.pod_ips(server, "server") if (":" in i) == (family == "v6"))
    return json.loads(mesh.exec(client, "client", *python_app("ends", "play", ip, PORT, count, *orders), timeout=120).stdout)


@pytest.mark.parametrize("path", PATHS)
def test_a_reset_reaches_the_other_end_and_leaves_nothing(world, path):
    play(world, path, 4)  # tunnels are open now
    before = descriptors(world)
    out = play(world, path)
    assert {order: (o["made"], o["told"]) for order, o in out.items()} == {order: (COUNT, COUNT) for order in ORDERS}, out

    def let_go():
        after = descriptors(world)
        assert all(after[node] <= before[node] + TUNNELS for node in before), (before, after)
        return True

    eventually(let_go, 10, what="its descriptors to be closed")
