"""A3: enrollment by label on running pods, without a restart; flips under load."""

import json
import time

import pytest
import weft
from weft import eventually, namespace, pod, python_app, service


@pytest.fixture
def pair(mesh):
    mesh.apply([namespace("flip"), pod("flip", "server", python_app("echo", 7000), node="node2", ready_port=7000),
                pod("flip", "client", node="node1"), service("flip", "server", [7000])])
    mesh.wait("pod", "server", ns="flip")
    mesh.wait("pod", "client", ns="flip")
    yield mesh
    mesh.delete("namespace", "flip")


def containers(mesh):
    pods = [mesh.get("pod", name, "flip") for name in ("server", "client")]
    return [(p["metadata"]["uid"], p["status"]["startTime"], p["status"]["containerStatuses"][0].get("restartCount", 0)) for p in pods]


def test_a_label_captures_running_pods_and_its_removal_releases_them(pair):
    before = containers(pair)
    assert not {("flip", "server"), ("flip", "client")} & set(pair.enrolled())
    start = time.monotonic()
    pair.label("namespace", "flip", "weft.dev/mesh=enabled")
    pair.wait_captured(("flip", "server"), ("flip", "client"))
    captured = time.monotonic() - start
    assert captured <= weft.REACH_S, captured
    pair.exec("flip", "client", *python_app("client", "try", "server", 7000))
    start = time.monotonic()
    pair.label("namespace", "flip", "weft.dev/mesh-")
    pair.wait_released(("flip", "server"), ("flip", "client"))
    released = time.monotonic() - start
    assert released <= weft.REACH_S, released
    assert containers(pair) == before


def test_the_pods_label_beats_the_namespaces(mesh, cleanup):
    cleanup("prec")
    mesh.apply([namespace("prec", True), pod("prec", "in"), pod("prec", "out", labels={"weft.dev/mesh": "disabled"}),
                pod("prec", "none", labels={"istio.io/dataplane-mode": "none"}), pod("prec", "host", hostNetwork=True)])
    mesh.wait("pod", "in", ns="prec")
    mesh.wait_captured(("prec", "in"))
    time.sleep(0.5)
    assert {name for ns, name in mesh.enrolled() if ns == "prec"} == {"in"}
    told = {p["name"]: p for p in json.loads(mesh.ctl("status", "-o", "json").stdout)["pods"] if p["namespace"] == "prec"}
    assert "pod" in told["out"]["reason"] and "hostNetwork" in told["host"]["reason"], told


@pytest.mark.parametrize("key", ["istio.io/dataplane-mode=ambient", "istio-injection=enabled"])
def test_istios_labels_enroll_too(mesh, cleanup, key):
    ns = "alias-" + key.split("=")[1]
    cleanup(ns)
    mesh.apply([namespace(ns), pod(ns, "a")])
    mesh.wait("pod", "a", ns=ns)
    mesh.label("namespace", ns, key)
    mesh.wait_captured((ns, "a"))


def test_fifty_flips_under_load_lose_nothing(pair):
    """Connections that stay are whole, no connect hangs, whatever side of the mesh they began on."""
    # By address: a DNS datagram that a flip loses costs the resolver its own 5 s, which is not a connect that hangs.
    vip = pair.get("service", "server", "flip")["spec"]["clusterIP"]
    streams = [pair.popen("flip", "client", *python_app("client", "stream", vip, 7000, 45), stdout=-1, text=True) for _ in range(3)]
    load = pair.popen("flip", "client", *python_app("client", "load", vip, 7000, 40, 50), stdout=-1, text=True)
    time.sleep(1)
    for n in range(50):
        pair.label("namespace", "flip", "weft.dev/mesh=enabled" if n % 2 == 0 else "weft.dev/mesh-")
        time.sleep(0.6)
    late = pair.popen("flip", "client", *python_app("client", "stream", vip, 7000, 2), stdout=-1, text=True)
    for stream in [*streams, late]:
        out = json.loads(stream.communicate(timeout=90)[0])
        assert out["outcome"] == "ok", out
    out = json.loads(load.communicate(timeout=90)[0])
    assert "timeout" not in out["counts"], out
    assert out["slowest"] < 5, out
    assert out["counts"].get("ok", 0) >= out["started"] * 0.98, out
    pair.label("namespace", "flip", "weft.dev/mesh-")
    pair.wait_released(("flip", "server"))
