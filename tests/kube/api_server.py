"""A real etcd and kube-apiserver on loopback. WEFT_KUBE_BIN names the directory with both binaries."""

import ctypes
import glob
import json
import os
import re
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


AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [create, update, patch, delete]
- level: None
"""
# Reads too, of the accounts of one namespace.
AUDIT_ACCOUNTS = """apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:weft-system"]
- level: None
"""


class ApiServer:
    def __init__(self, directory, audit=False):
        """`audit`: True for who wrote what, or a policy's text."""
        self.dir = str(directory)
        self.audit_policy = audit if isinstance(audit, str) else AUDIT
        self.audit = f"{self.dir}/audit.log" if audit else None
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
        self.certificate("server", "/CN=kube-apiserver", "IP:127.0.0.1")
        run("genrsa", "-out", "sa.key", "2048")
        self.kubeconfig = self.user("admin", "system:masters")
        self.tls = ssl.create_default_context(cafile=f"{self.dir}/ca.crt")
        self.tls.load_cert_chain(f"{self.dir}/admin.crt", f"{self.dir}/admin.key")

    def certificate(self, name, subject, san):
        with open(f"{self.dir}/{name}.ext", "w", encoding="utf-8") as out:
            out.write(f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={san}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-keyout", f"{name}.key",
                "-out", f"{name}.csr", cwd=self.dir)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", f"{name}.crt",
                "-extfile", f"{name}.ext", cwd=self.dir)

    def user(self, name, group, port=None):
        """A kubeconfig for a user of its own."""
        self.certificate(name, f"/O={group}/CN={name}", f"DNS:{name}")
        with open(f"{self.dir}/{name}.kubeconfig", "w", encoding="utf-8") as out:
            json.dump({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                       "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{port or self.port}", "certificate-authority": "ca.crt"}}],
                       "users": [{"name": "u", "user": {"client-certificate": f"{name}.crt", "client-key": f"{name}.key"}}]}, out)
        return f"{self.dir}/{name}.kubeconfig"

    def audited(self):
        """What was written, in order: (when it was done, user, verb, resource/subresource, namespace/name, status code)."""
        out = []
        with open(self.audit, encoding="utf-8") as log:
            for line in log:
                event = json.loads(line)
                ref = event.get("objectRef", {})
                what = ref.get("resource", "") + ("/" + ref["subresource"] if "subresource" in ref else "")
                out.append((event["stageTimestamp"], event["user"]["username"], event["verb"], what,
                            f"{ref.get('namespace', '')}/{ref.get('name', '')}", event.get("responseStatus", {}).get("code", 0)))
        return sorted(out)

    def spawn(self, name, *flags):
        with open(f"{self.dir}/{name}.log", "ab") as log:
            return spawn([f"{self.bin}/{name}", *flags], cwd=self.dir, stdout=log, stderr=log)

    def start(self):
        audit = []
        if self.audit:
            with open(f"{self.dir}/audit.yaml", "w", encoding="utf-8") as out:
                out.write(self.audit_policy)
            audit = ["--audit-policy-file=audit.yaml", f"--audit-log-path={self.audit}", "--audit-log-mode=blocking"]
        self.process = self.spawn(
            "kube-apiserver", f"--etcd-servers={self.etcd_url}", f"--secure-port={self.port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", "--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--client-ca-file=ca.crt",
            "--cert-dir=certs", "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key", "--service-cluster-ip-range=10.97.0.0/16", "--profiling=false", *audit)
        self.wait(lambda: self.call("GET", "/readyz") == b"ok", 60)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        for process in (self.process, self.etcd):
            process.kill()
            process.wait()

    def compact(self):
        """Forgets every revision of etcd but the present one."""
        ask = lambda verb, body: json.loads(urllib.request.urlopen(f"{self.etcd_url}/v3/kv/{verb}", json.dumps(body).encode(), timeout=10).read())
        ask("compaction", {"revision": ask("range", {"key": "AA=="})["header"]["revision"], "physical": True})

    def call(self, method, path, body=None, kind="application/json"):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method,
                                         data=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(), headers={"Content-Type": kind})
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
        plural = re.sub(r"(c|tr)ys$", r"\1ies", (obj["kind"].lower() + "s").replace("sss", "sses"))
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

    def get(self, obj):
        return json.loads(self.call("GET", f"{self.path_of(obj)}/{obj['metadata']['name']}"))

    def patch(self, obj, change, sub=""):
        return json.loads(self.call("PATCH", f"{self.path_of(obj)}/{obj['metadata']['name']}{sub}", change, "application/merge-patch+json"))

    def apply_file(self, path):
        """Documents of YAML as our manifests are written: kind and metadata at the margin. Server-side apply, strict."""
        with open(path, encoding="utf-8") as file:
            texts = [one for one in re.split(r"^---$", file.read(), flags=re.M) if "\nkind: " in "\n" + one]
        for text in texts:
            one = lambda pattern: (re.search(pattern, text, re.M) or [None, None])[1]
            metadata = {"name": one(r"^  name: (\S+)$"), "namespace": one(r"^metadata:\n(?:  .*\n)*?  namespace: (\S+)$")}
            where = self.path_of({"apiVersion": one(r"^apiVersion: (\S+)$"), "kind": one(r"^kind: (\S+)$"), "metadata": metadata})
            self.call("PATCH", f"{where}/{metadata['name']}?fieldManager=test&fieldValidation=Strict", text.encode(), "application/apply-patch+yaml")

    def account(self, name, ns):
        """A kubeconfig for a service account, with a token of an hour."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token = json.loads(self.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{name}/token", body))["status"]["token"]
        with open(self.kubeconfig, encoding="utf-8") as file:
            config = json.load(file)
        config["users"][0]["user"] = {"token": token}
        with open(f"{self.dir}/{ns}-{name}.kubeconfig", "w", encoding="utf-8") as out:
            json.dump(config, out)
        return out.name

    def install_crds(self):
        """Those of Gateway API and Istio, as users install them."""
        where = os.environ["WEFT_KUBE_CRDS"]
        texts = []
        for path in [*glob.glob(f"{where}/gateway-api/*.yaml"), f"{where}/istio/customresourcedefinitions.gen.yaml"]:
            with open(path, encoding="utf-8") as file:
                texts += [one for one in re.split(r"^---$", file.read(), flags=re.M) if "\nkind: CustomResourceDefinition\n" in one]
        names = [re.search(r"^  name: (\S+)$", text, re.M).group(1) for text in texts]
        base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for name, text in zip(names, texts):
            self.call("PATCH", f"{base}/{name}?fieldManager=test", text.encode(), "application/apply-patch+yaml")
        for name in names:
            self.wait(lambda: any(c["type"] == "Established" and c["status"] == "True"
                                  for c in json.loads(self.call("GET", f"{base}/{name}"))["status"].get("conditions", [])))
        return names

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
