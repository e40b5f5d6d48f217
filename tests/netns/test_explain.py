"""`weftctl explain` says what the data plane does: each row is asked of both, and both must say what the row says."""

import base64
import json

import pytest
import weft
from weft import account, authorization, eventually, namespace, peer_authentication, pod, service

NS, FAR, STREET = "why", "why-far", "why-street"

# Who answered, and what came to it.
APP = """
import http.server, json, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def answer(self):
        body = json.dumps({"app": sys.argv[1], "path": self.path, "host": self.headers["host"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_PUT = do_DELETE = answer
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    address_family = socket.AF_INET6
Server(("::", 8080), Handler).serve_forever()
"""

# Every row of one client at once, each on a connection of its own that nobody asks to close.
CLIENT = """
import base64, http.client, json, sys, threading
out = {}
def ask(key, host, port, method, path, headers):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        got = json.loads(body) if answer.status == 200 and body.startswith("{") else {}
        out[key] = {"status": answer.status, "location": answer.getheader("location"), **got}
    except (OSError, http.client.HTTPException) as error:
        out[key] = {"status": "closed", "error": repr(error)}
threads = [threading.Thread(target=ask, args=row) for row in json.loads(base64.b64decode(sys.argv[1]))]
for one in threads: one.start()
for one in threads: one.join()
print(json.dumps(out))
"""


def app(name, ns=NS, node="node2", **meta):
    """A pod and its Service; labels and annotations are the Service's."""
    port = {"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}
    made = service(ns, name, [port])
    for key, value in meta.items():
        made["metadata"].setdefault(key, {}).update(value)
    return [server(name, ns, node), made]


def server(name, ns=NS, node="node2", labels=None):
    return pod(ns, name, [weft.PYTHON, "-c", APP, name], node=node, labels=labels, ready_port=8080)


def virtual_service(name, http):
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name, "namespace": NS}, "spec": {"hosts": [name], "http": http}}


def only(name):
    return {"selector": {"matchLabels": {"app": name}}}


def jwks():
    number = base64.urlsafe_b64encode(bytes(range(1, 256)) + b"\x01").rstrip(b"=").decode()
    return json.dumps({"keys": [{"kty": "RSA", "kid": "k", "n": number, "e": "AQAB"}]})


ROUTES = [
    {"name": "header", "match": [{"headers": {"x-version": {"exact": "2"}}}], "route": [{"destination": {"host": "routed", "subset": "v2"}}]},
    {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 302}},
    {"match": [{"uri": {"exact": "/tea"}}], "directResponse": {"status": 418}},
    {"match": [{"uri": {"prefix": "/api/"}}], "rewrite": {"uri": "/"}, "route": [{"destination": {"host": "routed", "subset": "v1"}}]},
    {"match": [{"uri": {"exact": "/fault"}}], "fault": {"abort": {"httpStatus": 555, "percentage": {"value": 100}}}, "route": [{"destination": {"host": "routed"}}]},
    {"match": [{"uri": {"exact": "/gone"}}], "route": [{"destination": {"host": "nobody-there"}}]},
    {"match": [{"uri": {"exact": "/none"}}], "route": [{"destination": {"host": "routed", "subset": "v3"}}]},
    {"match": [{"uri": {"exact": "/both"}}], "route": [{"destination": {"host": "routed", "subset": "v1"}, "weight": 50}, {"destination": {"host": "routed", "subset": "v2"}, "weight": 50}]},
    {"match": [{"uri": {"exact": "/other"}}], "route": [{"destination": {"host": "guarded"}}]},
    {"match": [{"uri": {"exact": "/post"}, "method": {"exact": "POST"}}], "route": [{"destination": {"host": "routed", "subset": "v2"}}]},
    {"match": [{"uri": {"exact": "/"}}], "route": [{"destination": {"host": "routed", "subset": "v1"}}]},
]

