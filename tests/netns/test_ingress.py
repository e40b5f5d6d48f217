"""The edge, end to end: Istio's Gateway and the Gateway API's, each an Envoy in a pod of its own, asked from a pod outside of the mesh."""

import base64
import json
import subprocess
import time

import pytest
import weft
from weft import account, authorization, eventually, namespace, peer_authentication, pod, python_app, service


@pytest.fixture(scope="module")
def edge(own_mesh):
    return Edge(own_mesh)


class Edge:
    def __init__(self, mesh):
        self.mesh = mesh
        mesh.apply([namespace("outside"), namespace("shop", meshed=True), namespace("bank", meshed=True)])
        mesh.apply([account(ns, "app") for ns in ("shop", "bank")])
        mesh.apply([pod("outside", "client", node="node1"), pod("outside", "other", node="node2")])
        for ns in ("shop", "bank"):
            mesh.apply([pod(ns, "product", python_app("landscape", "product", ns), sa="app", node="node2", ready_port=8080),
                        service(ns, "product", [{"name": "http", "port": 8080}])])
        for ns, name in (("outside", "client"), ("outside", "other"), ("shop", "product"), ("bank", "product")):
            mesh.wait("pod", name, ns=ns)
        mesh.wait_captured(("shop", "product"), ("bank", "product"))

    def address(self, ns="weft-system", name="istio-ingressgateway"):
        return eventually(lambda: self.mesh.get("service", name, ns)["spec"]["clusterIP"], what="the gateway's Service")

    def curl(self, url, *more, client="client"):
        """(status, body, headers); status 0 is what has no answer, with curl's exit code as the body."""
        argv = ["curl", "-sS", "-i", "-k", "-m", "5", url, *more]
        got = self.mesh.exec("outside", client, *argv, check=False)
        if got.returncode != 0:
            return 0, got.returncode, {}
        head, _, body = got.stdout.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        return int(first.split()[1]), body, {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    def until(self, wanted, url, *more, client="client"):
        return eventually(lambda: self.curl(url, *more, client=client)[0] == wanted, what=f"{wanted} from {url}")

    def condition(self, kind, name, kind_of, ns):
        return {c["type"]: (c["status"], c["reason"], c["message"]) for c in self.mesh.get(kind, name, ns)["status"]["conditions"]}[kind_of]

    def count(self, ns):
        text = self.mesh.exec(ns, "product", "curl", "-s", "http://127.0.0.1:8080/__count").stdout
        return sum(json.loads(text).values())


def pair(tmp_path, host, name):
    """A certificate of its own: (crt, key, fingerprint)."""
    key, crt = tmp_path / f"{name}.key", tmp_path / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt, "-days",
                    "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{host}"], check=True, capture_output=True)
    return crt.read_text(), key.read_text()


def secret(ns, name, crt, key):
    data = {"tls.crt": base64.b64encode(crt.encode()).decode(), "tls.key": base64.b64encode(key.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name, "namespace": ns}, "data": data}


def shown(edge, ip, host, client="client"):
    """Common name of the certificate that the edge shows for a host."""
    out = edge.mesh.exec("outside", client, "curl", "-sSkv", "-m", "5", "--resolve", f"{host}:443:{ip}", "-o", "/dev/null", f"https://{host}/", check=False)
    for line in out.stderr.splitlines():
        if "subject:" in line:
            return line.split("CN=")[1].strip()
    return f"none: curl {out.returncode}"


def istio_gateway(servers, name="edge", ns="shop"):
    return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": name, "namespace": ns},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": servers}}


def virtual_service(ns, name, hosts, http, gateways=("edge",)):
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name, "namespace": ns},
            "spec": {"hosts": hosts, "gateways": list(gateways), "http": http}}


PLAIN = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.example", "*.wild.example"]}
TO_PRODUCT = [{"route": [{"destination": {"host": "product", "port": {"number": 8080}}}]}]
RULES = [{"match": [{"uri": {"prefix": "/product"}}, {"uri": {"exact": "/__echo"}}], **TO_PRODUCT[0]}]


def policy(ns, **source):
    return authorization(ns, "product", selector={"matchLabels": {"app": "product"}}, action="ALLOW",
                         rules=[{"from": [{"source": source}], "to": [{"operation": {"methods": ["GET"]}}]}])


