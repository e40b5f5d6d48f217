"""Metrics and logs: Istio's names, promtool's blessing, a real Prometheus that scrapes and answers."""

import json
import os
import re
import subprocess
import time
import urllib.parse

import pytest
import weft
from weft import eventually, namespace, pod, python_app, service

LABELS = ["reporter", "source_workload", "source_canonical_service", "source_canonical_revision", "source_workload_namespace",
          "source_principal", "source_app", "source_version", "source_cluster", "destination_service", "destination_service_namespace",
          "destination_service_name", "destination_workload", "destination_canonical_service", "destination_canonical_revision",
          "destination_workload_namespace", "destination_principal", "destination_app", "destination_version", "destination_cluster",
          "request_protocol", "response_flags", "connection_security_policy"]


@pytest.fixture(scope="module")
def world(mesh):
    mesh.apply([namespace("count", True), pod("count", "server", python_app("echo", 7000), node="node2", ready_port=7000),
                pod("count", "client", node="node1"), service("count", "server", [7000])])
    mesh.wait("pod", "server", ns="count")
    mesh.wait("pod", "client", ns="count")
    mesh.wait_captured(("count", "server"), ("count", "client"))
    yield mesh
    mesh.delete("namespace", "count")


def count(mesh, node, name, reporter):
    return weft.total(mesh.metrics(node, 15020), name, reporter=reporter, source_workload="client", destination_workload="server",
                      destination_service="server.count.svc.cluster.local" if reporter == "source" else "server.count.svc.cluster.local")


def test_both_ends_count_connections_and_bytes_exactly(world):
    before = {n: count(world, n, "istio_tcp_connections_opened_total", r) for n, r in (("node1", "source"), ("node2", "destination"))}
    vip = world.get("service", "server", "count")["spec"]["clusterIP"]
    out = json.loads(world.exec("count", "client", *python_app("client", "short", vip, 7000, 50)).stdout)
    assert out["counts"] == {"ok": 50}
    for node, reporter in (("node1", "source"), ("node2", "destination")):
        eventually(lambda: count(world, node, "istio_tcp_connections_opened_total", reporter) == before[node] + 50, what=f"{reporter} opened")
        eventually(lambda: count(world, node, "istio_tcp_connections_closed_total", reporter) == before[node] + 50, what=f"{reporter} closed")
        assert count(world, node, "istio_tcp_received_bytes_total", reporter) >= 50
        assert count(world, node, "istio_tcp_sent_bytes_total", reporter) >= 50


def test_series_carry_istios_labels_in_order_and_both_principals(world):
    vip = world.get("service", "server", "count")["spec"]["clusterIP"]
    world.exec("count", "client", *python_app("client", "short", vip, 7000, 3))
    text = world.node_exec("node1", "curl", "-sf", f"http://{weft.node_ip('node1')}:15020/metrics").stdout
    line = next(l for l in text.splitlines() if l.startswith("istio_tcp_connections_opened_total{") and 'destination_service="server.count.svc' in l)
    names = re.findall(r'(\w+)="', line)
    assert names[:len(LABELS)] == LABELS
    assert 'source_principal="spiffe://cluster.local/ns/count/sa/default"' in line
    assert 'connection_security_policy="mutual_tls"' in line and 'request_protocol="tcp"' in line and 'response_flags="-"' in line


@pytest.mark.parametrize("port", [15020, 15030])
def test_promtool_finds_nothing_to_complain_about(world, port):
    text = world.node_exec("node1", "curl", "-sf", f"http://{weft.node_ip('node1')}:{port}/metrics").stdout
    result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and not result.stderr.strip(), result.stderr + result.stdout


def test_the_agent_reports_what_the_kernel_did(world):
    samples = world.metrics("node1", 15030)
    assert weft.total(samples, "weft_bpf_events_total", hook="connect", result="captured") > 0
    names = {s[0] for s in samples}
    for name in ("weft_bpf_map_entries", "weft_bpf_map_max_entries", "weft_bpf_program_info", "weft_config_generation", "weft_pods"):
        assert name in names, name


def test_a_real_prometheus_scrapes_and_answers(world, tmp_path):
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [
        {"job_name": "ztunnel", "static_configs": [{"targets": ["172.31.0.1:15020", "172.31.0.2:15020"]}]},
        {"job_name": "agent", "static_configs": [{"targets": ["172.31.0.1:15030", "172.31.0.2:15030"]}]}]}
    path = tmp_path / "prometheus.yml"
    path.write_text(json.dumps(config))
    process = world.node_popen("node1", "prometheus", f"--config.file={path}", f"--storage.tsdb.path={tmp_path}/data", "--web.listen-address=127.0.0.1:19090",
                               "--log.level=error", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        vip = world.get("service", "server", "count")["spec"]["clusterIP"]
        world.exec("count", "client", *python_app("client", "short", vip, 7000, 5))
        query = 'sum(istio_tcp_connections_opened_total{destination_service="server.count.svc.cluster.local"}) by (reporter)'
        url = "http://127.0.0.1:19090/api/v1/query?query=" + urllib.parse.quote(query)

        def answered():
            data = json.loads(world.node_exec("node1", "curl", "-sf", url).stdout)["data"]["result"]
            return {d["metric"]["reporter"] for d in data} == {"source", "destination"}

        eventually(answered, 20, 0.5, "Prometheus answers")
    finally:
        weft.stop(process)
