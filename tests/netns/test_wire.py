"""A4: what is on the wire, by tcpdump: only TLS 1.3 to 15008 between enrolled pods; un-enrolled pods untouched."""

import pytest
import weft
from weft import Capture, namespace, pod, python_app, service

FROM_THE_NODE = "(host 172.31.0.1 or host 172.31.0.2 or host fd00:172:31::1 or host fd00:172:31::2)"  # it probes its pods, as a kubelet does
SECRET = b"weft-needle-in-the-clear"


@pytest.fixture(scope="module")
def world(mesh):
    for ns, meshed in (("wire", True), ("clear", False)):
        mesh.apply([namespace(ns, meshed), pod(ns, "server", python_app("echo", 7000), node="node2", ready_port=7000),
                    pod(ns, "near", python_app("echo", 7000), node="node1", ready_port=7000), pod(ns, "client", node="node1")])
        for name in ("server", "near", "client"):
            mesh.wait("pod", name, ns=ns)
    mesh.wait_captured(("wire", "server"), ("wire", "near"), ("wire", "client"))
    yield mesh
    for ns in ("wire", "clear"):
        mesh.delete("namespace", ns)


def say(mesh, ns, ip):
    out = mesh.exec(ns, "client", "/bin/sh", "-c", f"(printf %s {SECRET.decode()}; sleep 0.5) | timeout 5 nc -N {ip} 7000").stdout
    assert out == SECRET.decode()


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("target", ["server", "near"], ids=["cross-node", "same-node"])
def test_enrolled_pods_speak_only_tls_to_15008(world, family, target):
    ip = next(i for i in world.pod_ips("wire", target) if (":" in i) == (family == "v6"))
    captures = [Capture(world, node, "any", f"host {ip} and not {FROM_THE_NODE}") for node in ("node1", "node2")]
    try:
        say(world, "wire", ip)
    finally:
        for capture in captures:
            capture.stop()
    try:
        seen = captures[0].packets()
        assert seen, "nothing was captured: the test would prove nothing"
        for capture in captures:
            assert SECRET not in capture.bytes()
            strangers = [p for p in capture.packets("tcp and not port 15008")]
            assert not strangers, strangers[:3]
        data = captures[0].bytes()
        assert b"\x16\x03\x01" in data and b"\x02h2" in data, "a ClientHello with ALPN h2"
        assert b"\x00\x2b\x00\x02\x03\x04" in data, "a ServerHello that chose TLS 1.3"
    finally:
        for capture in captures:
            capture.remove()


def test_pods_outside_the_mesh_are_untouched(world):
    ip = world.pod_ips("clear", "server")[0]
    capture = Capture(world, "node2", "any", f"host {ip}")
    try:
        say(world, "clear", ip)
        capture.stop()
        assert SECRET in capture.bytes()
        assert not capture.packets("tcp port 15008")
    finally:
        capture.stop()
        capture.remove()
