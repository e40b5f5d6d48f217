"""A3: enrollment by label on running pods, without a restart; flips under load."""

import json
import time

import pytest
import weft
from weft import eventually, namespace, pod, python_app, service

RESOLVER_RETRY_S = 5  # glibc's, when an answer does not come


@pytest.fixture
def pair(mesh):
    mesh.apply([namespace("flip"), pod("flip", "server", python_app("echo", 7000), node="node2", ready_port=7000),
                pod("flip", "client", node="node1"), service("flip", "server", [7000]),
                {**service("flip", "alias", []), "spec": {"type": "ExternalName", "externalName": "server.flip.svc.cluster.local"}}])
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
    """Connections that stay are whole, no connect hangs, no name waits for its resolver's retry, whatever side of the mesh they began on."""
    streams = [pair.popen("flip", "client", *python_app("client", "stream", "server", 7000, 45), stdout=-1, text=True) for _ in range(3)]
    load = pair.popen("flip", "client", *python_app("client", "load", "server", 7000, 40, 50), stdout=-1, text=True)
    names = [pair.popen("flip", "client", *python_app("client", "resolve", name, 38, 60), stdout=-1, text=True)
             for name in ("server", "alias")]  # the mesh knows the first; the second goes on to the cluster's DNS
    time.sleep(2)
    for n in range(50):
        if n in (1, 11):  # these begin inside, and stay longer than the grace of a pod that ends
            streams.append(pair.popen("flip", "client", *python_app("client", "stream", "server", 7000, 45), stdout=-1, text=True))
        pair.label("namespace", "flip", "weft.dev/mesh=enabled" if n % 2 == 0 else "weft.dev/mesh-")
        time.sleep(0.6)
    late = pair.popen("flip", "client", *python_app("client", "stream", "server", 7000, 2), stdout=-1, text=True)
    for stream in [*streams, late]:
        out = json.loads(stream.communicate(timeout=90)[0])
        assert out["outcome"] == "ok", out
    out = json.loads(load.communicate(timeout=90)[0])
    assert out["counts"] == {"ok": out["started"]} and out["slowest"] < 5, out
    for each in names:
        out = json.loads(each.communicate(timeout=90)[0])
        assert out["counts"] == {"ok": out["started"]} and out["started"] > 1000, out
        assert out["slowest"] < RESOLVER_RETRY_S, out
    pair.label("namespace", "flip", "weft.dev/mesh-")
    pair.wait_released(("flip", "server"))
