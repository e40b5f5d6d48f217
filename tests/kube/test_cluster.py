"""Weft on a real cluster: two nodes with kubelet, containerd, a CNI and kube-proxy. WEFT_KUBE_BIN names the directory with the binaries."""

import concurrent.futures
import json
import os
import re
import subprocess
import time

import pytest

from mesh import Mesh, deployment, toolbox, wait_for

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
              pytest.mark.skipif(not os.path.exists(os.environ.get("WEFT_KUBE_BIN", "") + "/kubelet"), reason="needs WEFT_KUBE_BIN with a kubelet")]

SOAK = os.environ.get("WEFT_SOAK") == "1"
PODS = 20
WEB = "echo $(hostname) > /tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp"
SERVICE_PORT = 80


@pytest.fixture(scope="module")
def mesh():
    Mesh.sweep(os.environ["WEFT_KUBE_BIN"])
    world = Mesh(os.environ["WEFT_KUBE_BIN"], f"test{os.getpid()}")
    try:
        world.up()
        yield world
    finally:
        world.down()


@pytest.fixture(scope="module")
def shop(mesh):
    """A namespace outside the mesh with 20 running pods on both nodes: 18 servers, 2 clients."""
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    mesh.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
               deployment("shop", "web", PODS - 2, toolbox("web", WEB, readinessProbe=probe, livenessProbe=probe)),
               deployment("shop", "client", 2, toolbox("client", "exec sleep 100000")),
               {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": 8080}]}})
    return mesh.pods_ready("shop", PODS, within=90)


def web_address(mesh):
    return mesh.kubectl("-n", "shop", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").stdout


def ask(mesh, client, times, address):
    """What each of `times` requests was answered with: a pod's name, or curl's exit code."""
    script = f"for i in $(seq {times}); do curl -s -m 3 http://{address}:{SERVICE_PORT}/ || echo failed $?; done"
    return mesh.exec("shop", client, "sh", "-c", script, timeout=90).stdout.split("\n")[:times]


class Underlay:
    """Ports and payload of the packets between two nodes' pods, seen on n1's interface."""

    def __init__(self, mesh, word):
        self.machine, self.word = mesh.cluster.nodes[0].machine, word
        self.file = f"{self.machine.dir}/underlay.pcap"

    def __enter__(self):
        self.capture = subprocess.Popen(["nsenter", "-t", str(self.machine.pid()), "-n", "--", "tcpdump", "-i", "eth0", "--immediate-mode", "-U", "-w", self.file,
                                         "tcp", "and", "net", "10.244.0.0/24", "and", "net", "10.244.1.0/24"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert b"listening" in self.capture.stderr.readline()
        return self

    def __exit__(self, *_):
        time.sleep(0.5)  # the last packets are on their way to the file
        self.capture.terminate()
        self.capture.wait(10)

    def ports(self):
        """Port numbers below the ephemeral ones, of packets that carry bytes."""
        text = subprocess.run(["tcpdump", "-nn", "-r", self.file, "tcp[((tcp[12:1] & 0xf0) >> 2):1] != 0 or greater 80"], capture_output=True, text=True,
                              check=True).stdout
        return {int(port) for port in re.findall(r"10\.244\.\d+\.\d+\.(\d+)", text) if int(port) < 32768}

    def payloads(self):
        with open(self.file, "rb") as file:
            return file.read().count(self.word)


def client_on(pods, node):
    return next(pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["app"] == "client" and pod["spec"]["nodeName"] == node)


def restarts(mesh):
    return {pod["metadata"]["name"]: sum(c["restartCount"] for c in pod["status"]["containerStatuses"]) for pod in mesh.pods("shop")}


def test_weft_starts_on_every_node_with_no_more_than_it_needs(mesh):
    for node in mesh.cluster.nodes:
        pod = next(p for p in mesh.pods("weft-system", "app.kubernetes.io/name=weft-node") if p["spec"]["nodeName"] == node.name)
        assert all(status["ready"] and status["restartCount"] == 0 for status in pod["status"]["containerStatuses"])
        held = {}
        for line in node.machine.run("sh", "-c", "grep -H . /proc/[0-9]*/status 2>/dev/null", check=False).stdout.splitlines():
            path, key, value = (line.split(":", 2) + [""])[:3]
            held.setdefault(path, {})[key] = value.strip()
        of = {facts["Name"]: facts for facts in held.values() if facts.get("Name") in ("weft-agent", "weft-ztunnel")}
        assert int(of["weft-agent"]["CapEff"], 16) == 1 << 39 | 1 << 21 | 1 << 12  # BPF, SYS_ADMIN, NET_ADMIN
        assert int(of["weft-ztunnel"]["CapEff"], 16) == 0 and of["weft-ztunnel"]["Uid"].split()[0] == "1337"
        assert of["weft-ztunnel"]["NoNewPrivs"] == "1" and of["weft-ztunnel"]["Seccomp"] == "2"


def test_k2_a_label_captures_twenty_running_pods_and_the_underlay_shows_only_15008(mesh, shop):
    before, address, client = restarts(mesh), web_address(mesh), client_on(shop, "n1")
    with Underlay(mesh, b"web-") as plain:
        assert not [answer for answer in ask(mesh, client, 30, address) if not answer.startswith("web-")]
    assert 8080 in plain.ports() and plain.payloads() > 0  # the capture would see it

    mesh.kubectl("label", "namespace", "shop", "weft.dev/mesh=enabled")
    began = time.monotonic()
    wait_for(lambda: len(mesh.captured("shop")) == PODS, 10, "all pods captured", every=0.1)
    assert time.monotonic() - began <= 5
    with Underlay(mesh, b"web-") as meshed:
        answers = ask(mesh, client, 60, address)
    assert not [answer for answer in answers if not answer.startswith("web-")]
    assert len(set(answers)) > 5  # many pods answered, of both nodes
    assert meshed.ports() == {15008} and meshed.payloads() == 0
    assert restarts(mesh) == before  # nor does kubelet's liveness probe fail
    total = sum(int(float(value)) for node in mesh.cluster.nodes
                for value in re.findall(r'istio_tcp_connections_opened_total\{[^}]*reporter="source"[^}]*\} (\S+)', mesh.metrics(node, 15020)))
    assert total >= len(answers)


def test_strict_refuses_plaintext_and_probes_go_on(mesh, shop):
    mesh.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "outside"}}, deployment("outside", "client", 2, toolbox("client", "exec sleep 100000")))
    stranger = mesh.pods_ready("outside", 2)[0]["metadata"]["name"]
    ip = next(pod["status"]["podIP"] for pod in shop if pod["metadata"]["labels"]["app"] == "web")
    curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "3", f"http://{ip}:8080/"]
    assert mesh.exec("outside", stranger, *curl, check=False).stdout == "200"
    mesh.apply({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default", "namespace": "shop"},
                "spec": {"mtls": {"mode": "STRICT"}}})
    try:
        wait_for(lambda: mesh.exec("outside", stranger, *curl, check=False).stdout == "000", 10, "plaintext to be refused", every=0.5)
        assert not [answer for answer in ask(mesh, client_on(shop, "n2"), 20, web_address(mesh)) if not answer.startswith("web-")]
        time.sleep(3)  # three rounds of every probe
        assert len(mesh.pods_ready("shop", PODS, within=1)) == PODS
    finally:
        mesh.kubectl("-n", "shop", "delete", "peerauthentication", "default")


