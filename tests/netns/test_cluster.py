"""The sandbox is a small Kubernetes: workloads, configuration, probes, names and endpoints as a cluster has them."""

import json
import os
import shutil
import subprocess
import time

import pytest
import weft
from weft import APPS, PYTHON, eventually, namespace, pod, python_app, service


@pytest.fixture
def ns(mesh, request):
    name = "k-" + request.node.name[5:].split("[")[0].replace("_", "-")[:40].strip("-") + request.node.name[-3:-1].strip("_]")
    mesh.apply([namespace(name)])
    yield name
    mesh.delete("namespace", name, check=False, wait=False)


def workload(kind, ns, name, command, **spec):
    api = "batch/v1" if kind == "Job" else "apps/v1"
    container = {"name": "main", "image": "none", "command": command, **spec.pop("container", {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec.pop("pod", {})}}
    selector = {} if kind == "Job" else {"selector": {"matchLabels": {"app": name}}}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": ns}, "spec": {"template": template, **selector, **spec}}


def test_a_job_runs_to_its_end_and_a_failing_one_gives_up(mesh, ns):
    mesh.apply([workload("Job", ns, "good", ["/bin/sh", "-c", "echo done"], completions=2, pod={"restartPolicy": "Never"}),
                workload("Job", ns, "bad", ["/bin/sh", "-c", "exit 3"], backoffLimit=1, pod={"restartPolicy": "Never"})])
    mesh.wait("job", "good", "Complete", ns=ns)
    mesh.wait("job", "bad", "Failed", ns=ns)
    status = mesh.get("job", "good", ns)["status"]
    assert status["succeeded"] == 2 and status.get("failed", 0) == 0, status
    name = next(p["metadata"]["name"] for p in mesh.get("pod")["items"] if p["metadata"]["labels"].get("job-name") == "good")
    assert mesh.sb("logs", name, "-n", ns).stdout == "done\n"


def test_a_stateful_set_gives_each_pod_a_name_that_stays(mesh, ns):
    mesh.apply([service(ns, "peers", [7000], {"app": "db"}, headless=True),
                workload("StatefulSet", ns, "db", python_app("echo", 7000, "names"), replicas=2, serviceName="peers",
                         container={"readinessProbe": {"tcpSocket": {"port": 7000}, "periodSeconds": 1}})])
    mesh.wait("statefulset", "db", "Available", ns=ns)
    names = sorted(p["metadata"]["name"] for p in mesh.get("pod")["items"] if p["metadata"]["namespace"] == ns)
    assert names == ["db-0", "db-1"]
    assert mesh.exec(ns, "db-1", "hostname").stdout == "db-1\n"
    uid = mesh.get("pod", "db-0", ns)["metadata"]["uid"]
    mesh.delete("pod", "db-0", ns)
    eventually(lambda: mesh.get("pod", "db-0", ns)["metadata"]["uid"] != uid, what="db-0 comes again under its name")
    mesh.wait("pod", "db-0", ns=ns)
    found = eventually(lambda: mesh.exec(ns, "db-1", "dig", "+short", "+search", "db-0.peers").stdout.split())
    assert found == [i for i in mesh.pod_ips(ns, "db-0") if ":" not in i]


def test_config_maps_and_secrets_are_environment_and_files(mesh, ns):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": ns}, "data": {"GREETING": "hello", "app.ini": "[a]\nb=1\n"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec", "namespace": ns}, "data": {"password": "czNjcjN0"}}
    p = pod(ns, "p", ["sleep", "9999"], volumes=[{"name": "c", "configMap": {"name": "conf", "items": [{"key": "app.ini", "path": "sub/app.ini"}]}},
                                                  {"name": "s", "secret": {"secretName": "sec"}}, {"name": "e", "emptyDir": {}}])
    main = p["spec"]["containers"][0]
    main["env"] = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "password"}}},
                   {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "BOTH", "value": "$(ME)-$(GREETING)"}]
    main["envFrom"] = [{"configMapRef": {"name": "conf"}}]
    main["volumeMounts"] = [{"name": "c", "mountPath": "/mnt/conf"}, {"name": "s", "mountPath": "/mnt/sec", "readOnly": True}, {"name": "e", "mountPath": "/mnt/empty"}]
    mesh.apply([config, secret, p])
    mesh.wait("pod", "p", ns=ns)
    out = mesh.exec(ns, "p", "/bin/sh", "-c", "echo $PASSWORD $BOTH; cat /mnt/conf/sub/app.ini /mnt/sec/password; touch /mnt/empty/x && ls /mnt/empty").stdout
    assert out == "s3cr3t p-hello\n[a]\nb=1\ns3cr3tx\n", out
    missing = pod(ns, "q")
    missing["spec"]["containers"][0]["env"] = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]
    mesh.apply([missing])
    eventually(lambda: "no" in json.dumps(mesh.get("pod", "q", ns)["status"]) and mesh.get("pod", "q", ns)["status"]["phase"] == "Pending")


