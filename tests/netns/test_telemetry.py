"""Requests through a waypoint, counted: as many as the load generator sent, for each reporter; lab 8's query in a real Prometheus."""

import json
import subprocess
import time
import urllib.parse

import pytest
import weft
from bookinfo import CONTROL
from weft import eventually, pod, python_app, service

SUM_BY = "source_workload, source_version, destination_service_name, destination_workload, destination_version, request_protocol, response_code"
REPORTERS = ("waypoint", "source", "destination")


@pytest.fixture(scope="module")
def book(labs):
    # The waypoint comes by itself; requests before it go straight and are not counted here.
    def served(service, path):
        labs.ask(f"http://{service}:9080{path}", 1)
        return labs.counted(reporter="waypoint", destination_service_name=service) > 0

    for service, path in (("reviews", "/reviews/0"), ("details", "/details/0"), ("productpage", "/login")):
        eventually(lambda s=service, p=path: served(s, p), 30, 0.3, f"{service} is served by its waypoint")
    return labs


def settled(book, name, before, wanted, **labels):
    """Every reporter counted `wanted` more, and a second later no more than that."""
    def counted():
        samples = book.collected()
        return {r: weft.total(samples, name, reporter=r, **labels) - before[r] for r in REPORTERS} == dict.fromkeys(REPORTERS, wanted)

    eventually(counted, what=f"{wanted} of {name} {labels}")
    time.sleep(0.5)  # longer than Envoy holds its log back
    assert counted()


def now(book, name="istio_requests_total", **labels):
    samples = book.collected()
    return {r: weft.total(samples, name, reporter=r, **labels) for r in REPORTERS}


def test_w8_as_many_as_were_sent_by_each_answer(book):
    for service, path, code, n in (("details", "/details/0", "200", 300), ("details", "/details/x", "400", 30), ("productpage", "/nothing", "404", 70)):
        asked = {"source_workload": "tool", "destination_service": f"{service}.default.svc.cluster.local"}
        before, took = now(book, **asked, response_code=code), now(book, "istio_request_duration_milliseconds_count", **asked, response_code=code)
        got = book.ask(f"http://{service}:9080{path}", n, "-c", 4)["counts"]
        assert sum(got.values()) == n and all(key.startswith(code) for key in got), got
        settled(book, "istio_requests_total", before, n, **asked, response_code=code)
        settled(book, "istio_request_duration_milliseconds_count", took, n, **asked, response_code=code)


def test_w8_a_denied_request_is_counted_with_its_identity_and_logged(book):
    book.apply("""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: details-no-post}
spec: {selector: {matchLabels: {app: details}}, action: DENY, rules: [{to: [{operation: {methods: [POST]}}]}]}
""")
    url = "http://details:9080/details/0"
    eventually(lambda: "403" in book.ask(url, 1, "-X", "POST")["counts"], what="POST is denied")
    labels = {"destination_service_name": "details", "source_principal": "spiffe://cluster.local/ns/default/sa/tool", "response_code": "403"}
    time.sleep(0.5)
    before = now(book, **labels)
    assert book.ask(url, 40, "-X", "POST")["counts"] == {"403": 40}
    settled(book, "istio_requests_total", before, 40, **labels)
    secured = {(l["reporter"], l["connection_security_policy"]) for n, l, _ in book.collected()
               if n == "istio_requests_total" and all(l[k] == v for k, v in labels.items())}
    assert secured == {("waypoint", "mutual_tls"), ("destination", "mutual_tls"), ("source", "unknown")}
    lines = [one for one in book.mesh.logs("controlplane").splitlines() if "access reporter=" in one and "status=403" in one]
    assert len(lines) >= 40
    line = lines[-1]
    assert 'method="POST"' in line and "ns/default/sa/tool" in line and 'dst.service="details.default.svc.cluster.local"' in line, line
    book.mesh.delete("authorizationpolicy.security.istio.io", "details-no-post", ns=book.ns)


