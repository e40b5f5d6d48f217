"""A6: bytes arrive whole, ends end as they should, nothing grows."""

import json

import pytest
import weft
from weft import eventually, namespace, pod, python_app

MODES = {"echo": 7000, "sum": 7001, "source=100000000": 7002, "rst": 7003, "ended": 7004, "first=20000000": 7005}


@pytest.fixture(scope="module")
def world(mesh):
    script = " ".join(f"{' '.join(python_app('echo', port, mode))} &" for mode, port in MODES.items()) + " wait"
    mesh.apply([namespace("bytes", True), pod("bytes", "server", ["/bin/bash", "-c", script], node="node2", ready_port=7005),
                pod("bytes", "client", node="node1")])
    mesh.wait("pod", "server", ns="bytes")
    mesh.wait("pod", "client", ns="bytes")
    mesh.wait_captured(("bytes", "server"), ("bytes", "client"))
    yield mesh
    mesh.delete("namespace", "bytes")


@pytest.fixture(params=["v4", "v6"])
def ip(world, request):
    return next(i for i in world.pod_ips("bytes", "server") if (":" in i) == (request.param == "v6"))


def act(mesh, *argv, timeout=120):
    return json.loads(mesh.exec("bytes", "client", *python_app("client", *argv), timeout=timeout).stdout)


def test_100_mb_up_arrive_whole(world, ip):
    assert act(world, "up", ip, 7001, 100000000)["ok"]


def test_100_mb_down_arrive_whole(world, ip):
    out = act(world, "down", ip, 7002, 100000000)
    assert out["ok"] and out["bytes"] == 100000000, out


def test_a_half_close_leaves_the_other_half_open(world, ip):
    assert act(world, "half", ip, 7001)["ok"]


def test_a_server_that_ends_first_still_gets_what_the_client_sends(world, ip):
    out = act(world, "first", ip, 7005, 20000000, 20000000)
    assert out["down"] and out["up"], out


def test_a_reset_by_the_server_is_a_reset_at_the_client(world, ip):
    assert act(world, "rst", ip, 7003)["outcome"] == "reset"


def test_a_reset_by_the_client_is_a_reset_at_the_server(world, ip):
    assert act(world, "abort", ip, 7004)["server_saw"] == "reset"


def test_a_thousand_connections_at_once(world, ip):
    out = act(world, "many", ip, 7000, 1000)
    assert out["opened"] == 1000 and out["echoed"] == 1000, out


def usage(mesh):
    out, fds = {}, weft.descriptors(mesh)
    for node in ("node1", "node2"):
        [pid] = mesh.pids("weft-ztunnel", node)
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        maps = mesh.metrics(node, 15030)
        out[node] = {"fds": fds[node], "rss_kb": rss, "flows": weft.total(maps, "weft_bpf_map_entries", map="weft_flows")}
    return out


def test_ten_thousand_short_connections_leave_nothing_behind(world, ip):
    """Half of them in each family."""
    act(world, "short", ip, 7000, 1500, timeout=300)
    before = usage(world)
    out = act(world, "short", ip, 7000, 5000, timeout=600)
    assert out["counts"] == {"ok": 5000}, out

    def settled():
        after = usage(world)
        for node in before:
            assert after[node]["fds"] <= before[node]["fds"] + 16, (node, before, after)
            assert after[node]["rss_kb"] <= before[node]["rss_kb"] + 4096, (node, before, after)
            assert after[node]["flows"] <= before[node]["flows"] + 10, (node, before, after)
        return True

    eventually(settled, 15)