OBJECTS = [
    namespace(NS, True), namespace(FAR, True), namespace(STREET),
    *[account(ns, name) for ns, name in ((NS, "web"), (NS, "other"), (FAR, "eve"), (STREET, "plain"))],
    pod(NS, "web", sa="web", node="node1"), pod(NS, "other", sa="other", node="node2"), pod(FAR, "eve", sa="eve", node="node1"), pod(STREET, "plain", sa="plain", node="node1"),
    *app("free"), *app("guarded"), *app("l4"), *app("notfar", node="node1"), *app("strict"), *app("tokens"), *app("outside", STREET),
    *app("optout", annotations={"weft.dev/l7": "disabled"}), *app("orphan", labels={"istio.io/use-waypoint": "nobody"}),
    *app("lost", labels={"istio.io/use-waypoint": "nobody"}),
    service(NS, "empty", [{"name": "http", "port": 80, "targetPort": 8080}]),
    server("routed-1", labels={"app": "routed", "version": "v1"}), server("routed-2", node="node1", labels={"app": "routed", "version": "v2"}),
    service(NS, "routed", [{"name": "http", "port": 80, "targetPort": 8080}]),
]

RULES = [
    authorization(NS, "guarded", action="ALLOW", **only("guarded"), rules=[
        {"to": [{"operation": {"methods": ["GET"], "paths": ["/open", "/open/*"]}}]},
        {"from": [{"source": {"principals": [f"cluster.local/ns/{NS}/sa/web"]}}], "when": [{"key": "request.headers[x-pass]", "values": ["yes"]}]}]),
    authorization(NS, "guarded-no", action="DENY", **only("guarded"), rules=[{"to": [{"operation": {"paths": ["/open/secret"]}}]}]),
    authorization(NS, "l4", action="ALLOW", **only("l4"), rules=[{"from": [{"source": {"principals": [f"cluster.local/ns/{NS}/sa/web"]}}]}]),
    authorization(NS, "notfar", action="DENY", **only("notfar"), rules=[{"from": [{"source": {"namespaces": [FAR]}}]}]),
    authorization(NS, "optout", action="DENY", **only("optout"), rules=[{"to": [{"operation": {"paths": ["/x"]}}]}]),
    authorization(NS, "orphan", action="ALLOW", **only("orphan"), rules=[{"to": [{"operation": {"methods": ["GET"]}}]}]),
    peer_authentication(NS, "strict", mtls={"mode": "STRICT"}, **only("strict")),
    {"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication", "metadata": {"name": "tokens", "namespace": NS},
     "spec": {**only("tokens"), "jwtRules": [{"issuer": "https://issuer", "jwks": jwks()}]}},
    {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "routed", "namespace": NS},
     "spec": {"host": "routed", "subsets": [{"name": v, "labels": {"version": v}} for v in ("v1", "v2", "v3")]}},
    virtual_service("routed", ROUTES), virtual_service("lost", [{"directResponse": {"status": 418}}]),
]

