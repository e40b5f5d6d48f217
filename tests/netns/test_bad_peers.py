"""A11: broken frames and certificates at a real ztunnel's 15008: each is one line that says what is wrong, and what was served goes on."""

import datetime
import json
import os
import shutil
import tempfile

import pytest
import weft
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from weft import eventually, namespace, pod, python_app

NS = "peers"
GOOD = "spiffe://cluster.local/ns/peers/sa/default"
BOTH = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


class Authority:
    """A root, and leaves of it with whatever is wanted wrong."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.root = self.build(self.name, self.key.public_key(), -1, 24).add_extension(x509.BasicConstraints(True, None), True).add_extension(
            usage, True).sign(self.key, hashes.SHA256())

    def build(self, subject, key, begins_h, ends_h):
        now = datetime.datetime.utcnow()
        return x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key).serial_number(
            x509.random_serial_number()).not_valid_before(now + datetime.timedelta(hours=begins_h)).not_valid_after(
                now + datetime.timedelta(hours=ends_h))

    def leaf(self, where, name, names=(x509.UniformResourceIdentifier(GOOD),), usages=BOTH, begins_h=-1, ends_h=1):
        key = ec.generate_private_key(ec.SECP256R1())
        made = self.build(x509.Name([]), key.public_key(), begins_h, ends_h).add_extension(x509.ExtendedKeyUsage(usages), False)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), True)
        save(where, name, made.sign(self.key, hashes.SHA256()), key)


def save(where, name, certificate, key):
    with open(f"{where}/{name}.pem", "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
    with open(f"{where}/{name}.key", "wb") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def uri(text):
    return [x509.UniformResourceIdentifier(text)]


def make_certificates(where):
    ours, strange = Authority("the mesh's"), Authority("a stranger's")
    save(where, "root", ours.root, ours.key)
    save(where, "a root", strange.root, strange.key)
    ours.leaf(where, "good")
    ours.leaf(where, "expired", begins_h=-2, ends_h=-1)
    ours.leaf(where, "early", begins_h=1, ends_h=2)
    ours.leaf(where, "another domain", uri("spiffe://elsewhere/ns/peers/sa/default"))
    ours.leaf(where, "no name", [])
    ours.leaf(where, "a DNS name", [x509.DNSName("vault.peers.svc")])
    ours.leaf(where, "another path", uri("spiffe://cluster.local/vault"))
    ours.leaf(where, "only a server", usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    strange.leaf(where, "strange")


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".hex()
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
CONNECT = b"\x42\x07CONNECT\x41\x0510.1:".hex()


def frame(kind, flags, stream, payload="", size=None):
    length = len(payload) // 2 if size is None else size
    return f"{length:06x}{kind:02x}{flags:02x}{stream:08x}{payload}"


HELLO = PREFACE + frame(SETTINGS, 0, 0)


def h2(*frames):
    return {"send": HELLO + "".join(frames)}


# name: (act, words of the one line in ztunnel's log)
BROKEN = {
    # not TLS, or not the TLS of a mesh
    "plain HTTP": ({"raw": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".hex()}, "http request"),
    "noise": ({"raw": "ff" * 64}, "malformed: tls handshake"),
    "a record that is too long": ({"raw": "160301ffff" + "00" * 64}, "packet length too long"),
    "a hello that is cut off": ({"raw": "16030100c8010000c40303", "hang_up": True}, "peer closed during the tls handshake"),
    "TLS 1.2": ({"tls": "1.2"}, "unsupported protocol"),
    "no ALPN": ({"alpn": []}, "peer offered no h2"),
    "another ALPN": ({"alpn": ["http/1.1"]}, "no application protocol"),
    # certificates
    "no certificate": ({"certificate": None}, "peer sent no certificate"),
    "certificate of another issuer": ({"certificate": "strange"}, "unable to get local issuer"),
    "a root as a leaf": ({"certificate": "a root"}, "self-signed certificate"),
    "an expired certificate": ({"certificate": "expired"}, "certificate has expired"),
    "a certificate of tomorrow": ({"certificate": "early"}, "certificate is not yet valid"),
    "another trust domain": ({"certificate": "another domain"}, "spiffe://elsewhere/ns/peers/sa/default"),
    "a certificate without a name": ({"certificate": "no name"}, "no SPIFFE identity"),
    "a DNS name": ({"certificate": "a DNS name"}, "no SPIFFE identity"),
    "a SPIFFE name that is no account": ({"certificate": "another path"}, "no SPIFFE identity"),
    "a certificate for servers only": ({"certificate": "only a server"}, "unsuitable certificate purpose"),
    # HTTP/2 whose framing is wrong
    "no preface": ({"send": b"GET / HTTP/1.1\r\n\r\n".hex()}, "no client preface"),
    "something before SETTINGS": ({"send": PREFACE + frame(PING, 0, 0, "00" * 8)}, "SETTINGS expected"),
    "DATA on stream 0": (h2(frame(DATA, 0, 0, "00")), "DATA: stream_id == 0"),
    "DATA on an idle stream": (h2(frame(DATA, 0, 1, "00")), "DATA: stream in idle"),
    "HEADERS on stream 0": (h2(frame(HEADERS, 4, 0, "88")), "request HEADERS: stream_id == 0"),
    "HEADERS on an even stream": (h2(frame(HEADERS, 4, 2, "88")), "request HEADERS: invalid stream_id"),
    "HEADERS that another frame cuts in two": (h2(frame(HEADERS, 0, 1, CONNECT), frame(PING, 0, 0, "00" * 8)), "unexpected non-CONTINUATION frame"),
    "padding longer than its frame": (h2(frame(HEADERS, 0x0c, 1, "ff88")), "HEADERS: invalid padding"),
    "an index beyond the table": (h2(frame(HEADERS, 4, 1, "ff7f")), "COMPRESSION_ERROR"),
    "CONTINUATION of nothing": (h2(frame(CONTINUATION, 4, 1, "88")), "CONTINUATION: unexpected"),
    "SETTINGS of five bytes": (h2(frame(SETTINGS, 0, 0, "0004000000")), "FRAME_SIZE_ERROR"),
    "SETTINGS on a stream": (h2(frame(SETTINGS, 0, 1)), "SETTINGS: stream_id != 0"),
    "an acknowledgement with contents": (h2(frame(SETTINGS, 1, 0, "000400000001")), "FRAME_SIZE_ERROR"),
    "a window above 2^31": (h2(frame(SETTINGS, 0, 0, "000480000000")), "too large SETTINGS_INITIAL_WINDOW_SIZE"),
    "frames of no size": (h2(frame(SETTINGS, 0, 0, "000500000000")), "invalid SETTINGS_MAX_FRAME_SIZE"),
    "PING of seven bytes": (h2(frame(PING, 0, 0, "00" * 7)), "FRAME_SIZE_ERROR"),
    "PING on a stream": (h2(frame(PING, 0, 1, "00" * 8)), "PING: stream_id != 0"),
    "a window opened by nothing": (h2(frame(WINDOW, 0, 0, "00000000")), "window_size_increment == 0"),
    "a window opened too far": (h2(frame(WINDOW, 0, 0, "7fffffff")), "FLOW_CONTROL_ERROR"),
    "a reset of an idle stream": (h2(frame(RST, 0, 1, "00000008")), "RST_STREAM: stream in idle"),
    "a push by a client": (h2(frame(PUSH, 4, 1, "0000000288")), "PUSH_PROMISE: push disabled"),
    "GOAWAY without its code": (h2(frame(GOAWAY, 0, 0, "00000000")), "FRAME_SIZE_ERROR"),
    "a frame longer than we take": (h2(frame(DATA, 0, 1, "", 0x100001)), "too large frame size"),
}


@pytest.fixture(scope="module")
def world():
    where = tempfile.mkdtemp(prefix="weft-bad-peers-")
    os.chmod(where, 0o755)  # the control plane is another user
    make_certificates(where)
    sandbox = weft.Sandbox(f"peers{os.getpid()}")
    try:
        sandbox.up("--set", f"rootCert={where}/root.pem", "--set", f"rootKey={where}/root.key",
                   *[a for w in os.environ.get("WEFT_TEST_SET", "").split() for a in ("--set", w)])
        sandbox.where = where
        sandbox.apply([namespace(NS, True), pod(NS, "vault", python_app("echo", 7000), node="node2", ready_port=7000), pod(NS, "client", node="node1")])
        for name in ("vault", "client"):
            sandbox.wait("pod", name, ns=NS)
        sandbox.wait_captured((NS, "vault"), (NS, "client"))
        sandbox.vault = sandbox.pod_ips(NS, "vault")[0]
        yield sandbox
    finally:
        sandbox.down()
        shutil.rmtree(where)


@pytest.fixture(scope="module")
def traffic(world):
    """One connection that lives through all of it."""
    process = world.popen(NS, "client", *python_app("client", "stream", world.vault, 7000, 600), stdout=-1, text=True)
    yield process
    process.kill()
    process.communicate()


def play(world, act):
    argv = ["nsenter", "-t", str(world.node_pid("node1")), "-n", "--", *python_app("peer", world.where, world.vault, 15008)]
    return json.loads(weft.subprocess.run(argv, input=json.dumps(act), capture_output=True, text=True, timeout=20, check=True).stdout)


def failures(world):
    return [line for line in world.access("node2") if "connection failed" in line]


@pytest.mark.parametrize("name", BROKEN)
def test_what_a_peer_breaks_is_one_line_and_ends_only_its_own_tunnel(world, traffic, name):
    act, words = BROKEN[name]
    before = len(failures(world))
    answer = play(world, act)
    eventually(lambda: len(failures(world)) > before, 5, what="a line in the log")
    [line] = failures(world)[before:]
    assert words in line, line
    assert answer["end"] != "timeout", answer
    if act.get("send", "").startswith(PREFACE):
        assert GOAWAY in [kind for kind, *_ in answer["frames"]], answer
    assert traffic.poll() is None
