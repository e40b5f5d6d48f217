"""A real etcd and kube-apiserver on loopback. WEFT_KUBE_BIN names the directory with both binaries."""

import ctypes
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

KINDS = [  # group, version, plural, kind, namespaced: the mesh kinds, as open-ended CRDs
    ("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", False),
    ("gateway.networking.k8s.io", "v1", "gateways", "Gateway", True),
    ("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", True),
    ("security.istio.io", "v1", "authorizationpolicies", "AuthorizationPolicy", True),
    ("security.istio.io", "v1", "peerauthentications", "PeerAuthentication", True),
    ("networking.istio.io", "v1beta1", "serviceentries", "ServiceEntry", True),
]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def openssl(*words, cwd):
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True)


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def spawn(argv, **kwargs):
    """A process that ends with us, however we end."""
    return subprocess.Popen(argv, preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), **kwargs)


class ApiServer:
    def __init__(self, directory):
        self.dir = str(directory)
        self.bin = os.environ["WEFT_KUBE_BIN"]
        self.port, client, peer = free_port(), free_port(), free_port()
        self.etcd_url = f"http://127.0.0.1:{client}"
        self.make_keys()
        peer_url = f"http://127.0.0.1:{peer}"
        self.etcd = self.spawn("etcd", "--data-dir=etcd", "--unsafe-no-fsync", f"--listen-client-urls={self.etcd_url}",
                               f"--advertise-client-urls={self.etcd_url}", f"--listen-peer-urls={peer_url}",
                               f"--initial-advertise-peer-urls={peer_url}", f"--initial-cluster=default={peer_url}", "--log-level=warn")
        self.process = None
        self.start()

    def make_keys(self):
        run = lambda *words: openssl(*words, cwd=self.dir)
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test-ca", "-days", "2",
            "-keyout", "ca.key", "-out", "ca.crt", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        for name, subject, san in (("server", "/CN=kube-apiserver", "IP:127.0.0.1"), ("admin", "/O=system:masters/CN=admin", "DNS:admin")):
            with open(f"{self.dir}/{name}.ext", "w", encoding="utf-8") as out:
                out.write(f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={san}\n")
            run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
            run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", f"{name}.crt",
                "-extfile", f"{name}.ext")
        run("genrsa", "-out", "sa.key", "2048")
        with open(f"{self.dir}/kubeconfig", "w", encoding="utf-8") as out:
            json.dump({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                       "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": "ca.crt"}}],
                       "users": [{"name": "u", "user": {"client-certificate": "admin.crt", "client-key": "admin.key"}}]}, out)
        self.kubeconfig = f"{self.dir}/kubeconfig"
        self.tls = ssl.create_default_context(cafile=f"{self.dir}/ca.crt")
        self.tls.load_cert_chain(f"{self.dir}/admin.crt", f"{self.dir}/admin.key")

    def spawn(self, name, *flags):
        with open(f"{self.dir}/{name}.log", "ab") as log:
            return spawn([f"{self.bin}/{name}", *flags], cwd=self.dir, stdout=log, stderr=log)

    def start(self):
        self.process = self.spawn(
            "kube-apiserver", f"--etcd-servers={self.etcd_url}", f"--secure-port={self.port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", "--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--client-ca-file=ca.crt",
            "--cert-dir=certs", "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key", "--service-cluster-ip-range=10.97.0.0/16", "--profiling=false")
        self.wait(lambda: self.call("GET", "/readyz") == b"ok", 60)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        for process in (self.process, self.etcd):
            process.kill()
            process.wait()

    def call(self, method, path, body=None, kind="application/json"):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": kind})
        with urllib.request.urlopen(request, context=self.tls, timeout=10) as answer:
            return answer.read()

    def wait(self, check, seconds=20):
        end = time.monotonic() + seconds
        while True:
            try:
                if check():
                    return
            except (urllib.error.URLError, OSError):
                pass
            assert time.monotonic() < end, "not in time"
            time.sleep(0.05)

    def path_of(self, obj):
        group = obj["apiVersion"].split("/")[0] if "/" in obj["apiVersion"] else ""
        plurals = {kind: plural for g, _, plural, kind, _ in KINDS if g == group}
        kind = obj["kind"]
        plural = plurals.get(kind, kind.lower() + "s")
        ns = obj["metadata"].get("namespace")
        base = f"/apis/{obj['apiVersion']}" if group else f"/api/{obj['apiVersion']}"
        return base + (f"/namespaces/{ns}/" if ns else "/") + plural

    def create(self, obj):
        made = json.loads(self.call("POST", self.path_of(obj), obj))
        if "status" in obj and obj["kind"] == "Pod":
            self.call("PATCH", f"{self.path_of(obj)}/{obj['metadata']['name']}/status", {"status": obj["status"]}, "application/merge-patch+json")
        return made

    def delete(self, obj):
        extra = "?gracePeriodSeconds=0" if obj["kind"] == "Pod" else ""
        self.call("DELETE", f"{self.path_of(obj)}/{obj['metadata']['name']}{extra}")

    def install(self, kinds):
        for group, version, plural, kind, namespaced in kinds:
            schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            self.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, test"}},
                "spec": {"group": group, "scope": "Namespaced" if namespaced else "Cluster",
                         "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                         "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}})
        for group, version, plural, _, _ in kinds:
            self.wait(lambda: self.call("GET", f"/apis/{group}/{version}/{plural}"))
