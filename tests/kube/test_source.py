"""The control plane on a real API server: the same objects as in files give the same xDS, byte for byte, whatever the server does."""

import copy
import json
import os
import time

import pytest
import xds
from api_server import KINDS, ApiServer
from control_plane import ControlPlane
from throttle import Door

pytestmark = pytest.mark.skipif("WEFT_KUBE_BIN" not in os.environ, reason="make test-kube runs these: WEFT_KUBE_BIN names no directory")


SOAK = os.environ.get("WEFT_SOAK") == "1"
KILLS = 20 if SOAK else 3


def meta(name, ns=None, **labels):
    return {"name": name, **({"namespace": ns} if ns else {}), **({"labels": labels} if labels else {})}


def pod(number, ns="shop"):
    name = f"web-{number}"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, ns, app="web"),
            "spec": {"nodeName": "node1", "serviceAccountName": "web", "containers": [{"name": "c", "image": "none"}]},
            "status": {"phase": "Running", "podIP": f"10.244.0.{number + 2}", "podIPs": [{"ip": f"10.244.0.{number + 2}"}],
                       "conditions": [{"type": "Ready", "status": "True"}]}}


def policy(number, ns="shop"):
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta(f"allow-{number}", ns),
            "spec": {"action": "ALLOW", "selector": {"matchLabels": {"app": "web"}},
                     "rules": [{"from": [{"source": {"principals": [f"cluster.local/ns/shop/sa/client-{number}"]}}],
                                "to": [{"operation": {"ports": [str(1000 + number)]}}]}]}}


