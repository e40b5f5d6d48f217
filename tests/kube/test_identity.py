"""Who is given which certificate: real bound tokens of a real API server, checked by its TokenReview."""

import base64
import json
import os
import time

import pytest
from api_server import ApiServer
from certificates import ask
from control_plane import ControlPlane
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from test_source import meta

pytestmark = pytest.mark.skipif("WEFT_KUBE_BIN" not in os.environ, reason="make test-kube runs these: WEFT_KUBE_BIN names no directory")
OK, INVALID, DENIED, UNAUTHENTICATED = 0, 3, 7, 16


def spiffe(ns, account, domain="cluster.local"):
    return f"spiffe://{domain}/ns/{ns}/sa/{account}"


def pod(name, ns, account, node, ip):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, ns),
            "spec": {"nodeName": node, "serviceAccountName": account, "containers": [{"name": "c", "image": "none"}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}


def signed(claims, header, key):
    text = lambda part: base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
    body = text(header) + b"." + text(claims)
    return (body + b"." + base64.urlsafe_b64encode(key.sign(body, padding.PKCS1v15(), hashes.SHA256())).rstrip(b"=")).decode()


def opened(token):
    parts = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2]]
    return parts[1], parts[0]


class World:
    def __init__(self, tmp):
        self.api = ApiServer(tmp)
        try:
            for ns in ("weft-system", "shop", "other"):
                self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta(ns)})
            for node in ("node1", "node2"):
                self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
            for ns, account in (("weft-system", "weft-node"), ("other", "weft-node"), ("shop", "web"), ("shop", "db"), ("shop", "job"),
                                ("shop", "gone"), ("shop", "ghost"), ("other", "web")):
                self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(account, ns)})
            self.pods = {one["metadata"]["name"]: self.api.create(one) for one in (
                pod("node-1", "weft-system", "weft-node", "node1", "10.244.0.2"), pod("node-2", "weft-system", "weft-node", "node2", "10.244.1.2"),
                pod("node-1b", "weft-system", "weft-node", "node1", "10.244.0.3"), pod("node-1c", "weft-system", "weft-node", "node1", "10.244.0.4"),
                pod("false", "other", "weft-node", "node1", "10.244.0.5"), pod("web", "shop", "web", "node1", "10.244.0.6"),
                pod("db", "shop", "db", "node2", "10.244.1.3"), pod("job", "shop", "job", "node1", "10.244.0.7"),
                pod("gone", "shop", "gone", "node1", "10.244.0.8"))}
            self.plane = ControlPlane(f"kube:{self.api.kubeconfig}", f"{tmp}/plane")
        except BaseException:
            self.api.stop()
            raise
        with open(f"{self.api.dir}/sa.key", "rb") as file:
            self.key = serialization.load_pem_private_key(file.read(), None)

    def token(self, account, ns, name=None, audience="weft-ca"):
        spec = {"audiences": [audience], "expirationSeconds": 600}
        if name:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": self.pods[name]["metadata"]["uid"]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return json.loads(self.api.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{account}/token", body))["status"]["token"]

    def ask(self, token, identity, **more):
        return ask(self.plane.tls, f"{self.plane.dir}/root-cert.pem", token, identity, **more)

    def for_pod(self, token, identity):
        return self.ask(token, identity, impersonated=identity)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    one = World(str(tmp_path_factory.mktemp("identity")))
    try:
        yield one
        one.plane.stop()
    finally:
        one.api.stop()


def refused(answer, *codes):
    code, message, leaf = answer
    assert leaf is None and code in codes, answer
    return message


def test_a_node_gets_what_runs_on_it_and_a_pod_itself(world):
    web = spiffe("shop", "web")
    assert world.for_pod(world.token("weft-node", "weft-system", "node-1"), web) == (OK, "", [web])
    assert world.ask(world.token("web", "shop", "web"), web) == (OK, "", [web])
    node = spiffe("weft-system", "weft-node")
    assert world.ask(world.token("weft-node", "weft-system", "node-1"), node) == (OK, "", [node])


def test_a_node_gets_nothing_else(world):
    node1 = world.token("weft-node", "weft-system", "node-1")
    for identity, words in ((spiffe("shop", "db"), "no pod with service account shop/db"),  # runs on node2
                            (spiffe("shop", "ghost"), "no pod with service account shop/ghost"),  # runs nowhere
                            (spiffe("other", "web"), "no pod with service account other/web"),  # another namespace's
                            (spiffe("shop", "web", "evil"), "trust domain")):
        assert words in refused(world.for_pod(node1, identity), DENIED)
    refused(world.ask(node1, spiffe("shop", "web"), impersonated=spiffe("shop", "web"), csr_identity=spiffe("shop", "db")), INVALID)


def test_a_pod_gets_no_other_identity(world):
    web = world.token("web", "shop", "web")
    assert "speaks for no node" in refused(world.for_pod(web, spiffe("shop", "job")), DENIED)
    false = world.token("weft-node", "other", "false")  # a node's name, in a namespace that anybody may have
    assert "speaks for no node" in refused(world.for_pod(false, spiffe("shop", "web")), DENIED)


def test_a_bad_token_gets_nothing(world):
    web = spiffe("shop", "web")
    good = world.token("weft-node", "weft-system", "node-1")
    claims, header = opened(good)
    assert world.for_pod(signed(claims, header, world.key), web)[0] == OK  # the way that the next ones are made is right
    old = int(time.time()) - 7200
    stranger = rsa.generate_private_key(65537, 2048)
    bad = {"expired": signed({**claims, "iat": old, "nbf": old, "exp": old + 3600}, header, world.key),
           "not yet": signed({**claims, "nbf": old + 14400, "exp": old + 18000}, header, world.key),
           "another signer": signed(claims, header, stranger),
           "another audience": world.token("weft-node", "weft-system", "node-1", "https://kubernetes.default.svc"),
           "of no pod": world.token("weft-node", "weft-system"),
           "garbage": "x.y.z", "cut": good[:-20]}
    for name, token in bad.items():
        refused(world.for_pod(token, web), UNAUTHENTICATED)
        assert token not in world.plane.text(), name
    refused(world.for_pod(None, web), UNAUTHENTICATED)


def test_pods_that_ended_have_no_identity(world):
    node1 = world.token("weft-node", "weft-system", "node-1")
    gone, job = spiffe("shop", "gone"), spiffe("shop", "job")
    assert world.for_pod(node1, gone)[0] == world.for_pod(node1, job)[0] == OK
    world.api.delete(world.pods["gone"])
    world.api.patch(world.pods["job"], {"status": {"phase": "Succeeded"}}, "/status")
    for identity in (gone, job):
        world.api.wait(lambda: world.for_pod(node1, identity)[0] == DENIED, 5)
        assert "no pod" in refused(world.for_pod(node1, identity), DENIED)


def test_a_token_ends_with_its_pod(world):
    web = spiffe("shop", "web")
    tokens = {name: world.token("weft-node", "weft-system", name) for name in ("node-1b", "node-1c")}
    for token in tokens.values():
        assert world.for_pod(token, web)[0] == OK  # now it is remembered for a while
    world.api.delete(world.pods["node-1b"])
    world.api.delete(world.pods["node-1c"])
    world.api.create(pod("node-1c", "weft-system", "weft-node", "node1", "10.244.0.4"))  # the same name, another pod
    for token in tokens.values():
        world.api.wait(lambda: world.for_pod(token, web)[0] != OK, 5)
        refused(world.for_pod(token, web), DENIED, UNAUTHENTICATED)
    assert world.for_pod(world.token("weft-node", "weft-system", "node-1"), web)[0] == OK
