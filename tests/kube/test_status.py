"""Statuses, written by server-side apply to a real API server with the CRDs that users install."""

import json
import os
import time

import pytest
import xds
from api_server import ApiServer
from control_plane import ROOT, ControlPlane
from test_source import meta, pod
from throttle import Door

pytestmark = pytest.mark.skipif("WEFT_KUBE_BIN" not in os.environ, reason="make test-kube runs these: WEFT_KUBE_BIN names no directory")
OURS = "weft.dev/mesh-controller"


def policy(name, **spec):
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta(name, "shop"),
            "spec": {"action": "ALLOW", "selector": {"matchLabels": {"app": "web"}},
                     "rules": [{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/client"]}}]}], **spec}}


def route(name, backend="web", service="web"):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta(name, "shop"),
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": service}],
                     "rules": [{"backendRefs": [{"name": backend, "port": 80}]}]}}


def service(name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name, "shop"),
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


class Cluster:
    def __init__(self, tmp):
        self.api = ApiServer(tmp)
        try:
            for name in ("shop", "weft-system"):
                self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"weft.dev/mesh": "enabled"}}})
            self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}})
            self.api.create(pod(0))
            self.api.create(service("web"))
            # With the rights that a cluster gives it, and those that waypoints need.
            self.api.apply_file(f"{ROOT}/deploy/daemonset/base/controlplane-rbac.yaml")
            self.api.apply_file(f"{ROOT}/deploy/daemonset/base/waypoints-rbac.yaml")
            self.plane = ControlPlane(f"kube:{self.api.account('weft-controlplane', 'weft-system')}", f"{tmp}/plane", "--out=kube", "--envoy-server=127.0.0.1:15012")
        except BaseException:
            self.api.stop()
            raise

    def condition(self, obj, kind, controller=None):
        """The condition that is there now, of this generation; None before."""
        now = self.api.get(obj)
        status = now.get("status", {})
        if "parents" in status:
            status = next((p for p in status["parents"] if p["controllerName"] == (controller or OURS)), {})
        for one in status.get("conditions", []):
            if one["type"] == kind and int(one.get("observedGeneration", 0)) == now["metadata"]["generation"]:
                return one
        return None

    def wait_condition(self, obj, kind, status, seconds=25):
        self.api.wait(lambda: (self.condition(obj, kind) or {}).get("status") == status, seconds)
        return self.condition(obj, kind)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    one = Cluster(str(tmp_path_factory.mktemp("status")))
    try:
        yield one
        one.plane.stop()
    finally:
        one.api.stop()


def test_without_any_crd_the_mesh_does_l4(cluster):
    names = {name for kind, name in xds.snapshot(cluster.plane.port) if kind == xds.ADDRESS}
    assert any("web-0" in name for name in names) and any("web.shop.svc" in name for name in names)
    lines = cluster.plane.text().splitlines()
    assert not [line for line in lines if "\terror\t" in line or "\twarning\t" in line], lines


def test_groups_that_are_installed_later_get_statuses(cluster):
    names = cluster.api.install_crds()
    assert "httproutes.gateway.networking.k8s.io" in names and "authorizationpolicies.security.istio.io" in names
    made = cluster.api.create(policy("first"))
    cluster.api.wait(lambda: cluster.api.get(policy("first")).get("status", {}).get("conditions"), 25)
    now = cluster.api.get(policy("first"))
    assert now["spec"] == made["spec"] and now["metadata"]["generation"] == made["metadata"]["generation"] == 1
    for condition in now["status"]["conditions"]:
        assert condition["status"] in ("True", "False") and condition["reason"] and condition["lastTransitionTime"]
        assert int(condition["observedGeneration"]) == 1
    fields = [f for f in now["metadata"]["managedFields"] if f["manager"] == "weft-controlplane"]
    assert [(f["operation"], f.get("subresource")) for f in fields] == [("Apply", "status")]


def test_a_status_is_written_when_it_changes_and_only_then(cluster):
    before = cluster.api.get(policy("first"))
    time.sleep(2)
    assert cluster.api.get(policy("first"))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    time.sleep(max(0, 1.1 - time.time() % 1))  # another second: a new transition time would show
    cluster.api.patch(policy("first"), {"spec": {"selector": {"matchLabels": {"app": "other"}}}})
    kind = before["status"]["conditions"][0]
    cluster.api.wait(lambda: cluster.condition(policy("first"), kind["type"]))
    after = cluster.condition(policy("first"), kind["type"])
    assert int(after["observedGeneration"]) == 2 and after["status"] == kind["status"]
    assert after["lastTransitionTime"] == kind["lastTransitionTime"]


def test_what_somebody_undoes_comes_back(cluster):
    cluster.api.patch(policy("first"), {"status": None}, "/status")
    cluster.api.wait(lambda: cluster.api.get(policy("first")).get("status", {}).get("conditions"))


