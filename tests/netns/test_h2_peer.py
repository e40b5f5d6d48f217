"""A10: the statuses of a real node's 15008 as an independent HTTP/2 client (python-h2, OpenSSL, a certificate of the mesh's CA) sees them."""

import json
import shutil
import tempfile

import pytest
import weft
from weft import account, authorization, eventually, namespace, pod, python_app

NS, NOBODYS = "h2peer", 7999


@pytest.fixture(scope="module")
def world(mesh):
    """A server on node2, and certificates of two accounts that have a pod on node1."""
    mesh.apply([namespace(NS, True), account(NS, "friend"), account(NS, "stranger"), account(NS, "server"),
                pod(NS, "server", python_app("echo", 7000), node="node2", sa="server", ready_port=7000),
                pod(NS, "friend", node="node1", sa="friend"), pod(NS, "stranger", node="node1", sa="stranger")])
    for name in ("server", "friend", "stranger"):
        mesh.wait("pod", name, ns=NS)
    mesh.wait_captured((NS, "server"), (NS, "friend"), (NS, "stranger"))
    mesh.certificates = tempfile.mkdtemp(prefix="weft-h2-peer-")
    for name in ("friend", "stranger"):
        mesh.sb("certificate", name, "-n", NS, "--out", f"{mesh.certificates}/{name}")
    yield mesh
    mesh.delete("namespace", NS)
    shutil.rmtree(mesh.certificates)


@pytest.fixture(params=["v4", "v6"])
def ip(world, request):
    return next(i for i in world.pod_ips(NS, "server") if (":" in i) == (request.param == "v6"))


def at(ip, port):
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def connect(authority, *more, **request):
    return {"headers": [[":method", "CONNECT"], [":authority", authority], *more], **request}


