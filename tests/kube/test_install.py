"""weftctl install, upgrade and check on a real API server: what it makes of a cluster's schemas, admission, CRDs and rights. Nothing runs there:
no controller, no node. What needs those is in test_cluster.py."""

import json
import os
import re
import subprocess
import sys
import urllib.error

import pytest
from api_server import ApiServer
from control_plane import BIN, ROOT

sys.path.insert(0, f"{ROOT}/tools")
import manifests  # noqa: E402

pytestmark = pytest.mark.skipif("WEFT_KUBE_BIN" not in os.environ, reason="make test-kube runs these: WEFT_KUBE_BIN names no directory")
PROFILES = ["default", "istio-compat", "minimal", "high-availability"]
NOT_IN_TIME = 75


class World:
    def __init__(self, tmp):
        self.api = ApiServer(tmp)

    def ctl(self, *words, kubeconfig=None, code=0, crds="none"):
        """What weftctl printed, and told."""
        argv = [f"{BIN}/weftctl", *words, f"--kubeconfig={kubeconfig or self.api.kubeconfig}"]
        if words[0] in ("install", "upgrade"):
            argv += [f"--crds={crds}"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout, done.stderr

    def there(self, path):
        try:
            return json.loads(self.api.call("GET", path))
        except urllib.error.HTTPError as error:
            assert error.code == 404, error.read()
            return None

    def refused(self, obj):
        """The words with which the API server refuses an object; nothing is stored."""
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.api.call("POST", self.api.path_of(obj) + "?dryRun=All", obj)
        assert caught.value.code == 422, caught.value.read()
        return json.loads(caught.value.read())["message"]

    def taken(self, obj):
        self.api.call("POST", self.api.path_of(obj) + "?dryRun=All", obj)


NAMESPACE = "/api/v1/namespaces/weft-system"
DEPLOYMENT = "/apis/apps/v1/namespaces/weft-system/deployments/weft-controlplane"
BUDGET = "/apis/policy/v1/namespaces/weft-system/poddisruptionbudgets/weft-controlplane"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An API server without CRDs of others."""
    world = World(tmp_path_factory.mktemp("bare"))
    yield world
    world.api.stop()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """One with the CRDs of Gateway API and Istio, and Weft, installed by weftctl."""
    world = World(tmp_path_factory.mktemp("full"))
    try:
        world.api.create({**namespace({"weft.dev/mesh": "true"}), "metadata": {"name": "old", "labels": {"weft.dev/mesh": "true"}}})
        world.installed = world.ctl("install", "--no-wait", crds=os.environ["WEFT_KUBE_CRDS"])
        yield world
    finally:
        world.api.stop()


@pytest.mark.parametrize("profile", PROFILES)
def test_k9_a_dry_run_has_every_object_admitted_and_stores_nothing(bare, profile):
    out, _ = bare.ctl("install", f"--profile={profile}", "--dry-run=server")
    wanted = [one for one in manifests.compose(f"{ROOT}/deploy/daemonset/overlays/{profile}") if "gateway.networking" not in one["apiVersion"]]
    assert len(re.findall(r"^\S+/\S+ created \(dry run\)$", out, re.M)) == len(wanted)
    assert bare.there(NAMESPACE) is None
    assert bare.there("/apis/rbac.authorization.k8s.io/v1/clusterroles/weft-node") is None


def test_k9_a_field_that_the_schema_does_not_know_is_refused(bare):
    """The same server finds it: the dry runs above are strict."""
    _, told = bare.ctl("install", "--dry-run=server", "--set=controlplane.x=y", code=0)
    obj = next(one for one in manifests.compose(f"{ROOT}/deploy/daemonset") if one["kind"] == "DaemonSet")
    obj["metadata"]["namespace"] = "default"
    obj["spec"]["template"]["spec"]["containers"][0]["resourcs"] = {}
    with pytest.raises(urllib.error.HTTPError) as caught:
        bare.api.call("PATCH", "/apis/apps/v1/namespaces/default/daemonsets/weft-node?fieldManager=t&fieldValidation=Strict&dryRun=All",
                      json.dumps(obj).encode(), "application/apply-patch+yaml")
    assert b"resourcs" in caught.value.read(), told


def test_the_uninstall_daemonset_is_admitted_too(bare):
    obj = manifests.compose(f"{ROOT}/deploy/daemonset/uninstall")[0]
    obj["metadata"]["namespace"] = "default"
    bare.api.call("PATCH", "/apis/apps/v1/namespaces/default/daemonsets/weft-uninstall?fieldManager=t&fieldValidation=Strict&dryRun=All",
                  json.dumps(obj).encode(), "application/apply-patch+yaml")


def test_a_client_dry_run_needs_no_cluster(tmp_path):
    run = lambda *words: subprocess.run([f"{BIN}/weftctl", "install", "--dry-run=client", *words], capture_output=True, text=True, check=False,
                                        env={"HOME": str(tmp_path)}, timeout=20)
    import yaml
    shown = list(yaml.safe_load_all(run("-o", "yaml").stdout))
    assert shown[0]["kind"] == "Namespace"
    key = manifests.key
    assert {key(one): one for one in shown} == {key(one): one for one in manifests.compose(f"{ROOT}/deploy/daemonset")}
    assert len(json.loads(run("-o", "json", "--set=replicas=3").stdout)["items"]) == len(shown)
    wrong = run("--set=colour=red")
    assert wrong.returncode == 64 and "no such key" in wrong.stderr
    assert run("--profile=huge").returncode == 64


def test_install_is_applied_once_and_waits_for_what_does_not_come(bare):
    out, told = bare.ctl("install", "--no-wait", "--set=replicas=2")
    assert "daemonset.apps/weft-node created" in out
    assert "the cluster has no CRDs of Gateway API" in told and "the cluster has no CRDs of Istio's API" in told
    assert bare.there(DEPLOYMENT)["spec"]["replicas"] == 2
    again, _ = bare.ctl("install", "--no-wait", "--set=replicas=2")
    assert again == ""  # nothing is changed
    _, told = bare.ctl("install", "--set=replicas=2", "--timeout=1s", code=NOT_IN_TIME)
    assert "weft-controlplane: its controller has not seen it yet" in told and "not ready after 1 s" in told


def test_an_upgrade_keeps_the_settings_and_takes_away_what_a_profile_has_not(bare):
    bare.ctl("upgrade", "--no-wait", "--profile=high-availability")
    assert bare.there(DEPLOYMENT)["spec"]["replicas"] == 2 and bare.there(BUDGET)
    out, _ = bare.ctl("upgrade", "--no-wait", "--profile=default", "--dry-run=server")
    assert "poddisruptionbudget.policy/weft-controlplane would be removed (dry run)" in out and bare.there(BUDGET)
    bare.ctl("upgrade", "--no-wait", "--profile=default")
    assert bare.there(BUDGET) is None
    assert bare.there(DEPLOYMENT)["spec"]["replicas"] == 2  # --set=replicas=2 of before
    bare.ctl("upgrade", "--no-wait", "--reset-values")
    assert bare.there(DEPLOYMENT)["spec"]["replicas"] == 1


def test_a_newer_weft_is_not_replaced_by_chance(bare):
    record = "/api/v1/namespaces/weft-system/configmaps/weft-install"
    version = bare.there(record)["data"]["version"]
    change = lambda v: bare.api.call("PATCH", record, {"data": {"version": v}}, "application/merge-patch+json")
    change("99.0.0")
    try:
        _, told = bare.ctl("install", "--no-wait", code=1)
        assert "a newer Weft is there (99.0.0" in told
        bare.ctl("install", "--no-wait", "--force")
        assert bare.there(record)["data"]["version"] == version
    finally:
        change(version)


def test_what_others_have_set_is_not_taken_without_asking(bare):
    bare.api.call("PATCH", DEPLOYMENT + "?fieldManager=person&force=true",
                  json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "weft-controlplane"}, "spec": {"replicas": 5}}).encode(),
                  "application/apply-patch+yaml")
    _, told = bare.ctl("install", "--no-wait", code=1)
    assert "deployment.apps/weft-controlplane: others have set fields of it" in told and ".spec.replicas" in told and '"person"' in told
    bare.ctl("install", "--no-wait", "--force-conflicts")
    assert bare.there(DEPLOYMENT)["spec"]["replicas"] == 1


def test_an_uninstall_that_was_begun_is_called_off(bare):
    bare.api.call("PATCH", NAMESPACE, {"metadata": {"annotations": {"weft.dev/uninstalling": "true"}}}, "application/merge-patch+json")
    _, told = bare.ctl("install", "--no-wait")
    assert "it is called off" in told
    assert "weft.dev/uninstalling" not in bare.there(NAMESPACE)["metadata"].get("annotations", {})


def test_nodes_that_do_not_come_free_stop_an_uninstall(bare):
    """Nobody runs the DaemonSet here: nothing else may go."""
    out, _ = bare.ctl("uninstall", "--dry-run")
    assert "namespace/weft-system would be removed (dry run)" in out and "clusterrole.rbac.authorization.k8s.io/weft-node would be removed" in out
    assert "weft.dev/uninstalling" not in bare.there(NAMESPACE)["metadata"].get("annotations", {})
    _, told = bare.ctl("uninstall", "--timeout=1s", code=1)
    assert "not every node is free in time; nothing else was removed" in told
    assert bare.there(NAMESPACE)["metadata"]["annotations"]["weft.dev/uninstalling"] == "true" and bare.there(DEPLOYMENT)
    bare.ctl("install", "--no-wait")  # and back


def test_check_says_what_a_user_may_not(bare):
    out, _ = bare.ctl("check", "--pre", code=0)
    assert "the API server is 1.30 or newer (v1.34" in out and "CRDs of Gateway API are there" in out
    nobody = bare.api.user("nobody", "people")
    out, _ = bare.ctl("check", "--pre", "-o", "json", kubeconfig=nobody, code=1)
    bad = [one["check"] for one in json.loads(out)["checks"] if one["result"] == "failed"]
    assert "you may patch daemonsets.apps" in bad and "you may create namespaces" in bad
    _, told = bare.ctl("install", "--no-wait", kubeconfig=nobody, code=1)
    assert "you may patch daemonsets.apps: your user may not" in told
    out, _ = bare.ctl("check", code=1)
    assert "weft-controlplane is ready" in out


def test_k13_crds_are_installed_when_missing_and_never_taken_back(full):
    out, told = full.installed
    assert "customresourcedefinition.apiextensions.k8s.io/httproutes.gateway.networking.k8s.io created" in out
    assert "virtualservices.networking.istio.io created" in out and "has no CRDs" not in told
    routes = f"{CRD}httproutes.gateway.networking.k8s.io"
    annotate = lambda version: full.api.call("PATCH", routes, {"metadata": {"annotations": {"gateway.networking.k8s.io/bundle-version": version}}},
                                             "application/merge-patch+json")
    ours = full.there(routes)["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"]
    out, _ = full.ctl("install", "--no-wait", crds=os.environ["WEFT_KUBE_CRDS"])
    assert out == ""  # all as it should be
    annotate("v9.9.9")
    try:
        out, told = full.ctl("install", "--no-wait", crds=os.environ["WEFT_KUBE_CRDS"])
        assert f"the cluster's CRDs are newer (v9.9.9, this weftctl has {ours}): they stay (1 of them)" in told
        assert full.there(routes)["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"] == "v9.9.9"
    finally:
        annotate(ours)


def test_k13_crds_of_others_stay_as_they_are(full):
    """Somebody else's of the same version: no label of ours, and not ours to change or remove."""
    gateways = f"{CRD}gateways.gateway.networking.k8s.io"
    label = lambda value: full.api.call("PATCH", gateways, {"metadata": {"labels": {"app.kubernetes.io/managed-by": value}}}, "application/merge-patch+json")
    label("Helm")
    before = full.there(gateways)["metadata"]["resourceVersion"]
    full.ctl("install", "--no-wait", crds=os.environ["WEFT_KUBE_CRDS"])
    assert full.there(gateways)["metadata"]["resourceVersion"] == before
    out, _ = full.ctl("uninstall", "--dry-run", "--purge")
    assert "/gateways.gateway.networking.k8s.io would be removed" not in out and "/httproutes.gateway.networking.k8s.io would be removed" in out
    label("weftctl")


def test_the_istio_names_come_with_the_crds(full):
    full.ctl("upgrade", "--no-wait", "--profile=istio-compat")
    assert full.there("/apis/gateway.networking.k8s.io/v1/gatewayclasses/istio-waypoint")["spec"]["controllerName"] == "weft.dev/mesh-controller"
    full.ctl("upgrade", "--no-wait", "--profile=default")
    assert full.there("/apis/gateway.networking.k8s.io/v1/gatewayclasses/istio") is None
    assert full.there("/api/v1/namespaces/istio-system")  # a namespace may hold what people made


def pod(labels):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "none"}]}}