def test_hosts_paths_and_ports_of_an_istio_gateway(edge):
    edge.mesh.apply([istio_gateway([PLAIN]), virtual_service("shop", "web", ["shop.example", "a.wild.example"], RULES)])
    ip = edge.address()
    edge.until(200, f"http://{ip}/product/1", "-H", "host: shop.example")
    before = edge.count("shop")
    for host in ("shop.example", "SHOP.example", "shop.example:80", "a.wild.example"):
        status, body, headers = edge.curl(f"http://{ip}/product/1", "-H", f"host: {host}")
        assert (status, headers["x-served-by"], json.loads(body)["path"]) == (200, "product-shop", "/product/1"), host
    assert edge.count("shop") == before + 4
    for host, path in (("shop.example", "/"), ("shop.example", "/other"), ("b.wild.example", "/product/1"), ("else.example", "/product/1"), ("", "/product/1")):
        assert edge.curl(f"http://{ip}{path}", "-H", f"host: {host}" if host else "host;")[0] in ((404,) if host else (400, 404)), (host, path)
    assert edge.count("shop") == before + 4, "the application was asked for none of it"
    for port in (8080, 443, 15000, 15090):
        assert edge.curl(f"http://{ip}:{port}/", "-H", "host: shop.example")[:2] == (0, 7), port
    assert eventually(lambda: edge.condition("gateway.networking.istio.io", "edge", "Programmed", "shop")[0] == "True")


def test_the_service_sees_the_gateways_identity_and_the_clients_address(edge):
    edge.mesh.apply([istio_gateway([PLAIN]), virtual_service("shop", "web", ["shop.example"], RULES)])
    ip = edge.address()
    edge.until(200, f"http://{ip}/__echo", "-H", "host: shop.example")
    status, body, _ = edge.curl(f"http://{ip}/__echo", "-H", "host: shop.example", "-H", "x-envoy-external-address: 9.9.9.9")
    headers = json.loads(body)["headers"]
    client = edge.mesh.pod_ips("outside", "client")
    assert status == 200 and headers["x-forwarded-for"].split(",")[-1].strip() in client and headers["x-forwarded-proto"] == "http"
    edge.mesh.apply([policy("shop", principals=["cluster.local/ns/weft-system/sa/other"])])
    edge.until(403, f"http://{ip}/product/1", "-H", "host: shop.example")
    assert edge.curl(f"http://{ip}/product/1", "-H", "host: shop.example")[1] == "RBAC: access denied"
    edge.mesh.apply([policy("shop", principals=["cluster.local/ns/weft-system/sa/istio-ingressgateway"])])
    edge.until(200, f"http://{ip}/product/1", "-H", "host: shop.example")
    assert edge.curl(f"http://{ip}/product/1", "-X", "POST", "-H", "host: shop.example")[0] == 403, "methods: GET"
    assert edge.curl("http://product.shop:8080/product/1")[0] == 0, "nobody else, and nobody without an identity"
    edge.mesh.delete("authorizationpolicy.security.istio.io", "product", ns="shop")


def test_strict_mutual_tls_closes_services_and_not_the_edge(edge):
    edge.mesh.apply([istio_gateway([PLAIN]), virtual_service("shop", "web", ["shop.example"], RULES), peer_authentication("weft-system", "all", mtls={"mode": "STRICT"})])
    ip = edge.address()
    try:
        eventually(lambda: edge.curl("http://product.shop:8080/product/1")[0] == 0, what="the service is closed to plain text")
        for _ in range(20):
            assert edge.curl(f"http://{ip}/product/1", "-H", "host: shop.example")[0] == 200
    finally:
        edge.mesh.delete("peerauthentication", "all", ns="weft-system")


@pytest.mark.parametrize("field", ["ipBlocks", "remoteIpBlocks"])
def test_policy_at_the_gateway_knows_the_clients_address(edge, field):
    edge.mesh.apply([istio_gateway([PLAIN]), virtual_service("shop", "web", ["shop.example"], RULES)])
    ip = edge.address()
    url = (f"http://{ip}/product/1", "-H", "host: shop.example")
    edge.until(200, *url, client="other")
    mine = edge.mesh.pod_ips("outside", "client")[0]
    edge.mesh.apply([authorization("weft-system", "edge", selector={"matchLabels": {"istio": "ingressgateway"}}, action="ALLOW",
                                   rules=[{"from": [{"source": {field: [mine]}}]}])])
    try:
        edge.until(403, *url, client="other")
        assert edge.curl(*url)[0] == 200
        forged = edge.curl(*url, "-H", f"x-forwarded-for: {mine}", client="other")
        assert forged[:2] == (403, "RBAC: access denied")
        assert edge.curl(f"http://{ip}/none", "-H", "host: nobody.example", client="other")[0] == 403, "policy is asked first"
    finally:
        edge.mesh.delete("authorizationpolicy.security.istio.io", "edge", ns="weft-system")


