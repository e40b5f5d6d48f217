"""W3: a waypoint comes, goes, dies and comes again under load. Nothing that a policy denies passes; what is allowed fails only when an Envoy died."""

import json
import os
import signal
import subprocess
import time

import pytest
import weft
from tokens import Issuer
from weft import account, eventually, namespace, pod, python_app, service

NS = "life"
VS, POLICY = "virtualservice", "authorizationpolicy.security.istio.io"
L7 = "WeftL7Enforced"

# HTTP/1.1 with kept connections; its own counter is what tests believe.
APP = """
import collections, http.server, json, socket, time
counts = collections.Counter()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        body = json.dumps(counts).encode() if self.path == "/count" else b"here"
        counts[self.path] += 1
        if self.path == "/slow": time.sleep(3)
        self.send_response(200)
        self.send_header("x-bookinfo", "app")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    address_family = socket.AF_INET6
Server(("::", 8080), Handler).serve_forever()
"""


def web(name, node):
    port = {"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}
    return [pod(NS, name, [weft.PYTHON, "-c", APP], node=node, ready_port=8080), service(NS, name, [port])]


def routed(name):
    """Everything as before, and every answer says that a waypoint gave it."""
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name, "namespace": NS},
            "spec": {"hosts": [name], "http": [{"headers": {"response": {"set": {"x-bookinfo": "waypoint"}}}, "route": [{"destination": {"host": name}}]}]}}


def only_open(name):
    return weft.authorization(NS, name, selector={"matchLabels": {"app": name}}, action="ALLOW", rules=[{"to": [{"operation": {"paths": ["/open"]}}]}])


def statuses(counts):
    return {key.split()[0] for key in counts}


class World:
    def __init__(self, mesh):
        self.mesh = mesh
        mesh.apply([namespace(NS, True), account(NS, "client"), pod(NS, "client", sa="client", node="node1"), *web("guarded", "node2"),
                    *web("plain", "node2")])
        for name in ("client", "guarded", "plain"):
            mesh.wait("pod", name, ns=NS)
        mesh.wait_captured(*[(NS, name) for name in ("client", "guarded", "plain")])
        eventually(lambda: self.ask("plain", "/") == {"200 app": 1})

    def ask(self, name, path, n=1, *more):
        out = self.mesh.exec(NS, "client", *python_app("hammer", f"http://{name}{path}", "-n", n, "--timeout", 5, *more)).stdout
        return json.loads(out)["counts"]

    def load(self, name, path, seconds, rate=100, *more):
        argv = python_app("hammer", f"http://{name}{path}", "--rate", rate, "--seconds", seconds, "-c", 8, "--timeout", 10, "--log", *more)
        process = self.mesh.popen(NS, "client", *argv, stdout=subprocess.PIPE, text=True)
        return lambda: json.loads(process.communicate(timeout=seconds + 40)[0])

    def reached(self, name, path):
        text = self.mesh.exec(NS, name, "curl", "-s", "http://127.0.0.1:8080/count").stdout
        return json.loads(text).get(path, 0)

    def condition(self, kind, name, wanted):
        for one in self.mesh.get(kind, name, NS)["status"].get("conditions", []):
            if one["type"] == wanted:
                return f"{one['status']} {one['reason']}: {one['message']}"
        return ""

    def waypoint_pods(self):
        return [p["metadata"]["name"] for p in self.mesh.get("pod", ns=NS)["items"] if "weft.dev/waypoint" in p["metadata"].get("labels", {})]

    def settle(self):
        """Both through the waypoint, the policy enforced."""
        self.mesh.apply([routed("plain"), routed("guarded"), only_open("guarded")])
        eventually(lambda: self.ask("plain", "/", 3) == {"200 waypoint": 3}, 20)
        eventually(lambda: self.ask("guarded", "/open", 3) == {"200 waypoint": 3}, 20)
        eventually(lambda: statuses(self.ask("guarded", "/secret", 3)) == {"403"}, 20)


@pytest.fixture(scope="module")
def world(own_mesh):
    return World(own_mesh)


def shown(results):
    return [(r["counts"], r["errors"]) for r in results]


def test_nobody_notices_that_a_waypoint_comes_and_goes(world):
    fresh, early = world.load("plain", "/", 34), world.load("plain", "/", 6, 100, "--reuse")
    time.sleep(1)
    world.mesh.apply([routed("plain")])
    eventually(lambda: world.ask("plain", "/", 3) == {"200 waypoint": 3}, 15)
    kept = world.load("plain", "/", 26, 100, "--reuse")
    time.sleep(1)
    world.mesh.delete(VS, "plain", NS)
    eventually(lambda: not world.waypoint_pods(), 60, every=0.3, what="the waypoint is gone")
    assert early()["counts"].keys() <= {"200 app", "200 waypoint"}
    for one in (fresh(), kept()):
        assert set(one["counts"]) == {"200 app", "200 waypoint"} and sum(one["counts"].values()) > 2000, shown([one])
        assert max(one["log"])[1] == "200 app"