# client, destination, request; what becomes of it ("STATUS [APP|LOCATION]" or closed); a word of the explanation.
ROWS = {
    "no policy": ("web", "free", "GET /", "200 free", "no policy applies"),
    "no policy, from afar": ("eve", "free.why", "GET /x?y=1", "200 free", "HBONE"),
    "no policy, plain": ("plain", "free.why", "GET /", "200 free", "not captured"),
    "a pod's address": ("web", "@free:8080", "GET /", "200 free", "HBONE"),
    "out of the mesh": ("web", f"outside.{STREET}", "GET /", "200 outside", "plain text"),
    "outside, plain": ("plain", "outside", "GET /", "200 outside", "as without a mesh"),
    "an unknown address": ("web", "172.31.0.2:15021", "GET /healthz/ready", "200", "no pod or Service has this address"),
    "nobody behind it": ("web", "empty", "GET /", "closed", "no healthy upstream"),
    "nobody behind it, plain": ("plain", "empty.why", "GET /", "closed", "no pod behind the Service"),
    "L4 allow": ("web", "l4", "GET /", "200 l4", "ALLOW by AuthorizationPolicy why/l4 rule 1"),
    "L4 allow of another": ("other", "l4", "GET /", "closed", "no ALLOW matched of: AuthorizationPolicy why/l4"),
    "L4 allow, plain": ("plain", "l4.why", "GET /", "closed", "no ALLOW matched"),
    "L4 deny": ("eve", "notfar.why", "GET /", "closed", "DENY by AuthorizationPolicy why/notfar rule 1"),
    "L4 deny of another": ("web", "notfar", "GET /", "200 notfar", "no policy applies"),
    "L4 deny at the pod": ("eve", "@notfar:8080", "GET /", "closed", "DENY by"),
    "STRICT, meshed": ("web", "strict", "GET /", "200 strict", "HBONE"),
    "STRICT, plain": ("plain", "strict.why", "GET /", "closed", "PeerAuthentication"),
    "L7 allow": ("web", "guarded", "GET /open", "200 guarded", "ALLOW by AuthorizationPolicy why/guarded rule 1"),
    "L7 allow, prefix": ("other", "guarded", "GET /open/a?b", "200 guarded", "rule 1"),
    "L7 allow, the path's dots": ("other", "guarded", "GET /x/../open", "200 guarded", "rule 1"),
    "L7 allow, second rule": ("web", "guarded", "DELETE /any x-pass=yes", "200 guarded", "ALLOW by AuthorizationPolicy why/guarded rule 2"),
    "L7 second rule, another": ("other", "guarded", "DELETE /any x-pass=yes", "403", "no ALLOW matched of: AuthorizationPolicy why/guarded"),
    "L7 method": ("web", "guarded", "POST /open", "403", "no ALLOW matched"),
    "L7 path": ("web", "guarded", "GET /opened", "403", "no ALLOW matched"),
    "L7 deny before allow": ("web", "guarded", "GET /open/secret x-pass=yes", "403", "DENY by AuthorizationPolicy why/guarded-no rule 1"),
    "L7 deny, doubled slash": ("web", "guarded", "GET //open//secret", "403", "guarded-no"),
    "L7 escaped slash": ("web", "guarded", "GET /open%2Fsecret", "307 /open/secret", "should be written"),
    "L7 at the pod's address": ("web", "@guarded:8080", "GET /open", "closed", "can only be judged by a waypoint"),
    "L7, plain": ("plain", "guarded.why", "GET /open", "closed", "source is not in the mesh"),
    "route by header": ("web", "routed", "GET / x-version=2", "200 routed-2", 'rule 1 "header" of VirtualService why/routed'),
    "route default": ("web", "routed", "GET /", "200 routed-1", "rule 11 of VirtualService why/routed"),
    "route redirect": ("web", "routed", "GET /old/x?q=1", "302 http://routed/new?q=1", "redirected"),
    "route direct": ("web", "routed", "GET /tea", "418", "by the route itself"),
    "route rewrite": ("web", "routed", "GET /api/x", "200 routed-1", "path becomes /x"),
    "route fault": ("web", "routed", "GET /fault", "555", "fault"),
    "route to nobody": ("web", "routed", "GET /gone", "503", "nobody-there"),
    "route to an empty subset": ("web", "routed", "GET /none", "503", "no pod behind"),
    "route by weight": ("web", "routed", "GET /both", "200 routed-1|routed-2", "50 %"),
    "route by method": ("web", "routed", "POST /post", "200 routed-2", "rule 10"),
    "no route": ("web", "routed", "GET /post", "404", "no route"),
    "routed to a guarded service": ("web", "routed", "GET /other", "403", "no ALLOW matched of: AuthorizationPolicy why/guarded"),
    "routed, from afar": ("eve", "routed.why", "GET /tea", "418", "rule 3"),
    "routes do not hold, plain": ("plain", "routed.why", "GET /tea", "200 routed-1|routed-2", "routes do not hold"),
    "no token": ("web", "tokens", "GET /", "200 tokens", "no token"),
    "no good token": ("web", "tokens", "GET / authorization=Bearer=x", "401", "no JWT"),
    "tokens, not by the waypoint": ("web", "@tokens:8080", "GET /", "closed", "RequestAuthentication"),
    "opted out, policy": ("web", "optout", "GET /", "closed", "weft.dev/l7: disabled"),
    "no waypoint, policy": ("web", "orphan", "GET /", "closed", "there is no waypoint why/nobody"),
    "no waypoint, routes": ("web", "lost", "GET /", "200 lost", "there is no waypoint why/nobody"),
}
SPACES = {"web": NS, "other": NS, "eve": FAR, "plain": STREET}