ONLY_GET = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "get-only", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "action": "ALLOW", "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}}
MOVED = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web", "namespace": "shop"},
         "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": SERVICE_PORT}],
                  "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/old"}}],
                             "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302, "path": {"type": "ReplaceFullPath",
                                                                                                                   "replaceFullPath": "/"}}}]},
                            {"backendRefs": [{"name": "web", "port": SERVICE_PORT}]}]}}


def test_k12_a_route_and_a_policy_make_a_waypoint_and_their_end_removes_it(mesh, shop):
    address, client = web_address(mesh), client_on(shop, "n1")
    status = lambda method, path: mesh.exec("shop", client, "curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "-X", method,
                                            f"http://{address}:{SERVICE_PORT}{path}", check=False).stdout
    waypoints = lambda: mesh.kubectl("-n", "shop", "get", "deployments", "-l", "app.kubernetes.io/managed-by=weft-controlplane", "-o", "name").stdout.split()
    told = lambda kind, name, path: mesh.kubectl("-n", "shop", "get", kind, name, "-o", f"jsonpath={path}").stdout
    mesh.apply(ONLY_GET, MOVED)
    wait_for(lambda: status("GET", "/") == "200" and status("POST", "/") == "403" and status("GET", "/old") == "302", 60, "the waypoint", every=0.5)
    assert waypoints() == ["deployment.apps/weft-waypoint"]
    enforced = "{.status.conditions[?(@.type=='WeftL7Enforced')].status}"
    wait_for(lambda: told("authorizationpolicy", "get-only", enforced) == "True", 10, "the policy's condition", every=0.3)
    wait_for(lambda: told("httproute", "web", "{.status.parents[0].conditions[?(@.type=='Accepted')].status}") == "True", 10, "the route's condition", every=0.3)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, mesh, client, 400, address)
        mesh.kubectl("-n", "shop", "delete", "authorizationpolicy/get-only", "httproute/web")
        wait_for(lambda: not waypoints(), 60, "the waypoint to go", every=0.5)
        assert not [answer for answer in asked.result() if not answer.startswith("web-")]