def ask(world, ip, requests, who="friend"):
    """Asks from the node itself, past capture; what came back, and what is known of the server."""
    argv = ["nsenter", "-t", str(world.node_pid("node1")), "-n", "--", *python_app("h2peer", f"{world.certificates}/{who}", ip, 15008)]
    result = weft.subprocess.run(argv, input=json.dumps(requests), capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    *answers, server = json.loads(result.stdout)
    return answers, server


def test_a_connect_is_200_and_carries_bytes_and_their_end(world, ip):
    [answer], server = ask(world, ip, [connect(at(ip, 7000), ["baggage", "k8s.pod.name=friend"], body="by python-h2")])
    assert (answer["status"], answer["ended"], answer["body"]) == ("200", False, "by python-h2"), answer
    assert server == {"server": [f"spiffe://cluster.local/ns/{NS}/sa/server"], "tls": "TLSv1.3", "alpn": "h2"}


def test_a_port_where_nobody_listens_is_503(world, ip):
    [answer], _ = ask(world, ip, [connect(at(ip, NOBODYS))])
    assert (answer["status"], answer["ended"]) == ("503", True), answer


# What is no CONNECT to this pod: the head's pseudo-headers.
MALFORMED = {
    "a GET": [[":method", "GET"], [":scheme", "https"], [":path", "/"], [":authority", "AT"]],
    "no port": [[":method", "CONNECT"], [":authority", "HOST"]],
    "a port that is none": [[":method", "CONNECT"], [":authority", "HOST:70000"]],
    "another host": [[":method", "CONNECT"], [":authority", "192.0.2.1:7000"]],
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_malformed_is_400_and_the_tunnel_goes_on(world, ip, what):
    host = f"[{ip}]" if ":" in ip else ip
    headers = [[name, value.replace("AT", at(ip, 7000)).replace("HOST", host)] for name, value in MALFORMED[what]]
    [broken, good], _ = ask(world, ip, [{"headers": headers}, connect(at(ip, 7000), body="still here")])
    assert (broken.get("status"), broken.get("ended")) == ("400", True), broken
    assert (good["status"], good["body"]) == ("200", "still here"), good


# What an attacker with a certificate of the mesh writes: refused, each for itself.
HOSTILE = {
    "a zone": ([[":authority", "[fe80::1%eth0]:7000"]], {"status": "400"}),
    "user info": ([[":authority", "root@AT"]], {"status": "400"}),
    "an empty port": ([[":authority", "HOST:"]], {"status": "400"}),
    "port 0": ([[":authority", "HOST:0"]], {"status": "400"}),
    "a huge authority": ([[":authority", "a" * 60_000 + ":7000"]], {"status": "400"}),
    "brackets in brackets": ([[":authority", "[[::1]]:7000"]], {"status": "400"}),
    "loopback": ([[":authority", "127.0.0.1:7000"]], {"status": "400"}),
    "the proxy's own port": ([[":authority", "HOST:15008"]], {"status": "503"}),
    "two authorities": ([[":authority", "AT"], [":authority", "AT"]], {"reset": 1}),
    "a control character": ([[":authority", "HOST\x01:7000"]], {"reset": 1}),
    "a head beyond the limit": ([[":authority", "AT"], ["baggage", "k=" + "v" * 66_000]], {"reset": 2}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_hostile_is_refused_and_the_tunnel_goes_on(world, ip, what):
    host = f"[{ip}]" if ":" in ip else ip
    headers, wanted = HOSTILE[what]
    broken = [[":method", "CONNECT"], *([name, value.replace("AT", at(ip, 7000)).replace("HOST", host)] for name, value in headers)]
    [refused, good], _ = ask(world, ip, [{"headers": broken}, connect(at(ip, 7000), body="still here")])
    assert {key: refused.get(key) for key in wanted} == wanted, refused
    assert (good["status"], good["body"]) == ("200", "still here"), good


def test_what_a_client_says_of_itself_names_nobody_else(world, ip):
    """`forwarded` of another address, `baggage` of another namespace: the application and the log see who it is."""
    lies = [["forwarded", "for=192.0.2.9:4711;host=\"evil\\nline\""], ["baggage", "k8s.namespace.name=kube-system,k8s.pod.name=root"],
            ["x-forwarded-network", "n"], ["traceparent", "00-zz"]]
    [answer], _ = ask(world, ip, [connect(at(ip, 7000), *lies, body="a lie")])
    assert (answer["status"], answer["body"]) == ("200", "a lie"), answer
    ours = [line for line in world.logs("ztunnel", "node2").splitlines() if f'dst.namespace="{NS}"' in line]
    assert ours and not [line for line in ours if "192.0.2.9" in line or "kube-system" in line or "evil" in line]


def test_a_connect_with_a_path_is_a_stream_error_and_the_tunnel_goes_on(world, ip):
    """RFC 9113 §8.5: no :scheme and no :path; what breaks HTTP/2's own rules is PROTOCOL_ERROR, not a status."""
    broken = {"headers": [[":method", "CONNECT"], [":scheme", "https"], [":path", "/"], [":authority", at(ip, 7000)]]}
    [reset, good], _ = ask(world, ip, [broken, connect(at(ip, 7000), body="still here")])
    assert reset == {"reset": 1}, reset
    assert (good["status"], good["body"]) == ("200", "still here"), good


def test_what_policy_refuses_is_401_for_him_alone(world, ip):
    name = "no-stranger"
    world.apply([authorization(NS, name, action="DENY", rules=[{"from": [{"source": {"principals": [f"cluster.local/ns/{NS}/sa/stranger"]}}]}])])
    try:
        refused = eventually(lambda: (a := ask(world, ip, [connect(at(ip, 7000))], "stranger")[0][0])["status"] != "200" and a)
        assert (refused["status"], refused["ended"]) == ("401", True), refused
        [answer], _ = ask(world, ip, [connect(at(ip, 7000), body="friend")])
        assert (answer["status"], answer["body"]) == ("200", "friend"), answer
        assert ask(world, ip, [connect(at(ip, NOBODYS))], "stranger")[0][0]["status"] == "401", "policy before the dial"
    finally:
        world.delete("AuthorizationPolicy", name, NS)
    eventually(lambda: ask(world, ip, [connect(at(ip, 7000))], "stranger")[0][0]["status"] == "200")