def namespace(labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": labels}}


def policy(**spec):
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "a", "namespace": "default"}, "spec": spec}


def deployment(labels):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "d"}},
                     "template": {"metadata": {"labels": {"app": "d", **labels}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}}}


def gateway(purpose):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "g", "namespace": "default", "labels": {"istio.io/waypoint-for": purpose}},
            "spec": {"gatewayClassName": "weft-waypoint", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]}}


BAD = [
    (pod({"weft.dev/mesh": "true"}), 'metadata.labels["weft.dev/mesh"]: "true" is neither enabled nor disabled'),
    (namespace({"weft.dev/mesh": "Enabled"}), 'metadata.labels["weft.dev/mesh"]: "Enabled" is neither enabled nor disabled'),
    (namespace({"istio.io/dataplane-mode": "sidecar"}), 'metadata.labels["istio.io/dataplane-mode"]: "sidecar" is neither ambient nor none'),
    (deployment({"weft.dev/mesh": "on"}), 'spec.template.metadata.labels["weft.dev/mesh"]: "on" is neither enabled nor disabled'),
    (policy(action="DENY"), "spec.rules: a DENY without rules denies nothing"),
    (policy(rules=[{"from": [{"source": {"ipBlocks": ["10.0.0.0/8", "10.0.0.300"]}}]}]), 'spec.rules[].from[].source.ipBlocks: "10.0.0.300" is no IP address'),
    (policy(rules=[{"to": [{"operation": {"ports": ["80"]}}]}, {"to": [{"operation": {"ports": ["http"]}}]}]),
     'spec.rules[].to[].operation.ports: "http" is no port'),
    (policy(rules=[{"to": [{"operation": {"ports": ["70000"]}}]}]), 'spec.rules[].to[].operation.ports: "70000" is no port'),
    (gateway("services"), 'metadata.labels["istio.io/waypoint-for"]: "services" is none of service, workload, all, none'),
]
GOOD = [
    pod({"weft.dev/mesh": "disabled"}), pod({}), namespace({"weft.dev/mesh": "enabled", "istio.io/dataplane-mode": "ambient"}), namespace({"app": "x"}),
    deployment({"weft.dev/mesh": "enabled"}), deployment({}), policy(action="DENY", rules=[{}]), policy(action="ALLOW"), policy(),
    policy(rules=[{"from": [{"source": {"ipBlocks": ["10.0.0.1", "fd00::/8"], "principals": ["*"]}}], "to": [{"operation": {"ports": ["1", "65535"]}}]}]),
    policy(rules=[{"from": [{"source": {"namespaces": ["a"]}}]}, {"when": [{"key": "source.ip", "values": ["1.2.3.4"]}]}]), gateway("all"),
]


