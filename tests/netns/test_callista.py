"""The conference demos (ACC-CAL-1 to 4): composite → product, recommendation, review, through the edge and waypoints with the real Envoy.
Wide bands and few requests here; WEFT_LABS=1 asks a thousand times with the narrow ones. Ground truth: the applications' own counters."""

import json
import os
import time

import pytest
import weft
from bookinfo import Bookinfo
from weft import account, eventually, namespace, pod, python_app, service

LONG = os.environ.get("WEFT_LABS") == "1"
N = 1000 if LONG else 300
SLACK = 1 if LONG else 2  # times the points of the long form
PARTS = ("product", "recommendation", "review")


class Landscape(Bookinfo):
    """Its own program in a namespace with the sidecar era's label, both versions of each part, and a client outside of the mesh."""

    def __init__(self, mesh):
        self.mesh, self.ns = mesh, "landscape"
        roles = [("composite", "v1"), *[(part, version) for part in PARTS for version in ("v1", "v2")]]
        mesh.apply([namespace(self.ns), namespace("outside"), pod("outside", "tool", node="node1")])
        mesh.label("namespace", self.ns, "istio-injection=enabled")
        mesh.apply([account(self.ns, name) for name in ("tool", "stranger", "composite", *PARTS)])
        mesh.apply([pod(self.ns, name, sa=name, node="node1") for name in ("tool", "stranger")])
        mesh.apply([self.part(role, version) for role, version in roles])
        mesh.apply([service(self.ns, role, [{"name": "http", "port": 8080}]) for role in ("composite", *PARTS)])
        for part in PARTS:
            self.apply(f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {part}}}
spec: {{host: {part}, subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]}}
---
""" + route(part, {"v1": 100}))
        self.apply("""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec: {hosts: ["*"], gateways: [edge], http: [{match: [{uri: {prefix: /composite}}], route: [{destination: {host: composite}}]}]}
""")
        for name in ("tool", "stranger", *[f"{role}-{version}" for role, version in roles]):
            mesh.wait("pod", name, ns=self.ns)
        mesh.wait("pod", "tool", ns="outside")
        mesh.wait_captured(*[(self.ns, f"{role}-{version}") for role, version in roles])
        self.edge = eventually(lambda: mesh.get("service", "istio-ingressgateway", "weft-system")["spec"]["clusterIP"], what="the edge")
        self.until(lambda: self.outside(3)["counts"] == {"200 composite-v1": 3}, 20, "the page through the edge")
        for part in PARTS:
            self.until(lambda p=part: self.mix(p, 6) == {"v1": 6}, what=f"{part} is v1")

    def part(self, role, version):
        return pod(self.ns, f"{role}-{version}", python_app("landscape", role, version), sa=role, node="node2" if version == "v1" and role != "composite" else "node1",
                   labels={"app": role, "version": version}, ready_port=8080)

    def outside(self, n, *more):
        out = self.mesh.exec("outside", "tool", *python_app("hammer", f"http://{self.edge}/composite/1", "-n", n, "-c", 4, *more), timeout=120).stdout
        return json.loads(out)

    def failing(self, n):
        """How product's failures come out: of the whole chain, or in the short form of the one hop, which costs a quarter."""
        return self.outside(n)["counts"] if LONG else self.ask("http://product:8080/product/1", n, "-c", 4)["counts"]

    def count(self, workload, prefix="/"):
        text = self.mesh.exec(self.ns, workload, "curl", "-s", "http://127.0.0.1:8080/__count").stdout
        return sum(n for key, n in json.loads(text).items() if key.split(" ", 1)[1].startswith(prefix))

    def fault(self, workload, **what):
        self.mesh.exec(self.ns, workload, "curl", "-s", "-d", json.dumps(what), "http://127.0.0.1:8080/__fault")

    def mix(self, part, n, *more):
        """{"v1": n, …} of a part, asked directly."""
        counts = self.ask(f"http://{part}:8080/{part}/1", n, "-c", 4, *more)["counts"]
        return {key.removeprefix(f"200 {part}-"): count for key, count in counts.items()}