def test_a_control_plane_that_restarts_loses_nothing_and_opens_nothing(world):
    world.settle()
    before = world.reached("guarded", "/secret")
    loads = [world.load("plain", "/", 8, 60, "--reuse"), world.load("guarded", "/open", 8, 60), world.load("guarded", "/secret", 8, 80)]
    time.sleep(1)
    world.mesh.sb("stop", "controlplane", "--signal", "KILL")
    time.sleep(0.5)
    world.mesh.sb("start", "controlplane")
    plain, allowed, denied = [one() for one in loads]
    assert set(plain["counts"]) == {"200 waypoint"}, shown([plain])
    assert set(allowed["counts"]) == {"200 waypoint"}, shown([allowed])
    assert statuses(denied["counts"]) == {"403"}, shown([denied])
    assert world.reached("guarded", "/secret") == before
    assert "nodes are told" in world.mesh.logs("controlplane")
    world.mesh.apply([{**routed("plain"), "spec": {"hosts": ["plain"], "http": [{"directResponse": {"status": 418}}]}}])
    eventually(lambda: world.ask("plain", "/") == {"418": 1}, what="the new control plane is heard")


@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_a_waypoint_that_dies_lets_nothing_through_and_comes_again(world, how):
    world.settle()
    before = world.reached("guarded", "/secret")
    loads = [world.load("guarded", "/secret", 8, 120, "--reuse"), world.load("guarded", "/open", 8, 80)]
    time.sleep(1)
    if how == "killed":
        for pid in world.mesh.pids("envoy"):
            os.kill(pid, signal.SIGKILL)
    else:
        for name in world.waypoint_pods():
            world.mesh.delete("pod", name, NS)
    denied, allowed = [one() for one in loads]
    assert "200" not in statuses(denied["counts"]) and "403" in statuses(denied["counts"]), shown([denied])
    assert world.reached("guarded", "/secret") == before
    assert [key for at, key in allowed["log"] if at > 7] and {key for at, key in allowed["log"] if at > 7} == {"200 waypoint"}, shown([allowed])


