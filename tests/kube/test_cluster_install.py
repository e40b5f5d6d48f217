"""weftctl install and uninstall on a cluster of two nodes: what there was before is what there is afterwards, and traffic goes on meanwhile."""

import json
import os
import time

import pytest

from mesh import Mesh, deployment, toolbox, wait_for

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
              pytest.mark.skipif(not os.path.exists(os.environ.get("WEFT_KUBE_BIN", "") + "/kubelet"), reason="needs WEFT_KUBE_BIN with a kubelet")]

WEB = "echo $(hostname) > /tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp"
SERVERS, CLIENTS = 18, 2
OUTAGE_S = 1.0
STRICT = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default", "namespace": "shop"},
          "spec": {"mtls": {"mode": "STRICT"}}}
ROUTE = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web", "namespace": "shop"},
         "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "routed", "port": 80}],
                  "rules": [{"backendRefs": [{"name": "routed", "port": 80}]}]}}


@pytest.fixture(scope="module")
def mesh():
    Mesh.sweep(os.environ["WEFT_KUBE_BIN"])
    world = Mesh(os.environ["WEFT_KUBE_BIN"], f"test{os.getpid()}")
    try:
        world.up(weft=False)
        service = lambda name: {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                                "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}
        world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"weft.dev/mesh": "enabled"}}},
                    deployment("shop", "web", SERVERS, toolbox("web", WEB)), deployment("shop", "client", CLIENTS, toolbox("client", "exec sleep 100000")),
                    service("web"), service("routed"))
        world.pods_ready("shop", SERVERS + CLIENTS, within=90)
        world.before = {node.name: left_on(node) for node in world.cluster.nodes}
        yield world
    finally:
        world.down()


def left_on(node):
    """Whatever the mesh touches on a node."""
    run = lambda *argv: node.machine.run(*argv, check=False).stdout
    return {"pins": run("find", "/sys/fs/bpf", "-mindepth", "1"), "conf": json.loads(run("sh", "-c", "cat /etc/cni/net.d/*.conflist")), "bin": run("ls", "/opt/cni/bin"),
            "run": [name for name in run("ls", "/run").split() if "weft" in name], "rules": run("ip", "rule"), "nft": run("sh", "-c", "nft list tables | sort"),
            "processes": [name for name in run("sh", "-c", "cat /proc/[0-9]*/comm").split() if name.startswith("weft-")],
            "seccomp": run("sh", "-c", "ls /var/lib/kubelet/seccomp 2>/dev/null")}


