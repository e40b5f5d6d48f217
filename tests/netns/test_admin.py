"""ztunnel's admin port: what it shows and what it does; and the life of a ztunnel that asks for configuration as it needs it."""

import json
import time

import weft
from weft import authorization, eventually, namespace, pod, python_app, service


def admin(mesh, node, path, *curl):
    return mesh.node_exec(node, "curl", "-s", "--max-time", "5", *curl, f"http://127.0.0.1:15000{path}").stdout


def dump(mesh, node):
    return json.loads(admin(mesh, node, "/config_dump"))


def ready(mesh, node):
    out = mesh.node_exec(node, "curl", "-s", "--max-time", "5", "-w", " %{http_code}", f"http://{weft.node_ip(node)}:15021/healthz/ready").stdout
    return out.rsplit(" ", 1)


def build_world(mesh, ns):
    mesh.apply([namespace(ns, True), pod(ns, "server", python_app("echo", 7000), node="node2", ready_port=7000),
                pod(ns, "client", node="node1"), service(ns, "server", [7000])])
    for name in ("server", "client"):
        mesh.wait("pod", name, ns=ns)
    mesh.wait_captured((ns, "server"), (ns, "client"))
    return mesh.pod_ips(ns, "server")[0]


def attempt(mesh, ns, host):
    return json.loads(mesh.exec(ns, "client", *python_app("client", "try", host, 7000)).stdout)


def test_config_dump_counts_the_connections_of_each_pod(mesh, cleanup):
    cleanup("counted")
    ip = build_world(mesh, "counted")
    eventually(lambda: attempt(mesh, "counted", ip)["outcome"] == "ok")

    def counts():
        return {state["info"]["name"]: state["connections"] for node in ("node1", "node2") for state in dump(mesh, node)["workloadState"].values()
                if state["info"]["namespace"] == "counted"}

    def are(number):
        told = counts()
        assert told == {"client": number, "server": number}
        return True

    eventually(lambda: are(0), what="nothing is open")
    streams = [mesh.popen("counted", "client", *python_app("client", "stream", ip, 7000, 6), stdout=-1, text=True) for _ in range(3)]
    eventually(lambda: are(3), 5, what="three are")
    assert all(json.loads(s.communicate(timeout=30)[0])["outcome"] == "ok" for s in streams)
    eventually(lambda: are(0), what="none is left")


def test_a_drained_ztunnel_keeps_what_is_open_and_takes_nothing_more(fresh):
    mesh = fresh()
    ip = build_world(mesh, "drain")
    eventually(lambda: attempt(mesh, "drain", ip)["outcome"] == "ok")
    [pid] = mesh.pids("weft-ztunnel", "node1")
    stream = mesh.popen("drain", "client", *python_app("client", "stream", ip, 7000, 4), stdout=-1, text=True)
    time.sleep(1)
    assert admin(mesh, "node1", "/drain", "-X", "POST") == "draining\n"
    text, code = ready(mesh, "node1")
    assert code == "500" and "draining" in text
    out = attempt(mesh, "drain", ip)
    assert out["outcome"] in ("refused", "reset", "eof") and out["seconds"] < 2, out
    assert json.loads(stream.communicate(timeout=30)[0])["outcome"] == "ok"
    assert mesh.pids("weft-ztunnel", "node1") == [pid], "it drains; it does not end"
    assert json.loads(admin(mesh, "node1", "/config_dump"))["workloads"]
    mesh.sb("restart", "ztunnel", "--node", "node1")
    eventually(lambda: attempt(mesh, "drain", ip)["outcome"] == "ok", 5)


def test_on_demand_ztunnel_asks_for_what_is_used_and_no_more(fresh):
    mesh = fresh("onDemand=true")
    ip = build_world(mesh, "want")
    mesh.apply([namespace("other", True), *[pod("other", f"p{n}", node="node2") for n in range(5)], service("other", "unused", [7000], {"app": "p0"})])
    mesh.wait("pod", "p4", ns="other")
    vips = mesh.get("service", "server", "want")["spec"]["clusterIPs"]

    def known():
        told = dump(mesh, "node1")
        return {w["name"] for w in told["workloads"]} | {s["name"] for s in told["services"]}

    assert "server" not in known(), "nobody has asked for it"
    for host in [*vips, ip, "server"]:
        out = eventually(lambda: attempt(mesh, "want", host))
        assert out["outcome"] == "ok", (host, out)
    eventually(lambda: "server" in known())
    assert not {"p0", "p4", "unused"} & known(), "what nobody uses is not sent"
    line = [l for l in mesh.access("node2") if "inbound" in l and "server" in l]
    assert line and "spiffe://cluster.local/ns/want/sa/default" in line[-1], "mutual TLS, not passed through"
    # What was asked for stays up to date, and policy holds.
    mesh.apply([authorization("want", "no", action="DENY", rules=[{"to": [{"operation": {"ports": ["7000"]}}]}])])
    eventually(lambda: attempt(mesh, "want", ip)["outcome"] != "ok", 2)
    mesh.delete("AuthorizationPolicy", "no", "want")
    eventually(lambda: attempt(mesh, "want", ip)["outcome"] == "ok", 2)
    # With nobody to ask, what is known works and what is not ends soon.
    far = mesh.pod_ips("other", "p1")[0]
    mesh.sb("stop", "controlplane")
    assert attempt(mesh, "want", ip)["outcome"] == "ok"
    out = attempt(mesh, "want", far)
    assert out["outcome"] in ("refused", "reset", "eof") and out["seconds"] < 6, out
    mesh.sb("start", "controlplane")
    eventually(lambda: attempt(mesh, "want", vips[0])["outcome"] == "ok")
