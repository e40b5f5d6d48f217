"""Requests through a waypoint, counted: as many as the load generator sent, for each reporter; lab 8's query in a real Prometheus."""

import json
import subprocess
import time
import urllib.parse

import pytest
import weft
from bookinfo import CONTROL
from weft import eventually

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
    labels = {"destination_service_name": "details", "source_principal": "spiffe://cluster.local/ns/default/sa/tool", "response_code": "403",
              "connection_security_policy": "mutual_tls"}
    time.sleep(0.5)
    before = now(book, **labels)
    assert book.ask(url, 40, "-X", "POST")["counts"] == {"403": 40}
    settled(book, "istio_requests_total", before, 40, **labels)
    lines = [one for one in book.mesh.logs("controlplane").splitlines() if "access reporter=" in one and "status=403" in one]
    assert len(lines) >= 40
    line = lines[-1]
    assert 'method="POST"' in line and "ns/default/sa/tool" in line and 'dst.service="details.default.svc.cluster.local"' in line, line
    book.mesh.delete("authorizationpolicy.security.istio.io", "details-no-post", ns=book.ns)


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
