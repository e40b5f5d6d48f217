"""A8: the process that reads hostile bytes has no privileges; the one that has privileges has exactly three."""

import os

import pytest
from conftest import SETTINGS

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


def test_ztunnel_waits_on_io_uring_unless_it_is_forbidden(mesh):
    forbidden = "denyIoUring=true" in SETTINGS
    [pid] = mesh.pids("weft-ztunnel", "node1")
    rings = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}") == "anon_inode:[io_uring]"]
    told = [line for line in mesh.logs("ztunnel", "node1").splitlines() if "no io_uring, using epoll" in line]
    if forbidden:
        assert not rings and told and all("Operation not permitted" in line for line in told), (rings, told)
    else:
        assert rings and not told, (rings, told)
