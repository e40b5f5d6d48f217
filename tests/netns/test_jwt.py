"""W7 through the whole path: tokens at a waypoint, keys inline and from a key server in the mesh's network; a key set that is not to be had
closes its own service alone and is named in status. The rows of what a good token is are in tests/unit/controlplane/envoy/tokens_test.cc."""

import json
import os

import pytest
import weft
from tokens import Issuer
from weft import account, eventually, namespace, pod, python_app, service

NS, KEYS_NS = f"jwt{os.getpid()}", f"keys{os.getpid()}"
RA, POLICY = "requestauthentication.security.istio.io", "authorizationpolicy.security.istio.io"

APP = """
import http.server, json, socket
counts = {}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        host = self.headers["host"].split(".")[0]
        body = json.dumps(counts).encode() if self.path == "/count" else b"here"
        counts[host] = counts.get(host, 0) + 1
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 8080), Handler).serve_forever()
"""

# /good and, once the file is there, /late give the keys; the others what key servers should not give.
KEYS = """
import http.server, os, socket, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        good = sys.argv[1].encode()
        if self.path == "/hang": time.sleep(60)
        late = self.path == "/late" and not os.path.exists(sys.argv[2])
        self.send_response(503 if late else 200)
        self.end_headers()
        self.wfile.write({"/garbage": b"<html>no keys here</html>", "/huge": b"x" * (8 << 20)}.get(self.path, good))
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 8000), Handler).serve_forever()
"""

# Service → why its key set is not to be had, as status says it.
BROKEN = {"garbage": "no JSON object", "huge": "more than 1 MiB", "hang": "Timeout", "down": "connect", "late": "status 503", "spoiled": "no key that can be used"}