TLS_SERVER = """
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" and self.headers["X-Probe"] == "yes" else 500)
        self.end_headers()
server = http.server.HTTPServer(("0.0.0.0", 8443), H)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def is_ready(mesh, ns, name):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in mesh.get("pod", name, ns)["status"].get("conditions", []))


def test_an_https_probe_asks_over_tls_whoever_signed(mesh, ns, tmp_path):
    os.chmod(tmp_path, 0o755)
    cert = f"{tmp_path}/both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x", "-keyout", f"{tmp_path}/key.pem", "-out", f"{tmp_path}/crt.pem"],
                   check=True, capture_output=True)
    with open(cert, "w", encoding="utf-8") as out:
        for part in ("key.pem", "crt.pem"):
            out.write(open(f"{tmp_path}/{part}", encoding="utf-8").read())
    for name, path in (("good", "/ready"), ("bad", "/other")):
        p = pod(ns, name, [PYTHON, "-c", TLS_SERVER, cert])
        p["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1, "httpGet": {"scheme": "HTTPS", "port": 8443, "path": path,
                                                                                        "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}}
        mesh.apply([p])
    mesh.wait("pod", "good", ns=ns)
    assert not is_ready(mesh, ns, "bad")


def test_a_grpc_probe_asks_the_health_service(mesh, ns):
    for name, port, wanted in (("good", 7100, "SERVING"), ("bad", 7101, "NOT_SERVING")):
        p = pod(ns, name, python_app("grpc_health", port, wanted))
        p["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1, "grpc": {"port": port, "service": "shop"}}
        mesh.apply([p])
    mesh.wait("pod", "good", ns=ns)
    eventually(lambda: "asked for shop" in mesh.sb("logs", "bad", "-n", ns).stdout)
    assert not is_ready(mesh, ns, "bad")


def test_endpoints_are_shown_as_a_cluster_would_write_them(mesh, ns):
    mesh.apply([pod(ns, "web", python_app("echo", 7000), ready_port=7000), service(ns, "web", [{"name": "tcp", "port": 80, "targetPort": 7000}])])
    mesh.wait("pod", "web", ns=ns)
    ips = mesh.pod_ips(ns, "web")
    [subset] = mesh.get("endpoints", "web", ns)["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == [i for i in ips if ":" not in i] and subset["ports"][0]["port"] == 7000
    slices = [s for s in mesh.get("endpointslices")["items"] if s["metadata"]["namespace"] == ns]
    assert {a for s in slices for e in s["endpoints"] for a in e["addresses"]} == set(ips)
    assert f"{[i for i in ips if ':' not in i][0]}:7000" in mesh.sb("get", "ep", "-n", ns).stdout


def test_an_external_name_leads_to_its_service(mesh, ns):
    mesh.apply([pod(ns, "web", python_app("echo", 7000, "names"), ready_port=7000), service(ns, "web", [7000]), pod(ns, "c"),
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alias", "namespace": ns},
                 "spec": {"type": "ExternalName", "externalName": f"web.{ns}.svc.cluster.local"}}])
    mesh.wait("pod", "web", ns=ns)
    mesh.wait("pod", "c", ns=ns)
    ask = lambda: json.loads(mesh.exec(ns, "c", *python_app("client", "names", "alias", 7000)).stdout)
    assert eventually(ask)["client"]["peer"][0] in mesh.get("service", "web", ns)["spec"]["clusterIPs"]
    mesh.label("namespace", ns, "weft.dev/mesh=enabled")
    mesh.wait_captured((ns, "web"), (ns, "c"))
    assert eventually(ask)["client"]["peer"][0] in mesh.get("service", "web", ns)["spec"]["clusterIPs"]


def test_a_cluster_ip_out_of_range_is_refused_as_kubernetes_does(mesh, ns):
    result = mesh.apply([service(ns, "far", [80], clusterIP="10.97.0.1")], check=False)
    assert result.returncode == 1 and "The range of valid IPs is 10.96.0.0/16" in result.stderr, result.stderr


def test_a_changing_command_without_a_name_says_which_sandbox_it_took(mesh, ns):
    others = [n for n in os.listdir("/run/weft/sandbox") if n != mesh.name]
    env = {k: v for k, v in os.environ.items() if k != "WEFT_SANDBOX"}
    result = subprocess.run([weft.WEFTCTL, "sandbox", "label", "namespace", ns, "a=b"], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, check=False)
    if others:
        assert result.returncode == 1 and "several sandboxes are up" in result.stderr
    else:
        assert result.returncode == 0 and result.stderr == f"sandbox {mesh.name}\n", result


COMPLETE = {"bash": 'source /dev/stdin; COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _weftctl; printf "%s\\n" "${{COMPREPLY[@]}}"',
            "fish": "source -; complete -C '{}'"}


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_the_completion_script_completes(mesh, ns, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = mesh.ctl("completion", shell).stdout
    if shell == "zsh":
        assert subprocess.run(["zsh", "-f", "-c", "autoload -U compinit; compinit -u -D; source /dev/stdin; whence _weftctl"], input=script, text=True, capture_output=True, check=True).stdout
        return
    mesh.apply([pod(ns, "complete-me")])
    env = {**os.environ, "PATH": f"{weft.BIN}:{os.environ['PATH']}", "WEFT_SANDBOX": mesh.name}

    def words(line):
        last = line + ("''" if shell == "bash" and line.endswith(" ") else "")
        out = subprocess.run([shell, "-c", COMPLETE[shell].format(last)], input=script, text=True, capture_output=True, env=env, check=True).stdout
        return {w.split("\t")[0] for w in out.splitlines()}

    assert {"analyze", "check", "status", "sandbox"} <= words("weftctl ")
    assert words("weftctl ca ") == {"status", "rotate"}
    assert "virtualservices" in words("weftctl sandbox get ")
    if shell == "bash":
        assert {"apply", "exec", "wait"} <= words(f"weftctl --sandbox {mesh.name} sandbox ")
        assert words(f"weftctl sandbox exec -n {ns} ") == {"complete-me"}
        assert "complete-me" in words(f"weftctl sandbox logs -n {ns} ")
    assert {"apply", "exec", "wait"} <= words("weftctl sandbox ")
    assert words("weftctl sandbox restart contr") == {"controlplane"}
    assert ns in words("weftctl sandbox delete namespace ")


def test_get_takes_several_kinds_and_shows_what_is_there(mesh, ns):
    mesh.apply([pod(ns, "one"), service(ns, "web", [80])])
    out = mesh.sb("get", "pods,svc", "-n", ns, "-o", "name").stdout.split()
    assert out == ["pod/one", "service/web"], out
    assert set(mesh.sb("get", "all", "-n", ns, "-o", "name").stdout.split()) == {"pod/one", "service/web"}
    table = mesh.sb("get", "all", "-n", ns).stdout
    assert "CLUSTER-IP" in table and "RESTARTS" in table
    some = mesh.sb("get", "pod", "gone", "one", "-n", ns, "-o", "name", check=False)
    assert some.returncode == 1 and some.stdout == "pod/one\n" and '"gone" not found' in some.stderr, some
    bad = mesh.sb("get", "pods", "-l", "a b", "-n", ns, check=False)
    assert bad.returncode == 1 and "is not a label's key" in bad.stderr, bad


def test_logs_and_exec_find_a_pod_of_what_is_named_and_say_which_log_it_is(mesh, ns):
    mesh.apply([workload("Deployment", ns, "app", ["/bin/sh", "-c", "echo hello; exec sleep 999"]), service(ns, "web", [80], {"app": "app"}),
                service(ns, "bare", [80], {"app": "nobody"})])
    mesh.wait("deployment", "app", "Available", ns=ns)
    name = mesh.sb("get", "pods", "-n", ns, "-o", "name").stdout.strip().removeprefix("pod/")
    for word in ("deployment/app", "svc/web", f"pod/{name}"):
        assert mesh.sb("logs", word, "-n", ns).stdout == "hello\n"
        assert mesh.exec(ns, word, "hostname").stdout == name + "\n"
    gone = mesh.sb("logs", "svc/bare", "-n", ns, check=False)
    assert gone.returncode == 1 and "there is no pod of svc/bare" in gone.stderr, gone
    log = mesh.sb("logs", "ztunnel", "--tail", "1")
    assert log.stderr == "ztunnel on node1; for that on node2 add --node\n", log.stderr
    assert mesh.sb("logs", "ztunnel", "--node", "node2", "--tail", "1").stderr == ""


def test_help_is_a_word_too():
    out = lambda *argv: subprocess.run([weft.WEFTCTL, *argv], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    assert out("help", "sandbox", "get") == out("sandbox", "get", "--help")
    assert "Subcommands" in out("help")


def test_pods_of_an_agent_that_is_away_stay_listed(fresh):
    s = fresh(nodes=1)
    s.apply([namespace("x", True), pod("x", "p", node="node1")])
    s.wait_captured(("x", "p"))
    s.sb("stop", "agent")
    shown = s.ctl("status", "-o", "json", check=False)
    assert shown.returncode == 1 and [(p["name"], p["state"]) for p in json.loads(shown.stdout)["pods"]] == [("p", "unknown")], shown


def test_another_user_is_told_that_a_sandbox_is_roots(mesh):
    # The build may lie below a directory that others cannot enter: the program goes along as a descriptor.
    with open(weft.WEFTCTL, "rb") as program:
        argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", f"/proc/self/fd/{program.fileno()}", "--sandbox", mesh.name, "status"]
        result = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, pass_fds=[program.fileno()])
    assert result.returncode == 1 and "run weftctl as root" in result.stderr, result


def test_version_flags(mesh):
    for argv in (["--version"], ["version"]):
        out = subprocess.run([weft.WEFTCTL, *argv], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
        assert any(ch.isdigit() for ch in out) and len(out.splitlines()) <= 2, out


def test_pods_that_no_node_takes_are_shown_with_the_reason(mesh, ns):
    mesh.apply([pod(ns, "lost", node="node9")])
    rows = [p for p in json.loads(mesh.ctl("status", "-o", "json").stdout)["pods"] if p["name"] == "lost"]
    assert [r["state"] for r in rows] == ["unplaced"] and 'there is no node "node9"' in rows[0]["reason"], rows
    assert "unplaced" in mesh.ctl("status").stdout
    check = mesh.ctl("check", "-o", "json", check=False)
    found = [c for c in json.loads(check.stdout)["checks"] if c["check"] == f"pod {ns}/lost is on a node"]
    assert check.returncode == 1 and [c["result"] for c in found] == ["failed"], found


def test_the_last_object_of_a_kind_can_be_deleted(mesh, ns):
    mesh.apply([{"apiVersion": "example.com/v1", "kind": "Oddity", "metadata": {"name": "one", "namespace": ns}}])
    gone = mesh.sb("delete", "oddity", "one", "-n", ns, check=False)
    assert gone.returncode == 0 and "deleted" in gone.stdout, gone.stderr


@pytest.mark.parametrize("change,words", [("two words=x", "Invalid value"), ("app=a b", "metadata.labels.app"),
                                          ("weft.dev/mesh=yes", 'supported values: "enabled", "disabled"')], ids=["key", "value", "mesh"])
def test_a_label_that_kubernetes_or_the_mesh_does_not_know_is_refused(mesh, ns, change, words):
    before = mesh.get("namespace", ns)
    out = mesh.sb("label", "namespace", ns, change, check=False)
    assert out.returncode == 1 and words in out.stderr, out
    assert mesh.get("namespace", ns) == before


def test_the_log_of_a_node_that_is_not_there_names_the_nodes_that_are(mesh):
    out = mesh.sb("logs", "ztunnel", "--node", "node9", check=False)
    assert out.returncode == 1 and '"node9" not found (there are node1, node2)' in out.stderr, out


def test_exec_takes_options_after_the_pod(mesh, ns):
    two = pod(ns, "two", ["sleep", "600"], node="node1")
    two["spec"]["containers"].append({"name": "second", "command": ["sleep", "600"], "env": [{"name": "WHICH", "value": "second"}]})
    mesh.apply([two])
    mesh.wait("pod", "two", ns=ns)
    out = mesh.sb("exec", "two", "-n", ns, "-c", "second", "--", "/bin/sh", "-c", "echo $WHICH -c $0", "--", check=False)
    assert out.stdout == "second -c --\n", out
    assert mesh.sb("exec", "-n", ns, "two", "--", check=False).returncode == 64


@pytest.mark.parametrize("handler, grace, wanted", [
    ({"exec": {"command": ["/bin/sh", "-c", "sleep 1; echo pre >> $FILE"]}}, 10, ["pre", "term"]),
    ({"sleep": {"seconds": 1}}, 10, ["term"]),
    ({"exec": {"command": ["/nowhere"]}}, 10, ["term"]),
    ({"exec": {"command": ["sleep", "60"]}}, 1, []),
], ids=["exec", "sleep", "broken", "endless"])
def test_pre_stop_comes_before_the_end_and_within_the_grace(mesh, ns, tmp_path, handler, grace, wanted):
    file = tmp_path / "said"
    file.write_text("")
    one = pod(ns, "p", ["/bin/sh", "-c", f"trap 'echo term >> {file}; exit' TERM; while :; do sleep 0.1; done"], node="node1", terminationGracePeriodSeconds=grace)
    one["spec"]["containers"][0] |= {"lifecycle": {"preStop": handler}, "env": [{"name": "FILE", "value": str(file)}]}
    mesh.apply([one])
    mesh.wait("pod", "p", ns=ns)
    begun = time.monotonic()
    mesh.delete("pod", "p", ns)
    took = time.monotonic() - begun
    assert file.read_text().split() == wanted
    assert took < 6 and (took >= 1 or "/nowhere" in str(handler)), took
