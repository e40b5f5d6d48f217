"""A8: the process that reads hostile bytes has no privileges; the one that has privileges has exactly three."""

import pytest

CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF = 12, 21, 39


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_ztunnel_has_none(mesh, node):
    [pid] = mesh.pids("weft-ztunnel", node)
    s = status(pid)
    for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(s[field], 16) == 0, (field, s[field])
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
    assert "0" not in s["Uid"].split() and "0" not in s["Gid"].split()


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_the_agent_has_exactly_three(mesh, node):
    [pid] = mesh.pids("weft-agent", node)
    s = status(pid)
    want = 1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN | 1 << CAP_BPF
    assert int(s["CapEff"], 16) == want and int(s["CapPrm"], 16) == want, s
    assert int(s["CapBnd"], 16) & ~want == 0 and s["NoNewPrivs"] == "1", s


def test_the_control_plane_has_none(mesh):
    [pid] = mesh.pids("weft-controlplane")
    s = status(pid)
    assert int(s["CapEff"], 16) == 0 and "0" not in s["Uid"].split(), s