class World:
    def __init__(self, mesh, directory):
        self.mesh, self.issuer, self.opened = mesh, Issuer(directory), f"{directory}/opened"
        port = {"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}
        names = ["inline", "remote", *BROKEN]
        mesh.apply([namespace(NS, True), namespace(KEYS_NS), account(NS, "client"), pod(NS, "client", sa="client", node="node1"),
                    pod(KEYS_NS, "keys", [weft.PYTHON, "-c", KEYS, self.issuer.keys, self.opened], node="node2", ready_port=8000),
                    pod(NS, "app", [weft.PYTHON, "-c", APP], node="node2", ready_port=8080),
                    *[service(NS, name, [port], {"app": "app"}) for name in names]])
        for ns, name in ((NS, "client"), (NS, "app"), (KEYS_NS, "keys")):
            mesh.wait("pod", name, ns=ns)
        mesh.wait_captured((NS, "client"), (NS, "app"))
        server = f"http://{mesh.pod_ips(KEYS_NS, 'keys')[0]}"
        where = {name: {"jwksUri": f"{server}:8000/{name}"} for name in names}
        where |= {"inline": {"jwks": self.issuer.keys}, "spoiled": {"jwks": '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}'},
                  "remote": {"jwksUri": f"{server}:8000/good"}, "down": {"jwksUri": f"{server}:8001/"}}
        for name in names:
            target = {"targetRefs": [{"group": "", "kind": "Service", "name": name}]}
            mesh.apply([{"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication", "metadata": {"name": name, "namespace": NS},
                         "spec": {**target, "jwtRules": [{"issuer": self.issuer.name, **where[name]}]}},
                        weft.authorization(NS, name, **target, action="ALLOW", rules=[{"from": [{"source": {"requestPrincipals": ["*"]}}]}])])

    def ask(self, name, *headers, n=1):
        words = [word for header in headers for word in ("-H", header)]
        return json.loads(self.mesh.exec(NS, "client", *python_app("hammer", f"http://{name}/", "-n", n, "--timeout", 5, *words)).stdout)["counts"]

    def bearer(self, **claims):
        return f"Authorization: Bearer {self.issuer.token(**claims)}"

    def reached(self):
        text = self.mesh.exec(NS, "app", "curl", "-s", "-H", "host: count", "http://127.0.0.1:8080/count").stdout
        return {name: n for name, n in json.loads(text).items() if name != "count"}

    def resolved(self, name):
        for one in self.mesh.get(RA, name, NS)["status"].get("conditions", []):
            if one["type"] == "JwksResolved":
                return f"{one['status']} {one['reason']}: {one['message']}"
        return ""


@pytest.fixture(scope="module")
def world(mesh, tmp_path_factory):
    try:
        yield World(mesh, tmp_path_factory.mktemp("jwt"))
    finally:
        for name in (NS, KEYS_NS):
            mesh.delete("namespace", name, check=False, wait=False)


@pytest.mark.parametrize("name", ["inline", "remote"])
def test_a_token_opens_what_asks_for_one(world, name):
    good = world.bearer()
    eventually(lambda: set(world.ask(name, good)) == {"200"}, 30, 0.2, "the token is good")
    eventually(lambda: set(world.ask(name)) == {"403"}, what="no token, no answer")
    before = world.reached().get(name, 0)
    assert world.ask(name, good, n=5) == {"200": 5}
    assert world.ask(name, n=3) == {"403": 3}
    assert world.ask(name, world.bearer(exp=1), n=3) == {"401": 3}, "expired"
    assert world.ask(name, world.bearer(nbf=4000000000)) == {"401": 1}, "not yet valid"
    assert world.ask(name, world.bearer(iss="https://other.example")) == {"401": 1}
    head, body, signature = world.issuer.token().split(".")
    assert world.ask(name, f"Authorization: Bearer {head}.{body}.{signature[::-1]}") == {"401": 1}
    assert world.reached()[name] == before + 5
    assert world.resolved(name) == ""


def test_a_key_set_that_is_not_to_be_had_closes_its_service_alone(world):
    good = world.bearer()
    for name, why in BROKEN.items():
        eventually(lambda n=name, w=why: w in world.resolved(n) and world.resolved(n).startswith("False NoKeys"), 20, 0.2, f"{name}: {why}")
        eventually(lambda n=name: set(world.ask(n)) == {"403"}, 20, 0.2, f"{name} is served by the waypoint")
        assert world.ask(name, good, n=2) == {"401": 2}, name
        assert world.ask(name, n=2) == {"403": 2}, name
    assert not set(world.reached()) & set(BROKEN)
    for name in ("inline", "remote"):
        assert world.ask(name, good, n=3) == {"200": 3}, f"{name} has its keys"
    # Its server gives them now: the service opens by itself.
    open(world.opened, "w").close()
    eventually(lambda: world.ask("late", good) == {"200": 1}, 15, 0.2, "late has its keys")
    assert world.ask("late") == {"403": 1}
    eventually(lambda: world.resolved("late") == "", what="status says no more of it")
    assert good.split()[-1] not in world.mesh.logs("controlplane"), "a token in the log"


def test_routes_follow_a_verified_claim(world):
    tier = {"headers": {"@request.auth.claims.tier": {"exact": "gold"}}}
    to = [{"destination": {"host": "inline"}}]
    world.mesh.apply([{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "inline", "namespace": NS},
                       "spec": {"hosts": ["inline"], "http": [{"match": [tier], "route": to, "headers": {"response": {"set": {"x-bookinfo": "gold"}}}}, {"route": to}]}}])
    gold = world.bearer(tier="gold")
    eventually(lambda: world.ask("inline", gold) == {"200 gold": 1}, what="the claim's route")
    assert world.ask("inline", world.bearer(tier="silver")) == {"200": 1}
    assert world.ask("inline", world.bearer()) == {"200": 1}
    head, body, signature = gold.split()[-1].split(".")
    assert world.ask("inline", f"Authorization: Bearer {head}.{body}.{signature[::-1]}") == {"401": 1}