class World:
    def __init__(self, mesh):
        self.mesh = mesh
        mesh.apply(OBJECTS)
        pods = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in OBJECTS if o["kind"] == "Pod"]
        for ns, name in pods:
            mesh.wait("pod", name, ns=ns)
        mesh.wait_captured(*[one for one in pods if one[0] != STREET])
        mesh.apply(RULES)
        self.seen = {}
        eventually(self.settled, 20, 0.2, what="every row as it says")

    def request(self, name):
        client, to, words, *_ = ROWS[name]
        method, path, *headers = words.split(" ")
        if to.startswith("@"):
            of, port = to[1:].split(":")
            to = f"{self.mesh.pod_ips(NS, of)[0]}:{port}"
        return client, to, method, path, dict(h.replace("=", " ").split(" ", 1) for h in headers)

    def settled(self):
        for client, ns in SPACES.items():
            asked = []
            for name, row in ROWS.items():
                if row[0] == client:
                    _, to, method, path, headers = self.request(name)
                    host, _, port = to.partition(":")
                    asked.append((name, host, int(port or 80), method, path, headers))
            rows = base64.b64encode(json.dumps(asked).encode()).decode()
            self.seen.update(json.loads(self.mesh.exec(ns, client, weft.PYTHON, "-c", CLIENT, rows, timeout=60).stdout))
        wrong = {name: got for name, got in self.seen.items() if not fits(ROWS[name][3], got)}
        assert not wrong, wrong
        return True

    def explain(self, name):
        client, to, method, path, headers = self.request(name)
        more = [word for key, value in headers.items() for word in ("-H", f"{key}={value}")]
        argv = ["explain", f"{SPACES[client]}/{client}", to, "-X", method, "-p", path, *more]
        shown = self.mesh.ctl(*argv, check=False)
        said = self.mesh.ctl(*argv, "-o", "json", check=False)
        assert said.returncode in (0, 80), said
        assert shown.returncode == said.returncode
        return said.returncode, json.loads(said.stdout), shown.stdout


def fits(want, got):
    status, _, rest = want.partition(" ")
    if str(got["status"]) != status:
        return False
    return not rest or (got.get("location") == rest if status.startswith("3") else got.get("app") in rest.split("|"))


@pytest.fixture(scope="module")
def world(mesh):
    made = World(mesh)
    yield made
    for ns in (NS, FAR, STREET):
        mesh.delete("namespace", ns)


@pytest.mark.parametrize("name", ROWS)
def test_explain_says_what_the_data_plane_does(world, name):
    want, word = ROWS[name][3:]
    got = world.seen[name]
    code, said, text = world.explain(name)
    assert word in text, text
    if got["status"] == "closed":
        assert said["verdict"] in ("denied", "unreachable") and said["status"] is None and code == 80, text
        return
    if "app" not in got and said["status"] is not None:
        assert said["status"] == got["status"], text
        assert code == (80 if said["verdict"] in ("denied", "unreachable") else 0), text
        if got["location"]:
            assert got["location"] in said["text"], text
        return
    assert said["verdict"] == "allowed" and code == 0, text
    apps = {one["pod"].split("/")[1] for one in said["endpoints"] if one["allowed"]}
    assert apps == (set(want.partition(" ")[2].split("|")) - {""}), text
    if "app" in got:
        path = (said["route"] or {}).get("pathBecomes") or got["path"]
        assert got["path"] == path, text


def test_names_that_are_not_there_are_said(world):
    for argv, words in (([f"{NS}/nobody", "free"], ["source", "nobody", f"namespace {NS}"]),
                        ([f"{NS}/web", "nothing"], ["destination", "nothing", "SERVICE.NS"]),
                        ([f"{NS}/web", "free:99"], ["no port 99", "80"]),
                        ([f"{NS}/web", "free:x"], ["\"x\" is no port"]),
                        ([f"{NS}/web", "10.0.0.1"], ["needs a port"]),
                        ([f"{NS}/web", "free", "-H", "x"], ["NAME=VALUE"])):
        out = world.mesh.ctl("explain", *argv, check=False)
        assert out.returncode == 1 and out.stdout == "" and all(word in out.stderr for word in words), out
    assert world.mesh.ctl("explain", "web", check=False).returncode == 64
    assert "-X" in world.mesh.ctl("explain", "--help").stdout