def test_the_control_plane_starts_again_as_the_same_authority(mesh, shop):
    root = lambda: mesh.kubectl("-n", "weft-system", "get", "configmap", "weft-ca-root-cert", "-o", "jsonpath={.data.root-cert\\.pem}").stdout
    before = root()
    assert before.count("BEGIN CERTIFICATE") == 1
    mesh.kubectl("-n", "weft-system", "delete", "pod", "-l", "app.kubernetes.io/name=weft-controlplane")
    mesh.kubectl("-n", "weft-system", "rollout", "status", "deployment/weft-controlplane", "--timeout=60s", timeout=70)
    assert root() == before
    mesh.apply(deployment("shop", "late", 2, toolbox("late", f"curl -s -m 5 http://{web_address(mesh)}/ > /tmp/first; exec sleep 100000")))
    try:  # new certificates, of the same root
        late = [pod["metadata"]["name"] for pod in mesh.pods_ready("shop", PODS + 2) if pod["metadata"]["labels"]["app"] == "late"]
        for name in late:
            assert wait_for(lambda: mesh.exec("shop", name, "cat", "/tmp/first", check=False).stdout, 10, "its answer").startswith("web-")
    finally:
        mesh.kubectl("-n", "shop", "delete", "deployment", "late")
        wait_for(lambda: len(mesh.pods("shop")) == PODS, 60, "the pods to be gone", every=0.3)


ROLL_RATE, ROLL_S, GRACE_S = 500, 40, 30


@pytest.fixture
def roll(mesh):
    """Two servers and two clients of weft-bench in the mesh, one of each on each node: the clients' names, the service's address."""
    mesh.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "roll", "labels": {"weft.dev/mesh": "enabled"}}},
               deployment("roll", "server", 2, toolbox("server", "exec weft-bench serve --listen 0.0.0.0:9000", readinessProbe={"tcpSocket": {"port": 9000}})),
               deployment("roll", "client", 2, toolbox("client", "exec sleep 100000")),
               {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": "roll"},
                "spec": {"selector": {"app": "server"}, "ports": [{"name": "tcp", "port": 9000}]}})
    clients = [pod["metadata"]["name"] for pod in mesh.pods_ready("roll", 4) if pod["metadata"]["labels"]["app"] == "client"]
    wait_for(lambda: len(mesh.captured("roll")) == 4, 10, "the pods captured")
    yield clients, mesh.kubectl("-n", "roll", "get", "service", "server", "-o", "jsonpath={.spec.clusterIP}").stdout + ":9000"
    mesh.kubectl("-n", "roll", "delete", "deployment", "--all")
    mesh.kubectl("-n", "roll", "delete", "pods", "--all", "--grace-period=1", "--timeout=60s", timeout=70)
    mesh.kubectl("delete", "namespace", "roll", "--timeout=60s", timeout=70)