def install(mesh, *words):
    done = mesh.weftctl("install", f"--crds={os.environ['WEFT_KUBE_CRDS']}", "--timeout=120s", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def client(mesh, node):
    return next(pod["metadata"]["name"] for pod in mesh.pods("shop", "app=client") if pod["spec"]["nodeName"] == node)


def address(mesh, name="web"):
    return mesh.kubectl("-n", "shop", "get", "service", name, "-o", "jsonpath={.spec.clusterIP}").stdout


class Asking:
    """A client that asks without pause: when, and curl's exit code."""

    def __init__(self, mesh, pod, url):
        self.mesh, self.pod = mesh, pod
        loop = f"while [ ! -e /tmp/stop ]; do curl -s -m 1 -o /dev/null {url}; echo $? $(cut -d' ' -f1 /proc/uptime); done"
        script = f"rm -f /tmp/stop; ({loop}) > /tmp/asked 2>&1 < /dev/null &"
        mesh.exec("shop", pod, "sh", "-c", script)

    def stop(self):
        self.mesh.exec("shop", self.pod, "touch", "/tmp/stop")
        time.sleep(1.2)
        lines = [line.split() for line in self.mesh.exec("shop", self.pod, "cat", "/tmp/asked").stdout.splitlines()]
        return [(float(when), int(code)) for code, when in (line for line in lines if len(line) == 2)]


def longest_outage(asked):
    """Seconds between two answers with a failure between them."""
    longest, last_good, failing = 0.0, asked[0][0], False
    for when, code in asked:
        if code == 0:
            longest = max(longest, when - last_good) if failing else longest
            last_good, failing = when, False
        else:
            failing = True
    return max(longest, asked[-1][0] - last_good) if failing else longest


def test_install_is_ready_when_it_says_so(mesh):
    done = install(mesh)
    assert "Weft 0.1.0 is there" in done.stderr
    wait_for(lambda: len(mesh.captured("shop")) == SERVERS + CLIENTS, 10, "all pods captured", every=0.2)
    checked = mesh.weftctl("check")
    assert checked.returncode == 0, checked.stdout
    before = mesh.weftctl("check", "--pre")
    assert before.returncode == 0 and "n1: kernel" in before.stdout, before.stdout
    for node in mesh.cluster.nodes:
        assert left_on(node)["conf"]["plugins"][-1]["type"] == "weft-cni"


def test_an_upgrade_of_the_profile_is_a_rollout(mesh):
    done = mesh.weftctl("upgrade", "--profile=high-availability", "--crds=none", "--timeout=180s")
    assert done.returncode == 0, done.stdout + done.stderr
    ready = mesh.kubectl("-n", "weft-system", "get", "deployment", "weft-controlplane", "-o", "jsonpath={.status.readyReplicas}").stdout
    assert ready == "2"
    done = mesh.weftctl("upgrade", "--profile=default", "--crds=none", "--timeout=180s")
    assert done.returncode == 0, done.stdout + done.stderr


def test_uninstall_leaves_traffic_and_nothing_else(mesh):
    mesh.apply(STRICT, ROUTE)
    waypoints = lambda: mesh.kubectl("get", "deployments,services,serviceaccounts,secrets", "-A", "-l", "app.kubernetes.io/managed-by=weft-controlplane", "-o", "name").stdout.split()
    wait_for(lambda: "deployment.apps/weft-waypoint" in waypoints(), 30, "the waypoint", every=0.3)
    mesh.kubectl("-n", "shop", "rollout", "status", "deployment/weft-waypoint", "--timeout=60s", timeout=70)
    url = f"http://{address(mesh)}/"
    wait_for(lambda: mesh.exec("shop", client(mesh, "n1"), "curl", "-sf", "-m", "2", "-o", "/dev/null", url, check=False).returncode == 0, 20, "STRICT to work")

    clients = [Asking(mesh, client(mesh, node.name), url) for node in mesh.cluster.nodes]
    time.sleep(2)
    began = time.monotonic()
    done = mesh.weftctl("uninstall", "--timeout=180s")
    took = time.monotonic() - began
    asked = [one.stop() for one in clients]
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"uninstall took {took:.1f} s; requests {[len(one) for one in asked]}, failed {[sum(c != 0 for _, c in one) for one in asked]}, "
          f"longest outage {[round(longest_outage(one), 2) for one in asked]} s")
    for one in asked:
        assert len(one) > 100 and longest_outage(one) <= OUTAGE_S

    assert mesh.kubectl("get", "namespace", "weft-system", check=False).returncode != 0
    assert not waypoints()
    for kinds in ("clusterroles,clusterrolebindings", "validatingadmissionpolicies,validatingadmissionpolicybindings"):
        assert "weft" not in mesh.kubectl("get", kinds, "-o", "name").stdout
    for node in mesh.cluster.nodes:
        assert left_on(node) == mesh.before[node.name]
    # The policies and routes of people are there, and so are their CRDs; no other pod was touched.
    assert mesh.kubectl("-n", "shop", "get", "peerauthentication,httproute", "-o", "name").stdout.split() == [
        "peerauthentication.security.istio.io/default", "httproute.gateway.networking.k8s.io/web"]
    assert all(status["restartCount"] == 0 for pod in mesh.pods("shop") for status in pod["status"]["containerStatuses"])
    mesh.apply(deployment("shop", "late", 2, toolbox("late", "exec sleep 100000")))
    mesh.pods_ready("shop", SERVERS + CLIENTS + 2)  # nothing holds a new pod back
    mesh.kubectl("-n", "shop", "delete", "deployment", "late")


def test_uninstall_of_nothing_is_no_error_and_purge_takes_the_crds(mesh):
    done = mesh.weftctl("uninstall")
    assert done.returncode == 0 and "stay, with the objects of theirs" in done.stderr, done.stdout + done.stderr
    done = mesh.weftctl("uninstall", "--purge")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for(lambda: not [name for name in mesh.kubectl("get", "crds", "-o", "name").stdout.split() if "istio.io" in name or "gateway" in name], 30, "the CRDs to go")


def test_k13_without_any_crd_the_mesh_does_l4(mesh):
    """And it comes back where it has been before."""
    done = mesh.weftctl("install", "--crds=none", "--timeout=120s")
    assert done.returncode == 0 and "the cluster has no CRDs of Gateway API" in done.stderr, done.stdout + done.stderr
    wait_for(lambda: len(mesh.captured("shop")) == SERVERS + CLIENTS, 10, "all pods captured", every=0.2)
    assert mesh.exec("shop", client(mesh, "n1"), "curl", "-sf", "-m", "3", "-o", "/dev/null", f"http://{address(mesh)}/", check=False).returncode == 0