ROUTES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: details}
spec:
  host: details
  subsets: [{name: v1, labels: {version: v1}}, {name: v9, labels: {version: v9}}, {name: tls, labels: {version: v1}, trafficPolicy: {tls: {mode: SIMPLE}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details}
spec:
  hosts: [details]
  http:
  - {match: [{uri: {prefix: /nobody}}], route: [{destination: {host: details, subset: v9}}]}
  - {match: [{uri: {prefix: /tls}}], route: [{destination: {host: details, subset: tls}}], retries: {attempts: 0}}
  - {match: [{uri: {prefix: /retried}}], route: [{destination: {host: details, subset: tls}}], retries: {attempts: 2, retryOn: connect-failure}}
  - {match: [{uri: {prefix: /late}}], route: [{destination: {host: details, subset: v1}}], timeout: 0.2s}
  - {match: [{uri: {prefix: /direct}}], directResponse: {status: 404}}
  - {match: [{uri: {prefix: /details}}], route: [{destination: {host: details, subset: v1}}]}
"""


def test_w8_what_went_wrong_is_in_the_flags(book):
    """Envoy's abbreviations. A port that nobody listens on is UC and not UF here: the connection ends at the node's ztunnel, which took it."""
    base = "http://details:9080"
    book.apply(ROUTES)
    rows = [("/nobody", "503", "UH", ()), ("/tls", "503", "UF", ()), ("/retried", "503", "UF,URX", ()), ("/direct", "404", "-", ()),
            ("/elsewhere", "404", "NR", ()), ("/late", "504", "UT", ()), ("/details/0", "0", "DC", ("--timeout", "0.3"))]
    try:
        eventually(lambda: list(book.ask(base + "/nobody", 1)["counts"]) == ["503"], what="the routes")
        book.fault("details-v1", delay=1)
        time.sleep(0.5)
        for path, code, flags, more in rows:
            labels = {"destination_service_name": "details", "source_workload": "tool", "response_code": code, "response_flags": flags}
            before = now(book, **labels)
            got = book.ask(base + path, 20, "-c", 4, *more)["counts"]
            assert sum(got.values()) == 20 and all(key.startswith(code if code != "0" else "error") for key in got), (path, got)
            settled(book, "istio_requests_total", before, 20, **labels)
    finally:
        book.fault("details-v1")
        book.mesh.delete("virtualservice", "details", ns=book.ns)
        book.mesh.delete("destinationrule", "details", ns=book.ns)


def test_w8_a_grpc_answer_has_its_status_and_its_protocol(book):
    book.mesh.apply([pod(book.ns, "health", python_app("grpc_health", 7000, "SERVING"), node="node2", ready_port=7000),
                     service(book.ns, "health", [{"name": "grpc", "port": 7000, "targetPort": 7000}])])
    book.mesh.wait("pod", "health", ns=book.ns)
    book.mesh.wait_captured((book.ns, "health"))

    def call(method, n):
        return json.loads(book.mesh.exec(book.ns, "tool", *python_app("grpc_call", "health:7000", method, n)).stdout)

    good, other = "/grpc.health.v1.Health/Check", "/shop.Nothing/Here"
    eventually(lambda: call(good, 1) == {"OK": 1} and book.counted(reporter="waypoint", destination_service_name="health") > 0, 20, 0.3, "a waypoint")
    time.sleep(0.5)
    for method, name, status in ((good, "OK", "0"), (other, "UNIMPLEMENTED", "12")):
        labels = {"destination_service_name": "health", "request_protocol": "grpc", "grpc_response_status": status, "response_code": "200"}
        before, messages = now(book, **labels), [now(book, f"istio_{what}_messages_total", **labels) for what in ("request", "response")]
        assert call(method, 25) == {name: 25}
        settled(book, "istio_requests_total", before, 25, **labels)
        for what, then, each in zip(("request", "response"), messages, (1, 1 if name == "OK" else 0), strict=True):
            settled(book, f"istio_{what}_messages_total", then, 25 * each, **labels)
    assert book.counted(destination_service_name="health", request_protocol="http") == 0
    # What a policy refuses has a status too; Envoy says it in the head of its answer.
    book.apply("""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: health}
spec: {selector: {matchLabels: {app: health}}, action: DENY, rules: [{to: [{operation: {paths: ["/shop.*"]}}]}]}
""")
    eventually(lambda: call(other, 1) == {"PERMISSION_DENIED": 1}, what="the policy")
    time.sleep(0.5)
    labels = {"destination_service_name": "health", "request_protocol": "grpc", "grpc_response_status": "7"}
    before = now(book, **labels)
    assert call(other, 25) == {"PERMISSION_DENIED": 25}
    settled(book, "istio_requests_total", before, 25, **labels)
    book.mesh.delete("authorizationpolicy.security.istio.io", "health", ns=book.ns)


def test_w8_sizes_are_those_of_heads_and_bodies(book):
    asked = {"destination_service_name": "details", "source_workload": "tool", "response_code": "200"}
    sent = {}
    for size in (5000, 9000):
        before, answers = (now(book, f"istio_{what}_bytes_sum", **asked) for what in ("request", "response"))
        assert sum(book.ask("http://details:9080/details/0", 30, "-X", "POST", "--body", size)["counts"].values()) == 30
        count = now(book, "istio_request_bytes_count", **asked)
        eventually(lambda: now(book, "istio_request_bytes_sum", **asked)["source"] - before["source"] >= 30 * size, what="sizes")
        time.sleep(0.5)
        after, answered = (now(book, f"istio_{what}_bytes_sum", **asked) for what in ("request", "response"))
        sent[size] = {r: after[r] - before[r] for r in REPORTERS}
        assert all(answered[r] - answers[r] > 30 * 200 and count[r] > 0 for r in REPORTERS)
    assert {r: sent[9000][r] - sent[5000][r] for r in REPORTERS} == dict.fromkeys(REPORTERS, 30 * 4000)


def test_w8_a_tcp_connection_through_a_waypoint_is_counted_once(book):
    """By the waypoint as such; as source and destination by the ztunnels, at both ends of the two hops that it makes."""
    book.mesh.apply([pod(book.ns, "echo", python_app("echo", 7001), node="node2", ready_port=7001),
                     service(book.ns, "echo", [{"name": "tcp", "port": 7001, "targetPort": 7001}])])
    book.mesh.wait("pod", "echo", ns=book.ns)
    book.mesh.wait_captured((book.ns, "echo"))
    book.apply("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec: {hosts: [echo], tcp: [{route: [{destination: {host: echo, port: {number: 7001}}}]}]}
""")
    name = "istio_tcp_connections_opened_total"

    def talk(n):
        out = json.loads(book.mesh.exec(book.ns, "tool", *python_app("client", "short", "echo", 7001, n)).stdout)
        assert out["counts"] == {"ok": n}

    def rows():
        samples = book.collected() + [s for node in ("node1", "node2") for s in book.mesh.metrics(node, 15020)]
        out = {}
        for metric, labels, value in samples:
            if metric == name and "echo" in (labels["destination_service_name"], labels["destination_workload"]):
                key = (labels["reporter"], labels["source_workload"], labels["destination_service_name"], labels["destination_workload"])
                out[key] = out.get(key, 0) + value
        return out

    eventually(lambda: talk(1) or book.counted(name, reporter="waypoint", destination_service_name="echo") > 0, 20, 0.3, "a waypoint")
    time.sleep(0.5)
    before = rows()
    talk(20)
    time.sleep(1)
    rose = {key: value - before.get(key, 0) for key, value in rows().items() if value != before.get(key, 0)}
    hops = {("waypoint", "tool", "echo", "echo"), ("source", "tool", "echo", "weft-waypoint"), ("destination", "tool", "echo", "weft-waypoint"),
            ("source", "weft-waypoint", "unknown", "echo"), ("destination", "weft-waypoint", "echo", "echo")}
    assert rose == dict.fromkeys(hops, 20)
    book.mesh.delete("virtualservice", "echo", ns=book.ns)


