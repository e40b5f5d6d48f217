"""A11: what is wrong is said once, with its place and value, and changes nothing."""

import json
import os
import subprocess
import time

import pytest
import weft
from weft import eventually, namespace, pod, python_app

NS = "bad"


def doc(kind, spec=None, api="v1", name="x", **more):
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": NS, **more.pop("meta", {})}, **({"spec": spec} if spec is not None else {}), **more})


def policy(**spec):
    return doc("AuthorizationPolicy", spec, "security.istio.io/v1")


def peer(**spec):
    return doc("PeerAuthentication", spec, "security.istio.io/v1")


def a_pod(container=None, **spec):
    return doc("Pod", {"containers": [{"name": "m", "image": "x", "command": ["true"], **(container or {})}], **spec})


def deployment(**spec):
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "m", "image": "x", "command": ["true"]}]}}
    return doc("Deployment", {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec}, "apps/v1")


# name: (manifest, words that the error has)
MANIFESTS = {
    "unclosed bracket": ("{apiVersion: v1, kind: [Pod", ["stdin"]),
    "tab": ("apiVersion: v1\n\tkind: Pod\n", ["stdin"]),
    "a list": ("- 1\n- 2\n", ["stdin"]),
    "a word": ("hello\n", ["stdin"]),
    "nothing at all": ("---\n", ["no objects"]),
    "no kind": ('{"apiVersion":"v1","metadata":{"name":"x"}}', ["kind"]),
    "no apiVersion": ('{"kind":"Pod","metadata":{"name":"x"}}', ["apiVersion"]),
    "no name": ('{"apiVersion":"v1","kind":"Pod","metadata":{}}', ["name"]),
    "metadata is text": ('{"apiVersion":"v1","kind":"Pod","metadata":"x"}', ["metadata"]),
    "name in capitals": (doc("ConfigMap", name="Capital_X"), ["name", "Capital_X"]),
    "labels are a list": (doc("ConfigMap", meta={"labels": ["a"]}), ["labels"]),
    "a label is a number": (doc("ConfigMap", meta={"labels": {"a": 1}}), ["labels"]),
    "unknown namespace": (doc("ConfigMap", meta={"namespace": "nowhere-at-all"}), ["nowhere-at-all"]),
    "pod without containers": (doc("Pod", {}), ["containers"]),
    "containers are text": (doc("Pod", {"containers": "m"}), ["containers"]),
    "container without a name": (a_pod({"name": ""}), ["name"]),
    "container port too large": (a_pod({"ports": [{"containerPort": 70000}]}), ["containerPort", "70000"]),
    "restart policy": (a_pod(restartPolicy="Sometimes"), ["restartPolicy", "Sometimes"]),
    "service port 0": (doc("Service", {"ports": [{"port": 0}]}), ["port", "0"]),
    "service port is text": (doc("Service", {"ports": [{"port": "http"}]}), ["port"]),
    "service protocol": (doc("Service", {"ports": [{"port": 80, "protocol": "IPX"}]}), ["protocol", "IPX"]),
    "cluster address is none": (doc("Service", {"clusterIP": "10.96.1", "ports": [{"port": 80}]}), ["clusterIP", "10.96.1"]),
    "cluster address of another": (doc("Service", {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}), ["clusterIP", "10.96.0.10"]),
    "replicas are text": (deployment(replicas="three"), ["replicas"]),
    "selector does not fit": (deployment(selector={"matchLabels": {"app": "other"}}), ["selector"]),
    "unknown action": (policy(action="MAYBE"), ["action", "MAYBE"]),
    "rules are a map": (policy(rules={"from": []}), ["rules"]),
    "address block": (policy(rules=[{"from": [{"source": {"ipBlocks": ["300.1.1.1"]}}]}]), ["ipBlocks", "300.1.1.1"]),
    "policy port": (policy(rules=[{"to": [{"operation": {"ports": ["http"]}}]}]), ["ports", "http"]),
    "unknown mode": (peer(mtls={"mode": "SOMETIMES"}), ["mode", "SOMETIMES"]),
}


@pytest.fixture(scope="module")
def world(mesh):
    mesh.apply([namespace(NS, True), pod(NS, "server", python_app("echo", 7000), node="node2", ready_port=7000), pod(NS, "client", node="node1")])
    for name in ("server", "client"):
        mesh.wait("pod", name, ns=NS)
    mesh.wait_captured((NS, "server"), (NS, "client"))
    eventually(lambda: talk(mesh) == "ok")
    yield mesh
    mesh.delete("namespace", NS, check=False, wait=False)