def world():
    out = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"weft.dev/mesh": "enabled"}}},
           {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}},
           {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("web", "shop")}]
    out += [pod(number) for number in range(10)]
    for number in range(5):
        out.append({"apiVersion": "v1", "kind": "Service", "metadata": meta(f"svc-{number}", "shop"),
                    "spec": {"selector": {"app": "web"}, "clusterIP": f"10.97.0.{number + 10}", "clusterIPs": [f"10.97.0.{number + 10}"],
                             "ipFamilies": ["IPv4"], "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]}})
    out += [policy(number) for number in range(40)]
    for number in range(10):
        out.append({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta(f"mode-{number}", "shop"),
                    "spec": {"selector": {"matchLabels": {"app": f"x{number}"}}, "mtls": {"mode": "STRICT"}}})
    for number in range(10):
        out.append({"apiVersion": "networking.istio.io/v1beta1", "kind": "ServiceEntry", "metadata": meta(f"out-{number}", "shop"),
                    "spec": {"hosts": [f"out-{number}.example.com"], "location": "MESH_EXTERNAL", "resolution": "STATIC",
                             "addresses": [f"240.0.0.{number + 1}"], "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
                             "endpoints": [{"address": f"198.51.100.{number + 1}"}]}})
    return out


class Pair:
    """The same objects in a directory and in an API server, and a control plane on each."""

    def __init__(self, tmp, api):
        self.api, self.dir = api, f"{tmp}/objects"
        os.makedirs(self.dir)
        for obj in world():
            self.create(obj)
        self.files = ControlPlane(f"files:{self.dir}", f"{tmp}/files")
        self.kube = ControlPlane(f"kube:{api.kubeconfig}", f"{tmp}/kube")

    def path(self, obj):
        return f"{self.dir}/{obj['kind']}-{obj['metadata']['name']}.json"

    def create(self, obj):
        self.api.create(copy.deepcopy(obj))
        self.write(obj)

    def write(self, obj):
        with open(self.path(obj) + ".tmp", "w", encoding="utf-8") as out:
            json.dump(obj, out)
        os.rename(self.path(obj) + ".tmp", self.path(obj))

    def delete(self, obj):
        self.api.delete(obj)
        os.unlink(self.path(obj))

    def equal(self, seconds=10, plane=None):
        """Both say the same; what is said. `plane`: instead of our own on the API server."""
        plane = plane or self.kube
        end = time.monotonic() + seconds
        while True:
            kube, files = self.view(plane), self.view(self.files)
            if kube == files:
                return kube
            if time.monotonic() > end:
                odd = sorted(str(key) for key in kube.keys() ^ files.keys() | {k for k in kube.keys() & files.keys() if kube[k] != files[k]})
                pytest.fail(f"differ in {odd[:8]} of {len(kube)}; kube: {plane.text()[-600:]}")
            time.sleep(0.1)

    @staticmethod
    def view(plane):
        # The API server has a Service of its own in its table of names; files have none.
        return {key: value for key, value in xds.snapshot(plane.port).items() if "kubernetes.default.svc" not in key[1]}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("source")
    api = ApiServer(tmp)
    try:
        api.install(KINDS[1:])  # one group's kind is missing, other groups are not there at all
        both = Pair(str(tmp), api)
        yield both
        both.files.stop()
        both.kube.stop()
    finally:
        api.stop()


def test_the_same_objects_give_the_same_bytes(pair):
    said = pair.equal()
    kinds = [key[0] for key in said]
    assert kinds.count(xds.AUTHORIZATION) == 41  # 40 policies, and what STRICT becomes
    assert kinds.count(xds.ADDRESS) == 15  # 10 pods, 5 services


def test_changes_are_followed(pair):
    before = pair.equal()
    pair.create(pod(20))
    pair.create(policy(50))
    pair.delete(policy(0))
    pair.delete(pod(1))
    deadline = time.monotonic() + 10
    while (now := pair.equal()).keys() == before.keys():
        assert time.monotonic() < deadline
    names = {key[1] for key in now}
    assert "shop/allow-50" in names and "shop/allow-0" not in names
    assert any("web-20" in name for name in names) and not any(name.endswith("web-1") for name in names)


def test_a_killed_api_server_changes_nothing_and_is_followed_again(pair):
    """Every other time etcd forgets its history while the server is away: nothing that was watched can be resumed."""
    before = pair.equal()
    for turn in range(KILLS):
        pair.api.kill()
        if turn % 2 == 1:
            pair.api.compact()
        pair.write(policy(60 + turn))  # files hear of it at once, the other cannot
        time.sleep(0.5)
        missing = pair.view(pair.files).keys() - pair.view(pair.kube).keys()
        assert {name for _, name in missing} == {f"shop/allow-{60 + turn}"}
        assert pair.view(pair.kube).keys() >= before.keys()
        pair.api.start()
        pair.api.create(policy(60 + turn))
        pair.equal(5)


def test_a_watch_that_is_too_old_is_one_list_and_nothing_is_missed(pair, tmp_path):
    """A control plane that hears nothing for a while, an API server that has forgotten that while: every watch ends with 410."""
    door = Door(pair.api)
    far = ControlPlane(f"kube:{pair.api.user('far', 'system:masters', door.port)}", str(tmp_path))
    lists = lambda: [path.split("?")[0] for path in door.passed if "watch=1" not in path and "limit=" in path and "continue=" not in path]
    watches = lambda: [path for path in door.passed if "watch=1" in path]
    try:
        before = pair.equal(plane=far)
        for turn in range(10 if SOAK else 2):
            door.refuse = lambda method, path: (503, {})
            pair.api.kill()  # ends the watches that are open
            pair.api.start()
            names = [policy(2000 + 50 * turn + number) for number in range(20)]
            for obj in names:
                pair.create(obj)
            pair.delete(names[0])
            pair.delete(policy(10 + turn))
            pair.api.compact()
            pair.api.kill()
            pair.api.start()
            assert pair.view(far) == before
            door.passed.clear()
            door.expired.clear()
            door.refuse = lambda method, path: None
            before = pair.equal(5, far)
            assert f"shop/allow-{10 + turn}" not in {name for _, name in before}
            assert any("/authorizationpolicies?" in path for path in door.expired), (door.expired, watches())
            time.sleep(1.5)  # whoever would list twice has done it by now
            expired = [path.split("?")[0] for path in door.expired]
            assert len(set(expired)) == len(expired) and all(lists().count(path) == 1 for path in expired), (expired, lists())
    finally:
        far.stop()
        door.stop()


def test_a_bad_object_is_one_error_and_the_old_one_stays(pair):
    before = pair.equal()
    bad = copy.deepcopy(policy(3))
    bad["spec"]["action"] = "PERHAPS"
    path = f"{pair.api.path_of(bad)}/allow-3"
    pair.api.call("PATCH", path, {"spec": {"action": "PERHAPS"}}, "application/merge-patch+json")
    pair.api.wait(lambda: "PERHAPS" in pair.kube.text())
    lines = [line for line in pair.kube.text().splitlines() if "PERHAPS" in line]
    assert len(lines) == 1 and "AuthorizationPolicy.security.istio.io shop/allow-3" in lines[0] and "spec.action" in lines[0]
    assert pair.view(pair.kube) == before
    pair.api.call("PATCH", path, {"spec": {"action": "ALLOW"}}, "application/merge-patch+json")
    pair.create(policy(70))
    assert pair.equal().keys() > before.keys()


def test_a_group_that_comes_later_is_found(pair):
    pair.api.install(KINDS[:1])
    pair.api.create({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": meta("weft-waypoint"),
                     "spec": {"controllerName": "weft.dev/mesh-controller"}})
    pair.api.wait(lambda: "upserts=1" in pair.kube.text().rsplit("configuration changed", 1)[-1], 25)