def test_lab08_the_query_gives_three_series_in_a_real_prometheus(book, tmp_path):
    targets = [CONTROL, *[f"172.31.0.{n}:{port}" for n in (1, 2) for port in (15020, 15030)]]
    path = tmp_path / "prometheus.yml"
    path.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "weft", "static_configs": [{"targets": targets}]}]}))
    process = book.mesh.node_popen("node1", "prometheus", f"--config.file={path}", f"--storage.tsdb.path={tmp_path}/data",
                                   "--web.listen-address=127.0.0.1:19091", "--log.level=error", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def query(text):
        url = "http://127.0.0.1:19091/api/v1/query?query=" + urllib.parse.quote(text)
        return json.loads(book.mesh.node_exec("node1", "curl", "-sf", url).stdout)["data"]["result"]

    chosen = '{reporter="source", source_workload="productpage-v1", destination_service_name="reviews"}'
    try:
        eventually(lambda: [r["value"][1] for r in query("up")] == ["1"] * len(targets), 20, 0.5, "every target is up")
        book.ask("http://productpage:9080/productpage", 60, "-c", 4)

        def series():
            found = query(f"sum(rate(istio_requests_total{chosen}[1m])) by ({SUM_BY})")
            rates = [float(one["value"][1]) for one in found]
            return found if len(found) == 3 and all(rates) else []

        found = eventually(lambda: series() or (book.ask("http://productpage:9080/productpage", 6) and []), 20, 0.5, "three series with a rate")
        got = {(m["destination_version"], m["destination_workload"], m["request_protocol"], m["response_code"], m["source_version"])
               for m in (one["metric"] for one in found)}
        assert got == {(f"v{n}", f"reviews-v{n}", "http", "200", "v1") for n in (1, 2, 3)}, got
    finally:
        weft.stop(process)