def talk(mesh):
    return json.loads(mesh.exec(NS, "client", *python_app("client", "try", mesh.pod_ips(NS, "server")[0], 7000)).stdout)["outcome"]


def one_error(result, words=()):
    text = result.stderr.strip()
    assert result.returncode in (1, 64), (result.returncode, text)
    assert text and len(text.splitlines()) <= 2, text
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} not in: {text}"


@pytest.mark.parametrize("case", MANIFESTS)
def test_apply_names_what_is_wrong_and_keeps_what_was(world, case):
    text, words = MANIFESTS[case]
    before = set(os.listdir(f"/run/weft/sandbox/{world.name}/objects"))
    one_error(world.apply(text, check=False), words)
    assert set(os.listdir(f"/run/weft/sandbox/{world.name}/objects")) == before


def test_traffic_is_as_before(world):
    assert talk(world) == "ok"


DROPPED = ["unclosed bracket", "tab", "a list", "no kind", "no name", "metadata is text", "labels are a list"]


def test_a_broken_file_in_the_directory_is_one_error_and_its_objects_stay(world):
    rule = policy(rules=[{"to": [{"operation": {"ports": ["7999"]}}]}])
    path = f"/run/weft/sandbox/{world.name}/objects/by-hand.yaml"

    def put(text):
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".tmp", path)

    def errors():
        return [line for line in world.logs("controlplane").splitlines() if "by-hand.yaml" in line and "error" in line]

    try:
        put(rule)
        eventually(lambda: talk(world) != "ok", what="the policy holds")
        for case in DROPPED:
            seen = len(errors())
            put(MANIFESTS[case][0])
            eventually(lambda: len(errors()) > seen, 3, what=f"{case} is told")
            time.sleep(0.1)
            assert len(errors()) == seen + 1, errors()[seen:]
            assert talk(world) != "ok", case
    finally:
        os.unlink(path)
    eventually(lambda: talk(world) == "ok")


def run(argv, **env):
    return subprocess.run(argv, env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=10, check=False)


@pytest.mark.parametrize("binary", ["weft-agent", "weft-controlplane", "weft-ztunnel", "weftctl"])
def test_an_unknown_flag_is_named(binary):
    result = run([f"{weft.BIN}/{binary}", *(["status"] if binary == "weftctl" else []), "--frobnicate"])
    assert result.returncode == 64
    one_error(subprocess.CompletedProcess(result.args, 64, "", result.stderr.splitlines()[0]), ["--frobnicate"])


VARIABLES = {"SECRET_TTL": "banana", "ZTUNNEL_WORKER_THREADS": "-3", "WEFT_IO": "carrier-pigeon", "XDS_ADDRESS": "ht:tp", "WEFT_METRICS_ADDR": "nowhere", "WEFT_LOG_LEVEL": "loudest",
             "XDS_ON_DEMAND": "perhaps", "TERMINATION_GRACE_PERIOD_SECONDS": "soon", "WEFT_DNS_UPSTREAM": "zz", "INSTANCE_IP": "1.2.3"}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_wrong_variable_of_ztunnel_is_named_with_its_value(name):
    result = run([f"{weft.BIN}/weft-ztunnel"], NODE_NAME="n", **{name: VARIABLES[name]})
    assert result.returncode == 64
    one_error(result, [name, VARIABLES[name]])


@pytest.mark.parametrize("argv", [["--sandbox", "a/b", "status"], ["status", "-o", "runes"], ["sandbox", "up", "--nodes", "0"], ["sandbox", "up", "--set", "frob=1"],
                                  ["sandbox", "up", "--set", "certificateTtl=banana"], ["sandbox", "up", "--set", "tracing=zipkin://zipkin:9411"], ["completion", "tcsh"]])
def test_a_wrong_argument_of_weftctl_is_named(argv):
    one_error(run([weft.WEFTCTL, *argv]), [argv[1] if argv[0] == "--sandbox" else argv[-1].split("=")[0]])


def test_a_named_sandbox_beats_the_variable(mesh):
    one_error(run([weft.WEFTCTL, "--sandbox", "nosuch", "status"], WEFT_SANDBOX=mesh.name), ["nosuch"])