def test_a_gateway_that_is_removed_finishes_what_it_has(edge):
    listeners = [{"name": "plain", "port": 80, "protocol": "HTTP"}]
    edge.mesh.apply([api("Gateway", "shop", "front", {"gatewayClassName": "weft", "listeners": listeners}), http_route("shop", "mine", ["shop.example"])])
    try:
        url = f"http://{edge.address('shop', 'front')}/product/1"
        edge.until(200, url, "-H", "host: shop.example")
        edge.mesh.exec("shop", "product", "curl", "-s", "-d", json.dumps({"delay": 1.5}), "http://127.0.0.1:8080/__fault")
        hammer = python_app("hammer", url, "--rate", 20, "--seconds", 6, "-c", 40, "--reuse", "--timeout", 5, "-H", "host: shop.example")
        load = edge.mesh.popen("outside", "client", *hammer, stdout=subprocess.PIPE, text=True)
        eventually(lambda: edge.count("shop") > 0 and load.poll() is None)
        time.sleep(2)
    finally:
        edge.mesh.delete("gateway.gateway.networking.k8s.io", "front", ns="shop")
    got = json.loads(load.communicate(timeout=30)[0])
    edge.mesh.exec("shop", "product", "curl", "-s", "-d", "{}", "http://127.0.0.1:8080/__fault")
    edge.mesh.delete("httproute", "mine", ns="shop")
    # Who comes after it is gone is refused; nobody is cut off.
    assert got["counts"].get("200 product-shop", 0) > 20, (got["counts"], got["errors"])
    assert not [text for _, text in got["errors"] if "refused" not in text and "timed out" not in text], got["errors"]


def test_tls_by_sni_redirect_and_a_secret_that_changes_and_breaks(edge, tmp_path):
    one, two, new = (pair(tmp_path, h, n) for h, n in (("shop.example", "one"), ("bank.example", "two"), ("shop.example", "new")))
    servers = [{"port": {"number": 443, "name": f"https-{n}", "protocol": "HTTPS"}, "hosts": [h], "tls": {"mode": "SIMPLE", "credentialName": n}}
               for h, n in (("shop.example", "one"), ("bank.example", "two"))]
    redirect = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.example"], "tls": {"httpsRedirect": True}}
    edge.mesh.apply([istio_gateway([redirect, *servers]), virtual_service("shop", "web", ["shop.example"], RULES),
                     virtual_service("bank", "web", ["bank.example"], RULES, ["shop/edge"])])
    ip = edge.address()
    assert eventually(lambda: "InvalidCertificateRef" in (edge.condition("gateway.networking.istio.io", "edge", "Reconciled", "shop")[2]))
    edge.mesh.apply([secret("weft-system", "one", *one), secret("weft-system", "two", *two)])

    def ask(host):
        return edge.curl(f"https://{host}/product/1", "--resolve", f"{host}:443:{ip}")

    eventually(lambda: (ask("shop.example")[0], ask("bank.example")[0]) == (200, 200), what="both hosts")
    assert ask("shop.example")[2]["x-served-by"] == "product-shop" and ask("bank.example")[2]["x-served-by"] == "product-bank"
    assert (shown(edge, ip, "shop.example"), shown(edge, ip, "bank.example")) == ("one", "two")
    assert ask("else.example")[0] == 0, "no server for that name"
    status, _, headers = edge.curl(f"http://{ip}/product/1?x=1", "-H", "host: shop.example")
    assert status == 301 and headers["location"] == "https://shop.example/product/1?x=1"
    assert eventually(lambda: edge.condition("gateway.networking.istio.io", "edge", "Reconciled", "shop")[0] == "True")

    # One connection asks on and on; the Secret changes under it.
    steady = edge.mesh.popen("outside", "client", *python_app("steady_tls", ip, "443", "shop.example", "/product/1", "6"), stdout=subprocess.PIPE, text=True)
    edge.mesh.apply([secret("weft-system", "one", *new)])
    eventually(lambda: shown(edge, ip, "shop.example") == "new", what="the new certificate")
    edge.mesh.apply([secret("weft-system", "one", new[0], one[1])])  # the key of another
    text = eventually(lambda: (t := edge.condition("gateway.networking.istio.io", "edge", "Reconciled", "shop"))[0] == "False" and t[2])
    assert "one" in text and "tls.key is not tls.crt's" in text and "PRIVATE" not in text
    for _ in range(5):
        assert shown(edge, ip, "shop.example") == "new" and ask("shop.example")[0] == 200
    assert ask("bank.example")[0] == 200
    out = json.loads(steady.communicate(timeout=30)[0])
    assert out["errors"] == [] and out["ok"] > 20, out
    edge.mesh.apply([secret("weft-system", "one", *one)])
    eventually(lambda: shown(edge, ip, "shop.example") == "one", what="mended")
    assert eventually(lambda: edge.condition("gateway.networking.istio.io", "edge", "Reconciled", "shop")[0] == "True")


