"""A node: containerd, kubelet, kube-proxy on a machine of its own."""

import glob
import json
import os

from .machine import Machine
from .network import API_IP, BRIDGE, DNS_IP, PODS, node_ip, pods_of

CONTAINERD = """version = 2
oom_score = 0
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/weft/pause:1"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  disable_tcp_service = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
"""


def kubelet_config(pki, name, directory):
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": pki.path("ca.crt")}},
        "authorization": {"mode": "Webhook"}, "tlsCertFile": pki.path(f"{name}.crt"), "tlsPrivateKeyFile": pki.path(f"{name}.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock", "cgroupDriver": "cgroupfs", "cgroupRoot": "/",
        "failCgroupV1": False, "failSwapOn": False, "oomScoreAdj": 0, "clusterDNS": [DNS_IP], "clusterDomain": "cluster.local",
        "resolvConf": f"{directory}/resolv.conf", "volumePluginDir": "/var/lib/kubelet/volplugins",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100, "serializeImagePulls": False, "nodeStatusUpdateFrequency": "4s", "registerNode": True,
        "kubeAPIQPS": 200, "kubeAPIBurst": 400, "eventRecordQPS": 0}


def proxy_config(pki, name):
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": pki.path("proxy.kubeconfig")}, "clusterCIDR": PODS, "mode": "nftables", "hostnameOverride": name,
        "oomScoreAdj": 0, "conntrack": {"maxPerCore": 0, "min": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"}}


def cni_config(number):
    ipam = {"type": "host-local", "ranges": [[{"subnet": pods_of(number)}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


class Node:
    def __init__(self, cluster, number):
        self.cluster, self.number, self.name = cluster, number, f"n{number}"
        self.machine = Machine(self.name, f"{cluster.dir}/{self.name}", cluster.prefix)

    def ip(self):
        return node_ip(self.number)

    def make_keys(self):
        self.cluster.pki.issue(self.name, f"/O=system:nodes/CN=system:node:{self.name}", [f"DNS:{self.name}", f"IP:{node_ip(self.number)}"])
        self.cluster.pki.kubeconfig(self.name)

    def start(self):
        """Also after power_off(): then it is a reboot."""
        self.machine.start(self.cluster.init)
        self._wire()
        self._configure()
        machine, pki, directory = self.machine, self.cluster.pki, self.machine.dir
        machine.run("cp", "-n", f"{directory}/10-pods.conflist", "/etc/cni/net.d/")  # after a reboot it is as it was left
        machine.spawn("containerd", "containerd", "-c", f"{directory}/containerd.toml")
        self.cluster.wait(lambda: machine.run("ctr", "version", check=False).returncode == 0, 20, f"containerd of {self.name}")
        for image in sorted(glob.glob(f"{self.cluster.images}/*.tar")):
            self.import_image(image)
        machine.spawn("kubelet", self.cluster.binary("kubelet"), f"--config={directory}/kubelet.json", f"--kubeconfig={pki.path(self.name)}.kubeconfig",
                      f"--hostname-override={self.name}", f"--node-ip={node_ip(self.number)}", "--v=1")
        machine.spawn("kube-proxy", self.cluster.binary("kube-proxy"), f"--config={directory}/kube-proxy.json", "--v=1")

    def import_image(self, archive):
        self.machine.run("ctr", "-n", "k8s.io", "images", "import", archive, timeout=120)

    def power_off(self):
        veth = f"v{self.name}"
        if self.machine.pid() and os.path.exists(f"/proc/{self.cluster.control_plane.machine.pid()}"):
            self.cluster.control_plane.machine.run("ip", "link", "del", veth, check=False)
        self.machine.power_off()

    def _wire(self):
        veth, bridge = f"v{self.name}", self.cluster.control_plane.machine
        bridge.ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", str(self.machine.pid()))
        bridge.ip("link", "set", veth, "master", BRIDGE, "up")
        self.machine.ip("addr", "add", f"{node_ip(self.number)}/24", "dev", "eth0")
        self.machine.ip("link", "set", "eth0", "up")
        self.machine.ip("route", "add", "default", "via", API_IP)
        for other in range(1, self.cluster.node_count + 1):
            if other != self.number:
                self.machine.ip("route", "replace", pods_of(other), "via", node_ip(other))

    def _configure(self):
        directory, pki = self.machine.dir, self.cluster.pki
        files = {"containerd.toml": CONTAINERD, "resolv.conf": f"nameserver {DNS_IP}\n", "10-pods.conflist": json.dumps(cni_config(self.number)),
                 "kubelet.json": json.dumps(kubelet_config(pki, self.name, directory)), "kube-proxy.json": json.dumps(proxy_config(pki, self.name))}
        for name, text in files.items():
            with open(f"{directory}/{name}", "w", encoding="ascii") as file:
                file.write(text)
