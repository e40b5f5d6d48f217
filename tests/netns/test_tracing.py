"""Spans of waypoints and gateways, in a real Zipkin and in a collector that speaks OTLP: one call, one trace, a span for every hop."""

import json
import secrets
import shutil
import subprocess

import pytest
import weft
from bookinfo import Bookinfo
from conftest import running
from weft import account, eventually, namespace, pod, python_app, service

SPANS_S = 20  # Envoy sends what it has every five seconds; Zipkin may still be starting
HOPS = {f"{name}.default.svc.cluster.local:9080/*" for name in ("productpage", "details", "reviews", "ratings")}
PAGE = "productpage.default.svc.cluster.local:9080/*"


def zipkin_jar():
    for tool in ("java", "mvn"):
        if not weft.have(tool):
            pytest.skip(f"{tool} is not on the PATH (tools/zipkin.sh)")
    return subprocess.run([f"{weft.ROOT}/tools/zipkin.sh"], stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout.strip()


class Traced(Bookinfo):
    """Bookinfo whose reviews are all v3 (so that ratings are asked once a page), an edge, a visitor outside, and Zipkin in a namespace of its own."""

    def __init__(self, mesh, jar):
        with open(f"{weft.ROOT}/deploy/samples/tracing/zipkin.yaml") as file:
            mesh.apply(file.read().replace("[java,", f"[{shutil.which('java')},").replace("ZIPKIN_JAR", jar))
        super().__init__(mesh)
        mesh.apply([namespace("outside"), pod("outside", "visitor", node="node1")])
        for name in ("destination-rule-all", "virtual-service-reviews-v3", "gateway"):
            self.sample(name)
        mesh.wait("pod", "visitor", ns="outside")
        self.edge = eventually(lambda: mesh.get("service", "istio-ingressgateway", "weft-system")["spec"]["clusterIP"], what="the edge")
        self.until(lambda: self.visit() == {"200 productpage-v1": 1}, 20, "the page")
        for name, path in (("reviews", "/reviews/0"), ("details", "/details/0"), ("productpage", "/login"), ("ratings", "/ratings/0")):
            eventually(lambda s=name, p=path: self.ask(f"http://{s}:9080{p}", 1) and self.counted(reporter="waypoint", destination_service_name=s) > 0,
                       20, 0.3, f"{name} is served by its waypoint")
        mesh.wait("deployment", "zipkin", "Available", ns="tracing", timeout="40s")

    def visit(self, *headers):
        """One page, asked at the edge from outside of the mesh."""
        more = [word for header in headers for word in ("-H", header)]
        out = self.mesh.exec("outside", "visitor", *python_app("hammer", f"http://{self.edge}/productpage", "-n", 1, *more)).stdout
        return json.loads(out)["counts"]

    def zipkin(self, path):
        return json.loads(self.mesh.exec("tracing", "deployment/zipkin", "curl", "-sf", f"http://127.0.0.1:9411/api/v2/{path}").stdout)

    def traces_of(self, request_id):
        return self.zipkin(f"traces?annotationQuery=guid:x-request-id%3D{request_id}&limit=10")

    def headers_at(self, name, *headers):
        """What an application gets of a request with these."""
        more = [word for header in headers for word in ("-H", header)]
        return json.loads(self.ask(f"http://{name}:9080/__headers", 1, *more)["bodies"][0])["headers"]


@pytest.fixture(scope="module")
def book():
    jar = zipkin_jar()
    with running("trace", "--set", "tracing=zipkin://zipkin.tracing:9411", "--set", "tracingSampling=100") as mesh:
        yield Traced(mesh, jar)


def by_name(spans):
    out = {}
    for span in spans:
        out.setdefault(span["name"], []).append(span)
    return out


def chain_of(spans, root):
    """Checks whose child each waypoint's span is; `root`: the id of productpage's parent."""
    hops = {name: found[-1] for name, found in by_name(spans).items()}
    page, reviews = hops[PAGE], hops["reviews.default.svc.cluster.local:9080/*"]
    assert page.get("parentId") == root
    assert hops["details.default.svc.cluster.local:9080/*"]["parentId"] == page["id"] and reviews["parentId"] == page["id"]
    assert hops["ratings.default.svc.cluster.local:9080/*"]["parentId"] == reviews["id"]


def test_w8_one_page_is_one_trace_with_a_span_for_every_hop(book):
    asked = {secrets.token_hex(8): 0 for _ in range(3)}
    for request_id in asked:
        assert book.visit(f"x-request-id: {request_id}") == {"200 productpage-v1": 1}
    for request_id in asked:
        def whole(wanted=request_id):
            found = book.traces_of(wanted)
            return len(found) == 1 and len(found[0]) >= 5 and found

        (trace,) = eventually(whole, SPANS_S, 0.3, "five spans")
        spans = sorted(trace, key=lambda span: span["timestamp"])
        assert len(spans) == 5, [span["name"] for span in spans]
        edge = spans[0]
        assert "parentId" not in edge and edge["localEndpoint"]["serviceName"] == "istio-ingressgateway.weft-system" and edge["name"] == PAGE
        assert {span["name"] for span in spans[1:]} == HOPS
        chain_of(spans[1:], edge["id"])
        for span in spans[1:]:
            tags = span["tags"]
            assert span["localEndpoint"]["serviceName"] == "weft-waypoint.default" and span["kind"] == "SERVER", span
            assert tags["istio.destination_service"] + ":9080/*" == span["name"] and tags["istio.destination_namespace"] == "default", tags
            assert tags["istio.canonical_service"] == "weft-waypoint" and tags["istio.namespace"] == "default" and tags["istio.mesh_id"] == "cluster.local", tags
            assert tags["http.status_code"] == "200" and tags["guid:x-request-id"] == request_id, tags
        # The access log tells the same trace.
        lines = [one for one in book.mesh.logs("controlplane").splitlines() if f'request_id="{request_id}"' in one]
        assert len(lines) == 5 and all(f'trace_id="{edge["traceId"]}"' in one for one in lines), lines


def test_w8_a_clients_own_trace_is_continued_in_every_form(book):
    forms = {"b3": "x-b3-traceid: {t}, x-b3-spanid: {s}, x-b3-sampled: 1", "b3 single": "b3: {t}-{s}-1", "W3C": "traceparent: 00-{t}-{s}-01"}
    begun = {form: (secrets.token_hex(16), secrets.token_hex(8)) for form in forms}
    for form, (trace, root) in begun.items():
        headers = forms[form].format(t=trace, s=root).split(", ")
        key, _, _ = book.page(*[word for header in headers for word in ("-H", header)])
        assert key == "200 productpage-v1"
    for form, (trace, root) in begun.items():
        spans = eventually(lambda t=trace: len(found := book.zipkin(f"trace/{t}")) >= 4 and found, SPANS_S, 0.3, f"four spans, {form}")
        assert sorted(span["name"] for span in spans) == sorted(HOPS), form
        chain_of(spans, root)


def test_what_is_not_sampled_has_no_span_and_a_telemetry_says_how_much_is(book):
    assert book.headers_at("details")["x-b3-sampled"] == "1"
    no = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    seen = book.headers_at("details", f"traceparent: {no}")
    assert seen["x-b3-sampled"] == "0" and seen["x-b3-traceid"] == no[3:35] and seen["traceparent"].endswith("-00")
    book.mesh.apply("""
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: none, namespace: weft-system}
spec: {tracing: [{randomSamplingPercentage: 0}]}
""")
    book.until(lambda: book.headers_at("details")["x-b3-sampled"] == "0", what="0 %")
    request_id = secrets.token_hex(8)
    assert book.visit(f"x-request-id: {request_id}") == {"200 productpage-v1": 1}
    book.mesh.delete("telemetry.telemetry.istio.io", "none", ns="weft-system")
    book.until(lambda: book.headers_at("details")["x-b3-sampled"] == "1", what="100 % again")
    later = secrets.token_hex(8)
    assert book.visit(f"x-request-id: {later}") == {"200 productpage-v1": 1}
    eventually(lambda: len(book.traces_of(later)) == 1 and len(book.traces_of(later)[0]) == 5, SPANS_S, 0.3, "the later one")
    assert book.traces_of(request_id) == []
    assert book.zipkin("traces?serviceName=weft-waypoint.default&spanName=zipkin.tracing.svc.cluster.local:9411/*") == []


def test_w8_opentelemetry_spans_by_grpc(fresh):
    mesh = fresh("tracing=otlp://otel.tracing:4317", "tracingSampling=100")
    grpc = [{"name": "grpc", "port": 4317, "targetPort": 4317}]
    web = [{"name": "http", "port": 8080, "targetPort": 8080}]
    mesh.apply([namespace("tracing", meshed=True), pod("tracing", "otel", python_app("otlp", 4317, 4319), node="node2", ready_port=4319),
                service("tracing", "otel", grpc), namespace("shop"), account("shop", "web"),
                pod("shop", "web", python_app("landscape", "product", "v1"), node="node2", sa="web", ready_port=8080), service("shop", "web", web),
                pod("shop", "tool", node="node1")])
    mesh.label("namespace", "shop", "istio-injection=enabled")
    for ns, name in (("tracing", "otel"), ("shop", "web"), ("shop", "tool")):
        mesh.wait("pod", name, ns=ns)
    mesh.wait_captured(("tracing", "otel"), ("shop", "web"), ("shop", "tool"))

    def seen(*headers):
        more = [word for header in headers for word in ("-H", header)]
        return {k.lower(): v for k, v in json.loads(mesh.exec("shop", "tool", "curl", "-sf", *more, "http://web:8080/__echo").stdout)["headers"].items()}

    eventually(lambda: "traceparent" in seen(), 20, 0.3, "the waypoint")
    trace, root = secrets.token_hex(16), secrets.token_hex(8)
    got = seen(f"traceparent: 00-{trace}-{root}-01")["traceparent"]
    assert got[3:35] == trace and got[36:52] != root and got.endswith("-01")

    def spans():
        return [s for s in json.loads(mesh.exec("tracing", "otel", "curl", "-sf", "http://127.0.0.1:4319/").stdout) if s["trace"] == trace]

    (span,) = eventually(spans, SPANS_S, 0.3, "its span")
    assert span["id"] == got[36:52] and span["parent"] == root and span["service"] == "weft-waypoint.shop"
    assert span["name"] == "web.shop.svc.cluster.local:8080/*" and span["tags"]["istio.destination_service"] == "web.shop.svc.cluster.local"