def test_a_routes_parents_of_others_stay(cluster):
    theirs = {"controllerName": "else.example/controller", "parentRef": {"group": "", "kind": "Service", "name": "web"},
              "conditions": [{"type": "Accepted", "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}
    cluster.api.create(route("both"))
    cluster.wait_condition(route("both"), "Accepted", "True")
    parents = cluster.api.get(route("both"))["status"]["parents"]
    cluster.api.patch(route("both"), {"status": {"parents": [*parents, theirs]}}, "/status")
    cluster.api.patch(route("both"), {"spec": {"rules": [{"backendRefs": [{"name": "nowhere", "port": 80}]}]}})
    assert cluster.wait_condition(route("both"), "ResolvedRefs", "False")["reason"] == "BackendNotFound"
    parents = cluster.api.get(route("both"))["status"]["parents"]
    assert len(parents) == 2 and [p for p in parents if p["controllerName"] != OURS] == [theirs]


def test_conflicts_are_tried_again(cluster):
    """Somebody writes all the time: every write of ours races with theirs."""
    # A service of its own: where an older route takes every request, the younger one's backends are not looked at.
    cluster.api.create(service("busy"))
    cluster.api.create(route("busy", "busy", "busy"))
    end = time.monotonic() + 3
    number = 0
    while time.monotonic() < end:
        number += 1
        cluster.api.patch(route("busy"), {"metadata": {"annotations": {"turn": str(number)}}})
    cluster.api.patch(route("busy"), {"spec": {"rules": [{"backendRefs": [{"name": "nowhere", "port": 80}]}]}})
    for _ in range(50):
        number += 1
        cluster.api.patch(route("busy"), {"metadata": {"annotations": {"turn": str(number)}}})
    cluster.wait_condition(route("busy"), "ResolvedRefs", "False", 10)
    assert "status of HTTPRoute.gateway.networking.k8s.io shop/busy" not in cluster.plane.text()


def test_a_refused_status_is_said_once_and_others_go_on(cluster):
    admission = "/apis/admissionregistration.k8s.io/v1"
    cluster.api.call("POST", f"{admission}/validatingadmissionpolicies", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "no-status"},
        "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": ["security.istio.io"], "apiVersions": ["*"], "operations": ["UPDATE"],
                                                         "resources": ["authorizationpolicies/status"], "resourceNames": ["refused"]}]},
                 "validations": [{"expression": "false", "message": "not this one"}]}})
    cluster.api.call("POST", f"{admission}/validatingadmissionpolicybindings", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "no-status"},
        "spec": {"policyName": "no-status", "validationActions": ["Deny"]}})
    time.sleep(1.5)  # until it is in force
    cluster.api.create(policy("refused"))
    cluster.api.wait(lambda: "not this one" in cluster.plane.text())
    cluster.api.create(policy("after"))
    cluster.api.wait(lambda: cluster.api.get(policy("after")).get("status", {}).get("conditions"))
    assert "status" not in cluster.api.get(policy("refused")) or not cluster.api.get(policy("refused"))["status"].get("conditions")
    assert sum("not this one" in line for line in cluster.plane.text().splitlines()) == 1


def made(cluster):
    out = set()
    for path in ("/api/v1/serviceaccounts", "/api/v1/secrets", "/apis/apps/v1/deployments", "/api/v1/services"):
        listed = json.loads(cluster.api.call("GET", f"{path}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dweft-controlplane"))
        out |= {(path.rsplit("/", 1)[1], one["metadata"]["namespace"], one["metadata"]["name"]) for one in listed["items"]}
    return out


def test_a_route_makes_a_waypoint_and_takes_it_away(cluster):
    cluster.api.wait(lambda: len(made(cluster)) == 4)
    names = {name for kind, _, name in made(cluster) if kind == "deployments"}
    assert len(names) == 1
    name = names.pop()
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name, "shop")}
    deployment = cluster.api.get(obj)
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == name
    assert {f["manager"] for f in deployment["metadata"]["managedFields"]} == {"weft-controlplane"}
    # Somebody else's object is none of ours, whatever its name.
    mine = {"apiVersion": "v1", "kind": "Secret", "metadata": meta("mine", "shop"), "data": {}}
    cluster.api.create(mine)
    for one in ("both", "busy"):
        cluster.api.delete(route(one))
    cluster.api.wait(lambda: not made(cluster), 40)
    cluster.api.get(mine)


def test_a_server_that_is_busy_is_given_time(cluster):
    cluster.plane.stop()
    door = Door(cluster.api)
    kubeconfig = cluster.api.user("through-the-door", "system:masters", door.port)
    plane = ControlPlane(f"kube:{kubeconfig}", f"{cluster.api.dir}/door", "--out=kube", "--lease=weft-system/door")
    try:
        answers = [(429, {"Retry-After": "1"}), (503, {}), (429, {"Retry-After": "1"}), (500, {})]
        door.refuse = lambda method, path: answers.pop(0) if method == "PATCH" and "/slow/status" in path and answers else None
        cluster.api.create(policy("slow"))
        cluster.api.wait(lambda: cluster.api.get(policy("slow")).get("status", {}).get("conditions"), 30)
        when = [at for at, _ in door.refused]
        assert len(when) == 4 and when[1] - when[0] >= 1 and when[3] - when[2] >= 1
        assert when[2] - when[1] >= 0.2  # the second failure: half of 0.4 s at least
        assert time.monotonic() - when[-1] < 20
    finally:
        plane.stop()
        door.stop()