def test_k11_common_mistakes_are_refused_with_field_and_value(full):
    full.api.wait(lambda: admission_works(full), 20)
    for obj, words in BAD:
        assert words in full.refused(obj), obj


def admission_works(world):
    try:
        world.refused(BAD[0][0])
        return True
    except BaseException:  # pytest's own for a call that raised nothing, too
        return False


def test_k11_what_is_right_is_taken(full):
    full.api.wait(lambda: admission_works(full), 20)
    for obj in GOOD:
        full.taken(obj)


def test_k11_what_was_wrong_before_may_still_be_changed(full):
    full.api.wait(lambda: admission_works(full), 20)
    old = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}}
    full.api.patch(old, {"metadata": {"annotations": {"touched": "yes"}}})
    with pytest.raises(urllib.error.HTTPError) as caught:
        full.api.patch(old, {"metadata": {"labels": {"weft.dev/mesh": "yes"}}})
    assert b'\\"yes\\" is neither enabled nor disabled' in caught.value.read()
    full.api.patch(old, {"metadata": {"labels": {"weft.dev/mesh": "enabled"}}})


def test_the_render_is_what_kubectl_makes_of_it():
    """tools/manifests.py knows the part of kustomize that these directories use."""
    kubectl = f"{os.environ['WEFT_KUBE_BIN']}/kubectl"
    if not os.path.exists(kubectl):
        pytest.skip("needs a kubectl in WEFT_KUBE_BIN")
    import yaml
    for name in (".", *(f"overlays/{profile}" for profile in PROFILES), "uninstall"):
        path = f"{ROOT}/deploy/daemonset/{name}"
        theirs = subprocess.run([kubectl, "kustomize", path], capture_output=True, text=True, check=True, timeout=60).stdout
        key = manifests.key
        assert {key(one): one for one in yaml.safe_load_all(theirs)} == {key(one): one for one in manifests.compose(path)}, name
