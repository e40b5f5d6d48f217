"""The rights that deploy/daemonset gives, against what is done with them: the API server's audit log of a control plane that is made to use
them. A right that nothing uses is one too many; a call that is refused is one too few."""

import json
import os
import time

import pytest
from api_server import AUDIT_ACCOUNTS, ApiServer
from certificates import ask
from control_plane import ROOT, ControlPlane
from test_install import World
from test_source import meta, pod
from test_status import policy, route, service

pytestmark = pytest.mark.skipif("WEFT_KUBE_BIN" not in os.environ, reason="make test-kube runs these: WEFT_KUBE_BIN names no directory")
PLANE = "system:serviceaccount:weft-system:weft-controlplane"
ISTIO, GATEWAY = "networking.istio.io/v1", "gateway.networking.k8s.io/v1"


def one(api_version, kind, name, spec):
    return {"apiVersion": api_version, "kind": kind, "metadata": meta(name, "shop"), "spec": spec}


def every_kind():
    """An object of each kind whose status we write, and some that make a waypoint."""
    parent = {"group": "", "kind": "Service", "name": "web"}
    yield {"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": "weft"}, "spec": {"controllerName": "weft.dev/gateway-controller"}}
    yield one(GATEWAY, "Gateway", "door", {"gatewayClassName": "weft", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]})
    yield route("web")
    yield one(GATEWAY, "GRPCRoute", "calls", {"parentRefs": [parent], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
    yield policy("layer4")
    yield policy("layer7", rules=[{"to": [{"operation": {"methods": ["GET"]}}]}])
    yield one("security.istio.io/v1", "PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}})
    yield one("security.istio.io/v1", "RequestAuthentication", "tokens", {"jwtRules": [{"issuer": "me", "jwks": '{"keys":[]}'}]})
    yield one(ISTIO, "VirtualService", "web", {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]})
    yield one(ISTIO, "DestinationRule", "web", {"host": "web", "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}}})
    yield one(ISTIO, "ServiceEntry", "out", {"hosts": ["out.example"], "resolution": "STATIC", "location": "MESH_EXTERNAL",
                                             "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "endpoints": [{"address": "198.51.100.1"}]})
    yield one(ISTIO, "Gateway", "edge", {"selector": {"istio": "ingressgateway"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]})
    yield one("telemetry.istio.io/v1", "Telemetry", "logs", {"accessLogging": [{"disabled": False}]})


class Used:
    def __init__(self, tmp):
        self.world = World.__new__(World)
        self.world.api = self.api = ApiServer(tmp, audit=AUDIT_ACCOUNTS)
        try:
            self.world.ctl("install", "--no-wait", crds=os.environ["WEFT_KUBE_CRDS"])
            self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"weft.dev/mesh": "enabled"}}})
            self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}})
            self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("web", "shop")})
            self.web = self.api.create(pod(0))
            self.api.create(service("web"))
            self.plane = ControlPlane(f"kube:{self.api.account('weft-controlplane', 'weft-system')}", f"{tmp}/plane", "--out=kube",
                                      "--envoy-server=127.0.0.1:15012", "--state-secret=weft-system/weft-ca")
        except BaseException:
            self.api.stop()
            raise

    def stop(self):
        self.plane.stop()
        self.api.stop()

    def audited(self):
        with open(self.api.audit, encoding="utf-8") as log:
            events = [json.loads(line) for line in log]
        return [e for e in events if e["user"]["username"] == PLANE and e["stage"] != "RequestReceived" and "objectRef" in e]

    def done(self):
        """(group, resource, verb) of what was answered well. An apply that makes something needs `create` too."""
        out = set()
        for event in self.audited():
            ref, code = event["objectRef"], event["responseStatus"]["code"]
            if code >= 300 and code not in (404, 409):
                continue
            what = (ref.get("apiGroup", ""), ref["resource"] + ("/" + ref["subresource"] if "subresource" in ref else ""))
            out.add((*what, event["verb"]))
            if event["verb"] == "patch" and code == 201:
                out.add((*what, "create"))
        return out

    def given(self):
        rules = []
        for path in ("clusterroles/weft-controlplane", "clusterroles/weft-controlplane-waypoints", "namespaces/weft-system/roles/weft-controlplane"):
            rules += self.world.there(f"/apis/rbac.authorization.k8s.io/v1/{path}")["rules"]
        return {(group, resource, verb) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]}


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    world = Used(str(tmp_path_factory.mktemp("rights")))
    try:
        yield world
    finally:
        world.stop()


def use_everything(used):
    api = used.api
    objects = list(every_kind())
    for obj in objects:
        api.create(obj)
    waypoint = lambda: used.world.there("/apis/apps/v1/namespaces/shop/deployments?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dweft-controlplane")["items"]
    api.wait(waypoint, 30)
    for obj in objects:  # all of a kind that has a status of ours
        api.wait(lambda obj=obj: api.get(obj).get("status"), 30)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": ["weft-ca"], "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "web-0", "uid": used.web["metadata"]["uid"]}}}
    token = json.loads(api.call("POST", "/api/v1/namespaces/shop/serviceaccounts/web/token", body))["status"]["token"]
    assert ask(used.plane.tls, f"{used.plane.dir}/root-cert.pem", token, "spiffe://cluster.local/ns/shop/sa/web")[0] == 0
    assert "error" not in used.plane.ask({"cmd": "rotate-root"})
    for obj in objects:
        api.delete(obj)
    api.wait(lambda: not waypoint(), 60)
    time.sleep(2)


def test_k9_every_right_is_used_and_none_is_missing(used):
    use_everything(used)
    refused = sorted({(e["verb"], e["objectRef"].get("apiGroup", ""), e["objectRef"]["resource"]) for e in used.audited() if e["responseStatus"]["code"] == 403})
    assert not refused
    assert sorted(used.given() - used.done()) == []


def test_k9_the_agents_rights_are_what_it_asks_for(used):
    """weft-agent lists and watches namespaces and pods, and nothing else (source/kube/resource.cc, node_resources)."""
    rules = used.world.there("/apis/rbac.authorization.k8s.io/v1/clusterroles/weft-node")["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["list", "watch"]}]
    with open(f"{ROOT}/source/kube/resource.cc", encoding="utf-8") as file:
        asked = file.read().split("node_resources")[1]
    assert asked.count('"v1"') == 2 and '"namespaces"' in asked and '"pods"' in asked
