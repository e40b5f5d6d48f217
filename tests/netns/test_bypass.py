"""Ways around the mesh that are none: a further address of a pod, a pod of the host's network, the mesh's own ports."""

import json

import pytest
from weft import eventually, namespace, peer_authentication, pod, python_app, total


@pytest.fixture
def strict(mesh, cleanup):
    cleanup("strict", "outsider")
    mesh.apply([namespace("strict", True), namespace("outsider"), peer_authentication("strict", "all", mtls={"mode": "STRICT"}),
                pod("strict", "server", python_app("echo", 7000), node="node2", ready_port=7000), pod("strict", "friend", node="node2"),
                pod("outsider", "plain", node="node2"), pod("outsider", "host", node="node2", hostNetwork=True)])
    for ns, name in (("strict", "server"), ("strict", "friend"), ("outsider", "plain"), ("outsider", "host")):
        mesh.wait("pod", name, ns=ns)  # the server's probe is the node's: it passes under STRICT
    eventually(lambda: attempt(mesh, "outsider", "plain", mesh.pod_ips("strict", "server")[0]) != "ok", what="STRICT in effect")
    eventually(lambda: attempt(mesh, "strict", "friend", mesh.pod_ips("strict", "server")[0]) == "ok")
    return mesh


def attempt(mesh, ns, name, ip, port=7000):
    return json.loads(mesh.exec(ns, name, *python_app("client", "try", ip, port)).stdout)["outcome"]


def test_a_further_address_of_a_pod_is_no_way_around_policy(strict):
    ip, further = strict.pod_ips("strict", "server")[0], "10.244.2.251"
    strict.exec("strict", "server", "ip", "addr", "add", f"{further}/32", "dev", "eth0")
    link = strict.node_exec("node2", "ip", "-o", "route", "get", ip).stdout.split(" dev ")[1].split()[0]
    strict.node_exec("node2", "ip", "route", "add", f"{further}/32", "dev", link)
    try:
        before = dropped(strict)
        assert attempt(strict, "outsider", "plain", further) == "refused"
        assert dropped(strict) == before + 1
        assert attempt(strict, "strict", "server", further) == "ok"  # its own business
    finally:
        strict.node_exec("node2", "ip", "route", "del", f"{further}/32", "dev", link)


def dropped(mesh):
    return total(mesh.metrics("node2", 15030), "weft_bpf_events_total", hook="inbound", result="dropped_unknown_address")


def test_kubelet_passes_under_strict_and_a_pod_of_the_hosts_network_does_not(strict):
    for ip in strict.pod_ips("strict", "server"):
        assert attempt(strict, "outsider", "host", ip) != "ok", ip
    ready = [c["status"] for c in strict.get("pod", "server", "strict")["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True"]


def test_an_application_of_the_pod_cannot_take_the_meshs_ports(strict):
    script = ("import socket\n"
              "for ip, port in (('127.0.0.1', 15001), ('0.0.0.0', 15006), ('::', 15008), ('::1', 15053)):\n"
              "    s = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET)\n"
              "    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
              "    try:\n        s.bind((ip, port)); print('taken', ip, port)\n"
              "    except OSError as e: print(e.errno)\n")
    ip = strict.pod_ips("strict", "server")[0]
    assert strict.exec("strict", "friend", "/usr/bin/python3", "-c", script).stdout.split() == ["98"] * 4
    assert attempt(strict, "strict", "friend", ip) == "ok"
    out = strict.exec("outsider", "plain", "/usr/bin/python3", "-c", script).stdout
    assert out.count("taken") == 4, "un-enrolled pods have these ports"