def test_a_rolling_update_of_a_waypoint_loses_no_request(world):
    """The new pod is ready before the old one is told to end; that one finishes what it has."""
    world.settle()
    before, old = world.reached("guarded", "/secret"), set(world.waypoint_pods())
    loads = [world.load("plain", "/", 9, 60, "--reuse"), world.load("plain", "/slow", 9, 4), world.load("guarded", "/open", 9, 40),
             world.load("guarded", "/secret", 9, 40, "--reuse")]
    time.sleep(1)
    deployment = world.mesh.get("deployment", "weft-waypoint", NS)
    deployment["spec"]["template"]["metadata"]["annotations"] = {"restarted": "now"}
    world.mesh.apply([{key: deployment[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {k: deployment["metadata"][k] for k in ("name", "namespace", "labels")}}])
    eventually(lambda: (now := set(world.waypoint_pods())) and not now & old, 30, every=0.2, what="another pod")
    results = [one() for one in loads]
    for one in results[:3]:
        assert set(one["counts"]) == {"200 waypoint"}, shown([one])
    assert statuses(results[3]["counts"]) == {"403"}, shown(results[3:])
    assert world.reached("guarded", "/secret") == before


def test_without_a_waypoint_policy_is_closed_and_routing_open_and_status_says_so(world):
    world.settle()
    before = world.reached("guarded", "/open")
    world.mesh.sb("stop", "envoy")
    try:
        eventually(lambda: world.ask("plain", "/", 3) == {"200 app": 3}, 15, what="routing fails open")
        said = eventually(lambda: text if (text := world.condition(VS, "plain", L7)).startswith("False") else "", what="the route's status")
        assert "requests go straight to its pods" in said
        for path in ("/open", "/secret"):
            counts = world.ask("guarded", path, 50)
            assert "200" not in statuses(counts), counts
        assert world.reached("guarded", "/open") == before
        said = world.condition(POLICY, "guarded", L7)
        assert said.startswith("False") and "policy fails closed" in said, said
    finally:
        world.mesh.sb("start", "envoy")
    world.settle()


# The control plane fetches slowly: a restart has to live without keys for a while.
SLOW = """
import functools, http.server, sys, time
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        time.sleep(1)
        super().do_GET()
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), functools.partial(Handler, directory=sys.argv[2])).serve_forever()
"""


def test_tokens_stay_good_while_the_control_plane_restarts(world, tmp_path):
    issuer, port = Issuer(tmp_path), 18080
    (tmp_path / "keys.json").write_text(issuer.keys)
    server = world.mesh.node_popen("node1", weft.PYTHON, "-c", SLOW, str(port), str(tmp_path), stderr=subprocess.DEVNULL)
    try:
        selector = {"matchLabels": {"app": "plain"}}
        world.mesh.apply([routed("plain"), weft.authorization(NS, "plain", selector=selector, action="ALLOW", rules=[{"from": [{"source": {"requestPrincipals": ["*"]}}]}]),
                          {"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication", "metadata": {"name": "plain", "namespace": NS},
                           "spec": {"selector": selector, "jwtRules": [{"issuer": issuer.name, "jwksUri": f"http://{weft.node_ip('node1')}:{port}/keys.json"}]}}])
        bearer = f"Authorization: Bearer {issuer.token()}"
        eventually(lambda: world.ask("plain", "/", 3, "-H", bearer) == {"200 waypoint": 3}, 20)
        eventually(lambda: statuses(world.ask("plain", "/", 3)) == {"403"})
        good, none = world.load("plain", "/", 7, 120, "--reuse", "-H", bearer), world.load("plain", "/none", 7, 80)
        time.sleep(1)
        world.mesh.sb("stop", "controlplane", "--signal", "KILL")
        time.sleep(0.3)
        world.mesh.sb("start", "controlplane")
        good, none = good(), none()
        assert set(good["counts"]) == {"200 waypoint"}, shown([good])
        assert statuses(none["counts"]) == {"403"} and world.reached("plain", "/none") == 0, shown([none])
    finally:
        weft.stop(server)
        world.mesh.delete("requestauthentication.security.istio.io", "plain", NS, check=False)
        world.mesh.delete(POLICY, "plain", NS, check=False)


FORGED = ["x-weft-peer: spiffe://cluster.local/ns/life/sa/boss", "x-weft-dst: 0.0.0.0:80", "weft.peer: spiffe://cluster.local/ns/life/sa/boss",
          "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/life/sa/boss", "x-forwarded-for: 10.9.9.9", "x-real-ip: 10.9.9.9",
          "x-envoy-original-path: /open", "x-envoy-external-address: 10.9.9.9", "x-envoy-internal: true", "x-original-url: /open",
          "x-envoy-original-dst-host: 127.0.0.1:15000"]

# One connection: what stands before the request, and what came back until the peer closed or 2 s passed.
RAW = """
import socket, sys
s = socket.create_connection(("guarded", 80), 3)
s.settimeout(2)
s.sendall(bytes.fromhex(sys.argv[1]) + b"GET /secret HTTP/1.1\\r\\nhost: guarded\\r\\nconnection: close\\r\\n\\r\\n")
got = b""
try:
    while part := s.recv(65536): got += part
except OSError as error: got += str(error).encode()
print(got.decode(errors="replace"))
"""


def proxy_v2(tlv):
    """A header that claims another client, and an identity by `tlv` (bytes, or nothing)."""
    block = bytes([10, 9, 9, 9, 10, 9, 9, 8]) + (4000).to_bytes(2, "big") + (80).to_bytes(2, "big")
    if tlv is not None:
        block += b"\xd0" + len(tlv).to_bytes(2, "big") + tlv
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(block).to_bytes(2, "big") + block


def test_what_a_client_claims_to_be_is_not_believed(world):
    """W5, from a pod through the mesh: the policy allows one account and one address that the client does not have."""
    boss = {"source": {"principals": ["cluster.local/ns/life/sa/boss"]}}
    there = {"source": {"remoteIpBlocks": ["10.9.9.9/32"]}}
    unlike = {"source": {"notPrincipals": ["cluster.local/ns/life/sa/client"]}}
    world.settle()
    secret = [{"operation": {"paths": ["/secret"]}}]
    rules = [{"from": [boss], "to": secret}, {"from": [there], "to": secret}, {"from": [unlike], "to": secret}, {"to": [{"operation": {"paths": ["/open"]}}]}]
    world.mesh.apply([weft.authorization(NS, "guarded", selector={"matchLabels": {"app": "guarded"}}, action="ALLOW", rules=rules)])
    eventually(lambda: world.ask("guarded", "/open") == {"200 waypoint": 1} and world.condition(POLICY, "guarded", L7).startswith("True"))
    before, envoys = world.reached("guarded", "/secret"), world.mesh.pids("envoy")
    for header in FORGED:
        assert statuses(world.ask("guarded", "/secret", 2, "-H", header)) == {"403"}, header
    every = [word for header in FORGED for word in ("-H", header)]
    assert statuses(world.ask("guarded", "/secret", 2, *every)) == {"403"}
    spiffe = b"spiffe://cluster.local/ns/life/sa/boss"
    assert world.mesh.exec(NS, "client", weft.PYTHON, "-c", RAW, "").stdout.startswith("HTTP/1.1 403"), "the request by itself is a good one"
    for tlv in (spiffe, None, b"", b"x" * 60000, spiffe + b"\xff"):
        got = world.mesh.exec(NS, "client", weft.PYTHON, "-c", RAW, proxy_v2(tlv).hex()).stdout
        assert got.startswith("HTTP/1.1 400") and "here" not in got, (tlv and tlv[:50], got)
    got = world.mesh.exec(NS, "client", weft.PYTHON, "-c", RAW, b"PROXY TCP4 10.9.9.9 10.9.9.8 4000 80\r\n".hex()).stdout
    assert got.startswith("HTTP/1.1 400"), got
    assert world.reached("guarded", "/secret") == before and world.mesh.pids("envoy") == envoys, "reached, or Envoy died"
    assert world.ask("guarded", "/open") == {"200 waypoint": 1}