def api(kind, ns, name, spec, version="v1"):
    return {"apiVersion": f"gateway.networking.k8s.io/{version}", "kind": kind, "metadata": {"name": name, "namespace": ns}, "spec": spec}


def http_route(ns, name, hosts, backend_ns=None, section=None):
    backend = {"name": "product", "port": 8080, **({"namespace": backend_ns} if backend_ns else {})}
    parent = {"name": "front", "namespace": "shop", **({"sectionName": section} if section else {})}
    return api("HTTPRoute", ns, name, {"parentRefs": [parent], "hostnames": hosts,
                                       "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/product"}}], "backendRefs": [backend]}]})


@pytest.mark.parametrize("class_name", ["weft", "istio"])
def test_the_gateway_api_with_grants_and_statuses(edge, tmp_path, class_name):
    one = pair(tmp_path, "shop.example", "api")
    listeners = [{"name": "plain", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}},
                 {"name": "secure", "port": 443, "protocol": "HTTPS", "hostname": "shop.example", "tls": {"certificateRefs": [{"name": "api", "namespace": "bank"}]}}]
    edge.mesh.apply([secret("bank", "api", *one), api("Gateway", "shop", "front", {"gatewayClassName": class_name, "listeners": listeners}),
                     http_route("shop", "mine", ["shop.example"]), http_route("shop", "across", ["across.example"], "bank", "plain"),
                     http_route("bank", "theirs", ["bank.example"])])
    try:
        gateway = lambda: edge.mesh.get("gateway.gateway.networking.k8s.io", "front", "shop")["status"]
        ip = edge.address("shop", "front")
        edge.until(200, f"http://{ip}/product/1", "-H", "host: shop.example")
        assert edge.curl(f"http://{ip}/product/1", "-H", "host: bank.example")[2]["x-served-by"] == "product-bank"
        assert edge.curl(f"http://{ip}/productx", "-H", "host: shop.example")[0] == 404, "a prefix is of whole segments"
        assert edge.curl(f"http://{ip}/product/1", "-H", "host: across.example")[0] == 500, "no grant"
        assert edge.curl(f"https://shop.example/product/1", "--resolve", f"shop.example:443:{ip}")[0] == 0, "no grant for the Secret"

        def listener(name):
            one = next(one for one in gateway()["listeners"] if one["name"] == name)
            return one["attachedRoutes"], {c["type"]: (c["status"], c["reason"]) for c in one["conditions"]}

        def parent(ns, name):
            parents = edge.mesh.get("httproute", name, ns)["status"]["parents"]
            return {c["type"]: (c["status"], c["reason"]) for c in parents[0]["conditions"]}

        eventually(lambda: listener("plain")[1]["Programmed"] == ("True", "Programmed"), what="plain is programmed")
        assert listener("plain")[0] == 3
        assert listener("secure")[1]["ResolvedRefs"] == ("False", "RefNotPermitted") and listener("secure")[1]["Programmed"][0] == "False"
        assert parent("shop", "across")["ResolvedRefs"] == ("False", "RefNotPermitted")
        assert parent("shop", "mine") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
        assert [a["value"] for a in gateway()["addresses"]][0] == ip
        edge.mesh.apply([api("ReferenceGrant", "bank", "grant", {
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "shop"} for kind in ("Gateway", "HTTPRoute")],
            "to": [{"group": "", "kind": kind} for kind in ("Service", "Secret")]}, "v1beta1")])
        edge.until(200, f"http://{ip}/product/1", "-H", "host: across.example")
        eventually(lambda: edge.curl("https://shop.example/product/1", "--resolve", f"shop.example:443:{ip}")[0] == 200, what="TLS with the grant")
        assert shown(edge, ip, "shop.example") == "api"
        eventually(lambda: listener("secure") == (1, {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed"),
                                                       "ResolvedRefs": ("True", "ResolvedRefs"), "Conflicted": ("False", "NoConflicts")}))
        edge.mesh.delete("referencegrant", "grant", ns="bank")
        edge.until(500, f"http://{ip}/product/1", "-H", "host: across.example")
    finally:
        for kind, ns, name in (("httproute", "shop", "mine"), ("httproute", "shop", "across"), ("httproute", "bank", "theirs"),
                               ("gateway.gateway.networking.k8s.io", "shop", "front"), ("referencegrant", "bank", "grant")):
            edge.mesh.delete(kind, name, ns=ns, check=False)
    eventually(lambda: not [s for s in edge.mesh.get("service", ns="shop")["items"] if s["metadata"]["name"] == "front"], 15, what="nothing is left of it")