def route(part, weights, more="", match=""):
    to = ", ".join(f"{{destination: {{host: {part}, subset: {version}}}, weight: {weight}}}" for version, weight in weights.items())
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {part}}}
spec: {{hosts: [{part}], http: [{match}{{route: [{to}]{more}}}]}}
---
"""


@pytest.fixture(scope="module")
def world(own_mesh):
    return Landscape(own_mesh)


@pytest.fixture
def land(world):
    """Every part at v1 and well, before and after."""
    yield world
    for part in PARTS:
        world.fault(f"{part}-v1")
        world.apply(route(part, {"v1": 100}))
    for part in PARTS:
        world.until(lambda p=part: world.mix(p, 6) == {"v1": 6}, what=f"{part} is well again")


def bad_percent(counts):
    return 100 * sum(n for key, n in counts.items() if not key.startswith("200")) / sum(counts.values())


def test_cal1_every_call_reaches_every_part_once(land):
    calls = 300 if LONG else 60
    before = {part: land.count(f"{part}-v1", f"/{part}") for part in PARTS}
    asked = land.count("composite-v1", "/composite")
    assert land.outside(calls)["counts"] == {"200 composite-v1": calls}
    assert land.count("composite-v1", "/composite") == asked + calls
    for part in PARTS:
        assert land.count(f"{part}-v1", f"/{part}") == before[part] + calls, part
        assert land.count(f"{part}-v2", f"/{part}") == 0, "V2 gets nothing before a rule says so"


def test_cal1_each_edge_is_counted_as_often_as_it_is_used(land):
    """Traces are in test_tracing.py."""
    calls = 100 if LONG else 40
    pairs = [("istio-ingressgateway", "composite"), *[("composite-v1", part) for part in PARTS]]
    counted = lambda: [land.counted(reporter="destination", source_workload=source, destination_service_name=service, response_code="200") for source, service in pairs]
    eventually(lambda: land.outside(1) and min(counted()) > 0, 20, 0.3, "every edge has a waypoint")
    time.sleep(0.6)  # longer than Envoy holds its log back
    before = counted()
    assert land.outside(calls)["counts"] == {"200 composite-v1": calls}
    eventually(lambda: [now - then for now, then in zip(counted(), before, strict=True)] == [calls] * 4, what="as many on every edge")


def test_cal2e_a_post_is_repeated_only_when_the_rule_says_so(land):
    land.fault("product-v1", status=503)
    url, post = "http://product:8080/product/5", ("-X", "POST", "--body", 4096)
    for rule, tries in (("", 1), (", retries: {attempts: 2, retryOn: connect-failure}", 1), (", retries: {attempts: 2, retryOn: 5xx}", 3)):
        land.apply(route("product", {"v1": 100}, rule))

        def asked(n):
            before = land.count("product-v1", "/product/5")
            assert land.ask(url, n, *post)["counts"] == {"503 product-v1": n}
            return land.count("product-v1", "/product/5") - before

        land.until(lambda t=tries: asked(1) == t, what=f"{tries} tries")
        assert asked(20) == 20 * tries, rule


def test_cal2_a_fault_of_a_fifth_that_retries_at_the_same_hop_do_not_mask(land):
    fault = ", fault: {abort: {percentage: {value: 20}, httpStatus: 500}}"
    for more in (fault, fault + ", retries: {attempts: 3, retryOn: 5xx}"):
        land.apply(route("product", {"v1": 100}, more))
        land.until(lambda: bad_percent(land.mix("product", 60)) > 3, what="the fault")
        before = land.count("product-v1", "/product")
        got = land.failing(N)
        assert abs(bad_percent(got) - 20) <= 4 * SLACK, (more, got)
        passed = sum(n for key, n in got.items() if key.startswith("200 "))
        assert land.count("product-v1", "/product") - before == passed, "an abort asks nobody"


def test_cal2_retries_mend_what_really_fails_and_no_more_than_they_may(land):
    land.fault("product-v1", status=500, p=0.3)
    got = land.failing(N)
    assert abs(bad_percent(got) - 30) <= 5 * SLACK, got
    land.apply(route("product", {"v1": 100}, ", retries: {attempts: 3, perTryTimeout: 1s, retryOn: 5xx}"))
    eventually(lambda: bad_percent(land.ask("http://product:8080/product/1", 60)["counts"]) < 10, what="retries")
    before = land.count("product-v1", "/product")
    got = land.failing(N)
    assert bad_percent(got) <= 2 * SLACK, got
    asked = (land.count("product-v1", "/product") - before) / N
    assert abs(asked - 1.417) <= 0.06 * SLACK, asked
    land.fault("product-v1", status=500)
    before = land.count("product-v1", "/product")
    assert set(land.ask("http://product:8080/product/1", 10)["counts"]) == {"500 product-v1"}
    assert land.count("product-v1", "/product") - before == 40, "one try and three more"


def test_cal2_an_app_that_hangs_is_cut_off_and_asked_again(land):
    land.fault("product-v1", delay=10, p=0.2)
    land.apply(route("product", {"v1": 100}, ", retries: {attempts: 2, perTryTimeout: 300ms, retryOn: '5xx,reset,connect-failure'}"))
    eventually(lambda: land.ask("http://product:8080/product/1", 20)["times"][-1] < 2, what="the limit of a try")
    got = land.ask("http://product:8080/product/1", N, "-c", 8)
    assert bad_percent(got["counts"]) <= 2 * SLACK and got["times"][-1] < 1.3, (got["counts"], got["times"][-3:])
    land.fault("product-v1", delay=10)
    land.apply(route("product", {"v1": 100}, ", timeout: 500ms, retries: {attempts: 5, perTryTimeout: 300ms, retryOn: '5xx'}"))
    eventually(lambda: land.ask("http://product:8080/product/1", 1)["times"][0] < 0.8, what="the whole's limit")
    got = land.ask("http://product:8080/product/1", 3)
    # Envoy's timers count from its loop's cached time: they may be some ms early.
    assert set(got["counts"]) == {"504"} and 0.49 <= got["times"][0] and got["times"][-1] < 0.9, got


def test_cal3_canary_by_weight_and_by_header(land):
    for part in PARTS if LONG else PARTS[:1]:
        for one, other, points in ((90, 10, 3), (50, 50, 5)):
            load = land.hammer(f"http://{part}:8080/{part}/2", "--rate", 50, "--seconds", 3, "-c", 4)
            land.apply(route(part, {"v1": one, "v2": other}))
            eventually(lambda p=part: "v2" in land.mix(p, 60), what="the step")
            counts = land.mix(part, N)
            assert set(counts) == {"v1", "v2"} and abs(100 * counts["v1"] / N - one) <= points * (1 if LONG else 2.5), counts
            assert all(key.startswith("200 ") for key in load.result()["counts"]), "no request fails at a step"
        land.apply(route(part, {"v1": 0, "v2": 100}))
        land.until(lambda p=part: land.mix(p, 10) == {"v2": 10})
        assert land.mix(part, 300) == {"v2": 300}
        to_v2 = f"{{match: [{{headers: {{x-group: {{exact: test}}}}}}], route: [{{destination: {{host: {part}, subset: v2}}}}]}}, "
        land.apply(route(part, {"v1": 100}, match=to_v2))
        land.until(lambda p=part: land.mix(p, 10) == {"v1": 10} and land.mix(p, 10, "-H", "x-group: test") == {"v2": 10})
        assert land.mix(part, 100, "-H", "x-group: test") == {"v2": 100} and land.mix(part, 100, "-H", "x-group: live") == {"v1": 100}


def test_cal4_blue_and_green_change_places_at_once(land):
    before = land.count("product-v1", "/product/4")
    load = land.hammer("http://product:8080/product/4", "--rate", 100, "--seconds", 8, "-c", 8, "--log")
    eventually(lambda: land.count("product-v1", "/product/4") > before, what="the load")
    land.apply(route("product", {"v2": 100}))
    land.until(lambda: land.mix("product", 5) == {"v2": 5})
    land.apply(route("product", {"v1": 100}))
    land.until(lambda: land.mix("product", 5) == {"v1": 5})
    got = load.result()
    assert got["errors"] == []
    assert set(got["counts"]) == {"200 product-v1", "200 product-v2"}, got["counts"]
    seen = [key[-2:] for _, key in sorted(got["log"])]
    times = sorted(at for at, key in got["log"] if key.endswith("v2"))
    inside = [at for at, key in got["log"] if key.endswith("v1") and times[0] + 1 < at < times[-1] - 1]
    assert seen[0] == seen[-1] == "v1" and inside == [], "the change is sharp"


def test_cal4_blue_may_go_when_green_has_taken_over(land):
    load = land.hammer("http://product:8080/product/6", "--rate", 60, "--seconds", 6, "-c", 8, "--log")
    eventually(lambda: land.count("product-v1", "/product/6") > 0, what="the load")
    land.apply(route("product", {"v2": 100}))
    land.until(lambda: land.mix("product", 5) == {"v2": 5})
    land.mesh.delete("pod", "product-v1", ns=land.ns)
    try:
        got = load.result()
        assert set(got["counts"]) == {"200 product-v1", "200 product-v2"} and got["errors"] == [], got["counts"]
        assert max(got["log"])[1] == "200 product-v2"
    finally:
        land.mesh.apply([land.part("product", "v1")])
        land.mesh.wait("pod", "product-v1", ns=land.ns)
        land.mesh.wait_captured((land.ns, "product-v1"))


def test_source_labels_of_the_mesh_choose_who_gets_a_rule(land):
    to_v2 = "{match: [{sourceLabels: {app: tool}}], route: [{destination: {host: review, subset: v2}}]}, "
    land.apply(route("review", {"v1": 100}, match=to_v2))
    land.until(lambda: land.mix("review", 6) == {"v2": 6})
    assert land.mix("review", 40) == {"v2": 40}
    got = land.ask("http://review:8080/review/1", 40, pod_name="stranger")["counts"]
    assert got == {"200 review-v1": 40}, "the same request from a pod with other labels"
    before = land.count("review-v2", "/review")
    assert land.outside(20)["counts"] == {"200 composite-v1": 20} and land.count("review-v2", "/review") == before


def test_source_labels_at_the_edge_are_the_gateways_own(land):
    def edge(labels):
        land.apply(f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: edge}}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
  - {{match: [{{uri: {{prefix: /composite}}, sourceLabels: {labels}}}], directResponse: {{status: 418}}}}
  - {{match: [{{uri: {{prefix: /composite}}}}], route: [{{destination: {{host: composite}}}}]}}
""")

    edge("{istio: ingressgateway}")
    land.until(lambda: list(land.outside(1)["counts"]) == ["418"], what="labels of the gateway's pods")
    edge("{istio: elsewhere}")
    land.until(lambda: land.outside(4)["counts"] == {"200 composite-v1": 4}, what="labels of others")
