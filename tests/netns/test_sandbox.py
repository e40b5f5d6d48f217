"""The sandbox itself: two side by side, nothing left after down, not even after a crash; it behaves like Kubernetes."""

import json
import os
import signal
import stat
import subprocess
import tempfile

import pytest
import weft
from weft import eventually, namespace, pod, python_app, service


def leftovers(name):
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                ours = f"/weft-{name}/" in file.read()
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                dead = "State:\tZ" in file.read()  # only its parent, init, can take it away
            if ours and not dead:
                out.append(f"process {pid}")
        except OSError:
            pass
    for path in (f"/run/weft/sandbox/{name}", f"/sys/fs/cgroup/unified/weft-{name}", f"/sys/fs/cgroup/weft-{name}"):
        if os.path.exists(path):
            out.append(path)
    mounts = open("/proc/self/mounts", encoding="utf-8").read()
    out += [l for l in mounts.splitlines() if f"/{name}/" in l or f"weft-{name}" in l]
    names = subprocess.run(["ip", "-o", "netns", "list"], capture_output=True, text=True, check=False).stdout
    out += [l for l in names.splitlines() if name in l]
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=False).stdout
    out += [l for l in links.splitlines() if "weft" in l]
    return out


def test_two_live_side_by_side_and_leave_nothing(fresh):
    a, b = fresh(name=f"left{os.getpid()}", nodes=1), fresh(name=f"right{os.getpid()}", nodes=1)
    for s in (a, b):
        s.apply([namespace("x", True), pod("x", "p", python_app("echo", 7000), ready_port=7000, node="node1"), pod("x", "c", node="node1")])
    for s in (a, b):
        s.wait("pod", "p", ns="x")
        s.wait("pod", "c", ns="x")
        s.wait_captured(("x", "p"), ("x", "c"))
        out = json.loads(s.exec("x", "c", *python_app("client", "try", s.pod_ips("x", "p")[0], 7000)).stdout)
        assert out["outcome"] == "ok", out
    for s in (a, b):
        s.down()
        assert not leftovers(s.name)


def test_it_runs_from_a_directory_that_only_root_may_enter():
    """A clone in /root, which is 0700: ztunnel, the control plane and Envoy are other users."""
    with tempfile.TemporaryDirectory(dir=weft.BIN) as closed:  # 0700; beside the binaries, so that links will do
        for program in ("weftctl", "weft-agent", "weft-ztunnel", "weft-controlplane", "envoy"):
            os.link(os.path.realpath(f"{weft.BIN}/{program}"), f"{closed}/{program}")
        name = f"closed{os.getpid()}"
        try:
            up = subprocess.run([f"{closed}/weftctl", "sandbox", "up", "--name", name, "--nodes", "1"], capture_output=True, text=True, timeout=60, check=False)
            assert up.returncode == 0, up.stdout + up.stderr
            programs = {os.path.realpath(f"/proc/{pid}/exe") for pid in filter(str.isdigit, os.listdir("/proc")) if os.access(f"/proc/{pid}/exe", os.R_OK)}
            assert {f"{closed}/weft-ztunnel", f"{closed}/weft-controlplane"} <= programs
        finally:
            subprocess.run([f"{closed}/weftctl", "sandbox", "down", "--name", name], capture_output=True, timeout=60, check=False)
        assert not leftovers(name)


def test_down_cleans_up_after_a_crash(fresh):
    s = fresh(nodes=1)
    s.apply([namespace("x", True), pod("x", "p", node="node1")])
    s.wait("pod", "p", ns="x")
    for pid in s.pids("weft-sandbox") or daemon_pids(s.name):
        os.kill(pid, signal.SIGKILL)
    s.down()
    assert not leftovers(s.name)


def daemon_pids(name):
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words and words[0].endswith(b"weft-sandbox") and name.encode() in words:
            out.append(int(pid))
    return out


def test_a_pod_has_a_dev_of_its_own(mesh, cleanup):
    """Pods are root: what one removes below /dev (nginx does, with `pid /dev/null`) must not be the machine's."""
    cleanup("dev")
    mesh.apply([namespace("dev"), pod("dev", "p")])
    mesh.wait("pod", "p", ns="dev")
    mine = f"/dev/weft-test-{os.getpid()}"
    try:
        with open(mine, "w", encoding="utf-8"):
            pass
        script = (f"test -e {mine} && exit 3; rm -f /dev/null; test ! -e /dev/null && echo gone; head -c 2 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c; "
                  "echo x >/dev/shm/x; cat /dev/shm/x; test -c /dev/tty; test -c /dev/ptmx && test -d /dev/pts && echo all >/dev/stdout")
        assert mesh.exec("dev", "p", "/bin/sh", "-c", script).stdout.split() == ["gone", "00", "00", "4", "x", "all"]
        assert os.path.exists(mine) and stat.S_ISCHR(os.stat("/dev/null").st_mode)
        assert not os.path.exists("/dev/shm/x")
    finally:
        if os.path.exists(mine):
            os.unlink(mine)


