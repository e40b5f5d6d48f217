"""A5: the policy table end to end; STRICT and PERMISSIVE; a deny cuts what is established; every denial is explained."""

import json
import os
import time

import pytest
import weft
import yaml
from weft import account, authorization, eventually, namespace, peer_authentication, pod, python_app

TABLE = yaml.safe_load(open(f"{weft.ROOT}/tests/data/policy_table.yaml", encoding="utf-8"))
CLIENTS = {"alice": ("shop", "10.244.1.11", "node1"), "bob": ("shop", "10.244.1.12", "node1"), "eve": ("bank", "10.244.2.13", "node2"),
           "plain": ("outside", "10.244.1.14", "node1")}
SERVER, PORTS = "10.244.2.10", (8080, 9090)


@pytest.fixture(scope="module")
def world(fresh_module):
    mesh = fresh_module
    mesh.apply([namespace("bank", True), namespace("shop", True), namespace("outside"), namespace("istio-system")])
    two = ["/bin/sh", "-c", f"{' '.join(python_app('echo', 8080))} & exec {' '.join(python_app('echo', 9090))}"]
    objects = [account("bank", "vault"), pod("bank", "vault", two, node="node2", sa="vault", ips=SERVER, ready_port=9090)]
    for name, (ns, ip, node) in CLIENTS.items():
        objects += [account(ns, name), pod(ns, name, node=node, sa=name, ips=ip)]
    mesh.apply(objects)
    mesh.wait("pod", "vault", ns="bank")
    for name, (ns, _, _) in CLIENTS.items():
        mesh.wait("pod", name, ns=ns)
    mesh.wait_captured(("bank", "vault"), ("shop", "alice"), ("shop", "bob"), ("bank", "eve"))
    return mesh


@pytest.fixture(scope="module")
def fresh_module():
    sandbox = weft.Sandbox(f"policy{os.getpid()}")
    try:
        sandbox.up(*[a for w in os.environ.get("WEFT_TEST_SET", "").split() for a in ("--set", w)])
        yield sandbox
    finally:
        sandbox.down()


def objects_of(row):
    out = []
    for n, entry in enumerate(row["objects"]):
        ns = entry.get("ns", "bank")
        if "A" in entry:
            out.append(authorization(ns, f"row-{n}", **entry["A"]))
        else:
            out.append(peer_authentication(ns, f"row-{n}", **entry["P"]))
    return out


def allowed(row):
    out = set()
    for word in row["allow"]:
        name, port = word.split(":")
        out |= {(name, p) for p in PORTS} if port == "*" else {(name, int(port))}
    return out


def probe(mesh):
    """Who gets through now; every refusal must be dead within 2 s, never a hang."""
    running = {(name, port): mesh.popen(ns, name, *python_app("client", "try", SERVER, port, 5), stdout=-1, text=True)
               for name, (ns, _, _) in CLIENTS.items() for port in PORTS}
    got, slow = set(), {}
    for key, process in running.items():
        out = json.loads(process.communicate(timeout=30)[0])
        if out["outcome"] == "ok":
            got.add(key)
        elif out["outcome"] == "timeout":
            slow[key] = out
    assert not slow, f"hung instead of being refused: {slow}"
    return got


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_table_end_to_end(world, row):
    objects = objects_of(row)
    if objects:
        world.apply(objects)
    try:
        want = allowed(row)
        eventually(lambda: probe(world) == want, 6, what=f"allowed == {sorted(want)}")
        assert probe(world) == want
    finally:
        for o in objects:
            world.delete(o["kind"], o["metadata"]["name"], o["metadata"]["namespace"])


def attempt(mesh, ns, name, port=8080):
    return json.loads(mesh.exec(ns, name, *python_app("client", "try", SERVER, port)).stdout)


def test_strict_refuses_plaintext_within_two_seconds(world):
    world.apply([peer_authentication("bank", "strict", mtls={"mode": "STRICT"})])
    try:
        out = eventually(lambda: (o := attempt(world, "outside", "plain"))["outcome"] != "ok" and o)
        assert out["outcome"] in ("refused", "reset", "eof") and out["seconds"] < 2, out
        assert attempt(world, "shop", "alice")["outcome"] == "ok"
    finally:
        world.delete("PeerAuthentication", "strict", "bank")
    eventually(lambda: attempt(world, "outside", "plain")["outcome"] == "ok")


def test_permissive_labels_plaintext_as_such(world):
    eventually(lambda: attempt(world, "outside", "plain")["outcome"] == "ok")
    samples = eventually(lambda: [s for s in world.metrics("node2", 15020) if s[0] == "istio_tcp_connections_opened_total"
                                  and s[1].get("connection_security_policy") == "unknown" and s[1]["destination_workload"] == "vault"])
    assert all(s[1]["source_principal"] == "unknown" for s in samples), samples


def test_a_deny_cuts_established_connections_within_a_second(world):
    streams = {who: world.popen(CLIENTS[who][0], who, *python_app("client", "stream", SERVER, 8080, 8), stdout=-1, text=True) for who in ("alice", "bob")}
    time.sleep(1)
    world.apply([authorization("bank", "cut", action="DENY", rules=[{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/alice"]}}]}])])
    applied = time.monotonic()
    try:
        out = json.loads(streams["alice"].communicate(timeout=30)[0])
        assert out["outcome"] in ("reset", "eof"), out
        assert out["ended"] - applied <= 1.0, out["ended"] - applied  # by the client's clock, which is ours
        kept = json.loads(streams["bob"].communicate(timeout=30)[0])
        assert kept["outcome"] == "ok", kept
    finally:
        world.delete("AuthorizationPolicy", "cut", "bank")


def test_a_denial_is_one_line_with_both_names_and_the_policy(world):
    world.apply([authorization("bank", "no-bob", action="DENY", rules=[{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/bob"]}}]}])])
    try:
        eventually(lambda: attempt(world, "shop", "bob")["outcome"] != "ok")
        lines = eventually(lambda: [l for l in world.access("node2") if "bank/no-bob" in l])
        line = lines[-1]
        for word in ("spiffe://cluster.local/ns/shop/sa/bob", "spiffe://cluster.local/ns/bank/sa/vault", "policy"):
            assert word in line, line
        denied = weft.total(world.metrics("node2", 15020), "istio_tcp_connections_failed_total", response_flags="DENY",
                            source_principal="spiffe://cluster.local/ns/shop/sa/bob")
        assert denied >= 1
    finally:
        world.delete("AuthorizationPolicy", "no-bob", "bank")


def test_a_broken_policy_is_refused_by_name_and_the_old_one_stays(world):
    world.apply([authorization("bank", "only-alice", rules=[{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/alice"]}}]}])])
    try:
        eventually(lambda: attempt(world, "shop", "bob")["outcome"] != "ok" and attempt(world, "shop", "alice")["outcome"] == "ok")
        bad = authorization("bank", "only-alice", action="PERMIT")
        result = world.apply([bad], check=False)
        told = lambda: [l for l in (result.stderr + world.logs("controlplane")).splitlines() if "spec.action" in l and "PERMIT" in l]
        assert len(eventually(told)) == 1
        time.sleep(0.5)
        assert attempt(world, "shop", "alice")["outcome"] == "ok"
        assert attempt(world, "shop", "bob")["outcome"] != "ok"
    finally:
        world.delete("AuthorizationPolicy", "only-alice", "bank")