def test_k4_a_rolling_upgrade_fails_no_connection(mesh, roll):
    """500 new connections a second across both nodes while every node's pod is replaced, and some that are open from before."""
    clients, address = roll
    nodes = lambda: {p["metadata"]["uid"] for p in mesh.pods("weft-system", "app.kubernetes.io/name=weft-node") if not p["metadata"].get("deletionTimestamp")}

    def bench(client, mode, seconds, *words):
        words = ["weft-bench", mode, "--to", address, "--warm-up", "0", "--seconds", str(seconds), *map(str, words)]
        return json.loads(mesh.exec("roll", client, *words, timeout=seconds + 30).stdout)

    for _ in range(5 if SOAK else 1):
        before = nodes()
        with Underlay(mesh, b"CCCC") as underlay, concurrent.futures.ThreadPoolExecutor(8) as pool:
            connects = [pool.submit(bench, client, "connect", ROLL_S, "--rate", ROLL_RATE // 2, "--concurrency", 50) for client in clients]
            longs = [pool.submit(bench, client, "latency", GRACE_S - 2, "--rate", 20, "--connections", 4) for client in clients]
            time.sleep(2)
            mesh.kubectl("-n", "weft-system", "rollout", "restart", "daemonset/weft-node")
            mesh.kubectl("-n", "weft-system", "rollout", "status", "daemonset/weft-node", "--timeout=100s", timeout=110)
            rolled = [future.running() for future in connects]
            connects, longs = [future.result() for future in connects], [future.result() for future in longs]
        assert len(nodes()) == 2 and not nodes() & before
        assert all(rolled)  # the load outlasted the upgrade
        for out in connects:
            assert out["errors"] == 0 and out["per_s"] >= 0.9 * ROLL_RATE / 2 and out["max_us"] < 1e6, out
        for out in longs:
            assert out["errors"] == 0, out
        assert underlay.ports() == {15008}
        wait_for(lambda: len(mesh.pods("weft-system", "app.kubernetes.io/name=weft-node")) == 2, GRACE_S + 15, "the pods of before to be gone", every=0.5)


def test_k3_pods_come_and_go_and_none_is_ever_outside(mesh, shop):
    """Each new pod connects in its first instruction. What the peer sees must be the mesh: 0 packets of it to 8080 on the underlay."""
    address = web_address(mesh)
    first = f"curl -s -m 5 http://{address}:{SERVICE_PORT}/ > /tmp/first || echo failed $? > /tmp/first; exec sleep 100000"
    nodes = mesh.cluster.nodes
    namespaces = lambda: [len(node.machine.run("ls", "/run/netns").stdout.split()) for node in nodes]
    before = namespaces()
    count = 40 if SOAK else 20
    for _ in range(10 if SOAK else 2):
        with Underlay(mesh, b"web-") as underlay:
            mesh.apply(deployment("shop", "brief", count, toolbox("brief", first)))
            born = [pod for pod in mesh.pods_ready("shop", PODS + count, within=120) if pod["metadata"]["labels"]["app"] == "brief"]
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                read = lambda pod: wait_for(lambda: mesh.exec("shop", pod["metadata"]["name"], "cat", "/tmp/first", check=False).stdout.strip(), 10, "its answer")
                answers = list(pool.map(read, born))
            mesh.kubectl("-n", "shop", "delete", "deployment", "brief")
            wait_for(lambda: len(mesh.pods("shop")) == PODS, 60, "the pods to be gone", every=0.3)
        assert not [answer for answer in answers if not answer.startswith("web-")]
        assert underlay.ports() == {15008} and underlay.payloads() == 0
    wait_for(lambda: namespaces() == before, 20, "network namespaces of gone pods")
    wait_for(lambda: len(mesh.captured("shop")) == PODS, 10, "the agents to forget them")


def test_k5_a_reboot_with_a_late_agent_lets_nothing_out(mesh, shop):
    """n2 loses power. Its kubelet starts the pods again, the agent comes later: they wait for it."""
    node = mesh.cluster.nodes[1]
    mesh.kubectl("label", "node", "n1", "weft.test/agent=here")
    mesh.kubectl("-n", "weft-system", "patch", "daemonset", "weft-node", "-p",
                 '{"spec":{"template":{"spec":{"nodeSelector":{"weft.test/agent":"here"}}},"updateStrategy":{"type":"OnDelete"}}}')
    agent_on = lambda name: [p for p in mesh.pods("weft-system", "app.kubernetes.io/name=weft-node") if p["spec"]["nodeName"] == name]
    try:
        for late in [number * 15 / 19 for number in range(20)] if SOAK else [8]:
            mesh.kubectl("label", "node", "n2", "weft.test/agent-")
            wait_for(lambda: not agent_on("n2"), 60, "the agent to leave n2", every=0.3)
            node.power_off()
            with Underlay(mesh, b"web-") as underlay:
                node.start()
                mesh.cluster.wait_ready()
                time.sleep(late)
                asleep = [pod["metadata"]["name"] for pod in mesh.pods("shop") if pod["spec"]["nodeName"] == "n2"
                          and not pod["status"]["containerStatuses"][0]["state"].get("running")]
                assert asleep or late < 6  # they wait for an agent
                mesh.kubectl("label", "node", "n2", "weft.test/agent=here")
                mesh.pods_ready("shop", PODS, within=90)
                assert not [answer for answer in ask(mesh, client_on(mesh.pods("shop"), "n2"), 20, web_address(mesh)) if not answer.startswith("web-")]
            assert underlay.ports() <= {15008} and underlay.payloads() == 0
    finally:
        mesh.kubectl("label", "node", "n1", "n2", "weft.test/agent=here", "--overwrite")


def test_k2_without_the_label_traffic_is_plain_again(mesh, shop):
    mesh.kubectl("label", "namespace", "shop", "weft.dev/mesh-")
    wait_for(lambda: not mesh.captured("shop"), 10, "all pods released", every=0.1)
    with Underlay(mesh, b"web-") as plain:
        assert not [answer for answer in ask(mesh, client_on(mesh.pods("shop"), "n1"), 30, web_address(mesh)) if not answer.startswith("web-")]
    assert 8080 in plain.ports() and 15008 not in plain.ports()