def test_exec_passes_exit_codes_and_streams(mesh, cleanup):
    cleanup("ex")
    mesh.apply([namespace("ex"), pod("ex", "p")])
    mesh.wait("pod", "p", ns="ex")
    assert mesh.exec("ex", "p", "/bin/sh", "-c", "exit 42", check=False).returncode == 42
    out = mesh.exec("ex", "p", "/bin/sh", "-c", "cat; echo err >&2", stdin="in")
    assert (out.stdout, out.stderr) == ("in", "err\n")
    words = ["[a,b]", "", "{}", "--", "-n", "%%", "--help", "a b", "[]"]
    for dashes in ([], ["--"]):
        told = mesh.ctl("sandbox", "exec", "-n", "ex", "p", *dashes, "/usr/bin/python3", "-c", "import sys; print(sys.argv[1:])", *words).stdout
        assert told == f"{words}\n"


def test_services_work_from_pods_outside_the_mesh_and_from_the_node(mesh, cleanup):
    cleanup("svc")
    mesh.apply([namespace("svc"), pod("svc", "web", python_app("echo", 7000, "names"), ready_port=7000, node="node2"), pod("svc", "c", node="node1"),
                service("svc", "web", [{"name": "tcp", "port": 80, "targetPort": 7000}]), service("svc", "headless", [7000], {"app": "web"}, headless=True)])
    mesh.wait("pod", "web", ns="svc")
    mesh.wait("pod", "c", ns="svc")
    vips = mesh.get("service", "web", "svc")["spec"]["clusterIPs"]
    assert len(vips) == 2
    for target in [*vips, "web", "web.svc", "web.svc.svc.cluster.local"]:
        out = eventually(lambda: mesh.exec("svc", "c", "timeout", "5", "nc", "-N", target, "80", stdin="").stdout)
        assert "peer" in out, target
    out = mesh.exec("svc", "c", "dig", "+short", "+search", "headless").stdout.split()
    assert out == [i for i in mesh.pod_ips("svc", "web") if ":" not in i]
    for vip in vips:
        assert "peer" in mesh.node_exec("node1", "timeout", "5", "nc", "-N", vip, "80").stdout, vip


def test_a_deployment_scales_and_is_replaced(mesh, cleanup):
    cleanup("dep")
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "dep"},
                  "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
                           "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "m", "image": "x", "command": ["sleep", "9999"]}]}}}}
    mesh.apply([namespace("dep"), deployment])
    mesh.wait("deployment", "web", "Available", ns="dep")
    pods = mesh.get("pods", ns="dep")["items"] if False else [p for p in mesh.get("pod")["items"] if p["metadata"]["namespace"] == "dep"]
    assert len(pods) == 3 and {p["spec"]["nodeName"] for p in pods} == {"node1", "node2"}
    deployment["spec"]["replicas"] = 1
    mesh.apply([deployment])
    eventually(lambda: len([p for p in mesh.get("pod")["items"] if p["metadata"]["namespace"] == "dep"]) == 1)


@pytest.mark.parametrize("verb,field", [("label", "labels"), ("annotate", "annotations")])
def test_a_label_is_overwritten_with_or_without_the_flag(mesh, cleanup, verb, field):
    cleanup("over")
    mesh.apply([namespace("over")])
    for argv, want in ((["tier=a"], "a"), (["tier=b"], "b"), (["--overwrite", "tier=c"], "c"), (["tier=d", "--overwrite"], "d"),
                       (["tier=d", "--overwrite=true"], "d"), (["tier-"], None)):
        mesh.sb(verb, "namespace", "over", *argv)
        assert mesh.get("namespace", "over")["metadata"].get(field, {}).get("tier") == want, argv


def test_unknown_flags_and_kinds_are_one_clear_error(mesh):
    for argv in (["sandbox", "up", "--nodse", "3"], ["sandbox", "get", "nonsense"], ["sandbox", "exec", "-n", "default", "nobody", "--", "true"], ["frobnicate"]):
        result = mesh.ctl(*argv, check=False)
        assert result.returncode != 0, argv
        assert result.stderr.strip() and len(result.stderr.strip().splitlines()) <= 6, result.stderr


def test_version_completion_and_json(mesh):
    assert json.loads(mesh.ctl("version", "-o", "json").stdout)
    for shell in ("bash", "zsh"):
        assert "weftctl" in mesh.ctl("completion", shell).stdout
    assert json.loads(mesh.ctl("check", "-o", "json").stdout)
    assert mesh.ctl("check").returncode == 0
