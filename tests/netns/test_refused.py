"""A port where nobody listens refuses at once, whichever way one comes: in both families, by HBONE, in plaintext, on the same node; also
one of a dual-stack Service whose application speaks IPv4 alone."""

import json

import pytest
from weft import namespace, pod, python_app, service

NOBODYS = 7999
SOON_S = 3.0  # before it was mended IPv6 took ztunnel's 5 s


@pytest.fixture(scope="module")
def world(mesh):
    mesh.apply([namespace("deaf", True), namespace("deafout"), pod("deaf", "server", python_app("echo", 7000), node="node2", ready_port=7000),
                pod("deaf", "far", node="node1"), pod("deaf", "near", node="node2"), pod("deafout", "plain", node="node1")])
    for ns in ("deaf", "deafout"):
        mesh.apply([pod(ns, "only4", python_app("echo", 7000, "echo", "0.0.0.0"), node="node2", ready_port=7000), service(ns, "only4", [7000])])
    for ns, name in (("deaf", "server"), ("deaf", "far"), ("deaf", "near"), ("deafout", "plain"), ("deaf", "only4"), ("deafout", "only4")):
        mesh.wait("pod", name, ns=ns)
    mesh.wait_captured(("deaf", "server"), ("deaf", "far"), ("deaf", "near"), ("deaf", "only4"))
    yield mesh
    mesh.delete("namespace", "deaf")
    mesh.delete("namespace", "deafout")


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("ns,client", [("deaf", "far"), ("deaf", "near"), ("deafout", "plain"), ("deaf", "server")])
def test_a_port_where_nobody_listens_refuses_at_once(world, ns, client, family):
    ip = next(i for i in world.pod_ips("deaf", "server") if (":" in i) == (family == "v6"))
    out = json.loads(world.exec(ns, client, *python_app("client", "try", ip, NOBODYS)).stdout)
    assert out["outcome"] in ("refused", "reset", "eof") and out["seconds"] < SOON_S, out
    assert json.loads(world.exec(ns, client, *python_app("client", "try", ip, 7000)).stdout)["outcome"] == "ok"


@pytest.mark.parametrize("server", ["deaf", "deafout"], ids=["to-meshed", "to-unmeshed"])
@pytest.mark.parametrize("ns,client", [("deaf", "far"), ("deaf", "near"), ("deafout", "plain")])
def test_a_dual_stack_service_of_an_ipv4_application_refuses_ipv6_alone(world, ns, client, server):
    vips = world.get("service", "only4", server)["spec"]["clusterIPs"]
    assert len(vips) == 2, vips
    for vip in vips:
        out = json.loads(world.exec(ns, client, *python_app("client", "try", vip, 7000)).stdout)
        assert out["outcome"] in (("refused", "reset", "eof") if ":" in vip else ("ok",)) and out["seconds"] < SOON_S, (vip, out)
