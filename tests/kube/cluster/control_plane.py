"""The machine `cp`: the nodes' bridge, etcd, kube-apiserver, kube-controller-manager, kube-scheduler."""

from .machine import Machine
from .network import API_IP, BRIDGE, SERVICE_API_IP, SERVICES, node_ip, pods_of


class ControlPlane:
    def __init__(self, cluster):
        self.cluster = cluster
        self.machine = Machine("cp", f"{cluster.dir}/cp", cluster.prefix)
        self.pki = cluster.pki

    def make_keys(self):
        pki = self.pki
        pki.make_root("ca", "kubernetes")
        pki.make_root("front-ca", "front-proxy")
        pki.issue("apiserver", "/CN=kube-apiserver",
                  [f"DNS:{name}" for name in ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")]
                  + [f"IP:{ip}" for ip in ("127.0.0.1", API_IP, SERVICE_API_IP)])
        pki.issue("admin", "/O=system:masters/CN=admin")
        pki.issue("controller-manager", "/CN=system:kube-controller-manager")
        pki.issue("scheduler", "/CN=system:kube-scheduler")
        pki.issue("proxy", "/CN=system:kube-proxy")
        pki.issue("front", "/CN=front-proxy", root="front-ca")
        pki.make_service_account_key()
        for user in ("admin", "controller-manager", "scheduler", "proxy"):
            pki.kubeconfig(user)

    def start(self):
        machine = self.machine
        machine.start(self.cluster.init)
        machine.ip("link", "add", BRIDGE, "type", "bridge")
        machine.ip("addr", "add", f"{API_IP}/24", "dev", BRIDGE)
        machine.ip("link", "set", BRIDGE, "up")
        for number in range(1, self.cluster.node_count + 1):
            machine.ip("route", "replace", pods_of(number), "via", node_ip(number))
        # On /run: what it holds survives an API server, not the machine.
        machine.spawn("etcd", self.cluster.binary("etcd"), "--data-dir=/run/etcd", "--unsafe-no-fsync",
                      "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
                      "--listen-peer-urls=http://127.0.0.1:2380", "--log-level=warn")
        self.start_api_server()
        self._controllers()

    def start_api_server(self):
        path = self.pki.path
        self.machine.spawn(
            "kube-apiserver", self.cluster.binary("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443",
            "--bind-address=0.0.0.0", f"--advertise-address={API_IP}", f"--tls-cert-file={path('apiserver.crt')}",
            f"--tls-private-key-file={path('apiserver.key')}", f"--client-ca-file={path('ca.crt')}", "--cert-dir=/run/kubernetes",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
            "--enable-aggregator-routing=true", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={path('sa.pub')}", f"--service-account-signing-key-file={path('sa.key')}",
            "--api-audiences=https://kubernetes.default.svc", f"--service-cluster-ip-range={SERVICES}",
            f"--kubelet-client-certificate={path('admin.crt')}", f"--kubelet-client-key={path('admin.key')}",
            f"--kubelet-certificate-authority={path('ca.crt')}", "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={path('front-ca.crt')}", "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User", f"--proxy-client-cert-file={path('front.crt')}",
            f"--proxy-client-key-file={path('front.key')}", "--profiling=false", "--v=1")
        self.cluster.wait(lambda: self.cluster.kubectl("get", "--raw", "/readyz", check=False).returncode == 0, 60, "the API server")

    def _controllers(self):
        path = self.pki.path
        config = path("controller-manager.kubeconfig")
        self.machine.spawn(
            "kube-controller-manager", self.cluster.binary("kube-controller-manager"), f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}", "--bind-address=127.0.0.1",
            "--cert-dir=/run/kubernetes", "--allocate-node-cidrs=false", f"--service-cluster-ip-range={SERVICES}",
            f"--service-account-private-key-file={path('sa.key')}", f"--root-ca-file={path('ca.crt')}",
            f"--cluster-signing-cert-file={path('ca.crt')}", f"--cluster-signing-key-file={path('ca.key')}",
            "--use-service-account-credentials=true", "--leader-elect=false", "--profiling=false", "--kube-api-qps=500", "--kube-api-burst=1000")
        config = path("scheduler.kubeconfig")
        self.machine.spawn(
            "kube-scheduler", self.cluster.binary("kube-scheduler"), f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}", "--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false")
