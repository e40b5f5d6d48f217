"""The tests' only door to Weft: weftctl on a sandbox. Ground truth comes from the applications and from packets, not from Weft's reports."""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import textwrap
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("WEFT_BIN", f"{ROOT}/build/release/bin")
WEFTCTL = f"{BIN}/weftctl"
APPS = f"{ROOT}/tests/netns/apps"
PYTHON = "/usr/bin/python3"
REACH_S = 2.0  # apply → effect
HARD_S = 10.0


class Failed(Exception):
    def __init__(self, argv, result):
        super().__init__(f"{' '.join(argv)}: exit {result.returncode}\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
        self.returncode = result.returncode
        self.stdout, self.stderr = result.stdout, result.stderr


def eventually(check, within=HARD_S, every=0.05, what="condition"):
    """Polls until check() is truthy and returns it; the last exception or value goes into the failure."""
    end = time.monotonic() + within
    last = None
    while True:
        try:
            last = check()
            if last:
                return last
        except (Failed, OSError, AssertionError, KeyError, IndexError, json.JSONDecodeError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not hold within {within} s; last: {last!r}")
        time.sleep(every)


def dump(value):
    return json.dumps(value)  # JSON is YAML


class Sandbox:
    def __init__(self, name):
        self.name = name
        self.may_refuse = False
        self.log_dir = f"/run/weft/sandbox/{name}/logs"

    # --- weftctl
    def ctl(self, *argv, check=True, timeout=60, stdin=None, text=True):
        full = [WEFTCTL, "--sandbox", self.name, *argv]
        result = subprocess.run(full, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True,
                                text=text, timeout=timeout, check=False)
        if check and result.returncode != 0:
            raise Failed(full, result)
        return result

    def sb(self, *argv, **kwargs):
        return self.ctl("sandbox", *argv, **kwargs)

    def up(self, *argv, timeout=120):
        return self.sb("up", *argv, timeout=timeout)

    def down(self):
        """Ends it. No client may have refused what the control plane sent, unless the test made it so (`may_refuse`)."""
        refused = [] if self.may_refuse else self.refusals()
        done = self.sb("down", timeout=60)
        assert not refused, "configuration was refused:\n" + "\n".join(refused[:5])
        return done

    def refusals(self):
        """What the control plane's log says of NACKs, its earlier lives included."""
        log = self.sb("logs", "controlplane", check=False).stdout
        return [line for line in log.splitlines() if "client refused configuration" in line]

    def apply(self, manifest, check=True):
        if not isinstance(manifest, str):
            manifest = "\n---\n".join(dump(m) for m in manifest)
        return self.sb("apply", "-f", "-", stdin=textwrap.dedent(manifest), check=check)

    def delete(self, kind, name, ns=None, check=True, wait=True):
        return self.sb("delete", kind, name, *(["-n", ns] if ns else []), *([] if wait else ["--wait=false"]), check=check)

    def get(self, kind, name=None, ns=None):
        out = self.sb("get", kind, *([name] if name else []), *(["-n", ns] if ns else ["-A"] if not name else []), "-o", "json").stdout
        return json.loads(out)

    def wait(self, kind, name, condition="Ready", ns="default", timeout="20s"):
        return self.sb("wait", kind, name, f"--for={condition}", "-n", ns, "--timeout", timeout, timeout=60)

    def label(self, kind, name, *labels, ns=None):
        return self.sb("label", kind, name, *labels, *(["-n", ns] if ns else []))

    # --- pods
    def exec(self, ns, pod, *argv, check=True, timeout=30, stdin=None, text=True):
        return self.sb("exec", "-n", ns, pod, "--", *argv, check=check, timeout=timeout, stdin=stdin, text=text)

    def popen(self, ns, pod, *argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([WEFTCTL, "--sandbox", self.name, "sandbox", "exec", "-n", ns, pod, "--", *argv], **kwargs)

    def pod_ips(self, ns, pod):
        status = self.get("pod", pod, ns)["status"]
        return [entry["ip"] for entry in status["podIPs"]]

    def enrolled(self):
        """{(namespace, pod): entry} of `weftctl status`, captured ones only."""
        pods = json.loads(self.ctl("status", "-o", "json").stdout)["pods"]
        return {(p["namespace"], p["name"]): p for p in pods if p["state"] == "captured"}

    def wait_captured(self, *pods, within=HARD_S):
        return eventually(lambda: set(pods) <= set(self.enrolled()), within, what=f"{pods} captured")

    def wait_released(self, *pods, within=HARD_S):
        return eventually(lambda: not set(pods) & set(self.enrolled()), within, what=f"{pods} released")

    # --- reports
    def metrics(self, node, port):
        """[(name, labels, value)] of a node's endpoint, fetched in the node's own namespaces."""
        text = self.node_exec(node, "curl", "-sf", "--max-time", "5", f"http://{node_ip(node)}:{port}/metrics").stdout
        return parse_metrics(text)

    def node_pid(self, node):
        """A process of the node's own: its agent's, else the one that holds the node."""
        info = self.get("node", node)
        return int(info["metadata"]["annotations"]["weft.dev/pid"])

    def node_exec(self, node, *argv, check=True, timeout=30):
        full = ["nsenter", "-t", str(self.node_pid(node)), "-n", "-m", "--", *argv]
        result = subprocess.run(full, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        if check and result.returncode != 0:
            raise Failed(full, result)
        return result

    def node_popen(self, node, *argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(["nsenter", "-t", str(self.node_pid(node)), "-n", "-m", "--", *argv], **kwargs)

    def logs(self, what, node=None):
        return self.sb("logs", what, *(["--node", node] if node else [])).stdout

    def access(self, node, since=0):
        return [line for line in self.logs("ztunnel", node).splitlines()[since:] if "connection complete" in line or "connection failed" in line]

    def pids(self, name, node=None):
        """Pids of this sandbox's processes called `name`."""
        out = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cgroup") as file:
                    cgroup = file.read()
                with open(f"/proc/{pid}/comm") as file:
                    comm = file.read().strip()
            except OSError:
                continue
            ours = f"/weft-{self.name}/" in cgroup + "/"
            if ours and comm == name[:15] and (node is None or f"/{node}/" in cgroup):
                out.append(int(pid))
        return out


def descriptors(mesh):
    """{node: descriptors of its ztunnel}, without the sockets that are kept ready for busy pods: those never sent or got a segment."""
    return {node: count_descriptors(*mesh.pids("weft-ztunnel", node)) for node in ("node1", "node2")}


def count_descriptors(pid):
    libc, holder = ctypes.CDLL(None, use_errno=True), os.pidfd_open(pid)
    try:
        return sum(not is_spare(libc.syscall(438, holder, int(fd), 0)) for fd in os.listdir(f"/proc/{pid}/fd"))  # pidfd_getfd
    finally:
        os.close(holder)


def is_spare(fd):
    if fd < 0:
        return True  # gone meanwhile
    try:
        with socket.socket(fileno=fd) as sock:
            if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
                return False
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            return info[0] == 7 and struct.unpack_from("=II", info, 136) == (0, 0)  # TCP_CLOSE; tcpi_segs_out, tcpi_segs_in
    except OSError:
        os.close(fd)  # no socket
        return False


def node_ip(node):
    return f"172.31.0.{node.removeprefix('node')}"


def parse_metrics(text):
    out = []
    for line in text.splitlines():
        found = re.match(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)", line)
        if found:
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found.group(2) or ""))
            out.append((found.group(1), labels, float(found.group(3))))
    return out


def total(samples, name, **labels):
    return sum(v for n, l, v in samples if n == name and all(l.get(k) == w for k, w in labels.items()))


# --- manifests
def namespace(name, meshed=False, **labels):
    if meshed:
        labels["weft.dev/mesh"] = "enabled"
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def account(ns, name):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": ns}}


def pod(ns, name, command=None, node=None, sa=None, labels=None, ips=None, ports=None, ready_port=None, **spec):
    container = {"name": "main", "image": "none", "command": command or ["sleep", "86400"]}
    if ports:
        container["ports"] = [{"containerPort": p} if isinstance(p, int) else p for p in ports]
    if ready_port:
        container["readinessProbe"] = {"tcpSocket": {"port": ready_port}, "periodSeconds": 1}
    meta = {"name": name, "namespace": ns, "labels": {"app": name, **(labels or {})}}
    if ips:
        meta["annotations"] = {"weft.dev/pod-ips": ips}
    body = {"containers": [container], "terminationGracePeriodSeconds": 1, **spec}
    if node:
        body["nodeName"] = node
    if sa:
        body["serviceAccountName"] = sa
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body}


def service(ns, name, ports, selector=None, headless=False, **spec):
    listed = [{"name": f"p{p}", "port": p, "targetPort": p} if isinstance(p, int) else p for p in ports]
    body = {"selector": selector or {"app": name}, "ports": listed, "ipFamilyPolicy": "PreferDualStack", **spec}
    if headless:
        body["clusterIP"] = "None"
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": ns}, "spec": body}


def authorization(ns, name, **spec):
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": name, "namespace": ns}, "spec": spec}


def peer_authentication(ns, name, **spec):
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": name, "namespace": ns}, "spec": spec}


def python_app(name, *argv):
    return [PYTHON, "-u", f"{APPS}/{name}.py", *map(str, argv)]


def stop(process, how=signal.SIGTERM, within=10):
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(5)


class Capture:
    """tcpdump inside one namespace, in the background; .packets(filter) reads the file back."""

    def __init__(self, sandbox, node, interface, expression="tcp"):
        self.path = f"/tmp/weft-test-{os.getpid()}-{time.monotonic_ns()}.pcap"
        argv = ["tcpdump", "-U", "-n", "--immediate-mode", "-B", "16384", "-s", "0", "-i", interface, "-w", self.path, expression]
        self.process = sandbox.node_popen(node, *argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        os.set_blocking(self.process.stderr.fileno(), True)
        line = self.process.stderr.readline()
        while line and "listening on" not in line:
            line = self.process.stderr.readline()

    def stop(self):
        time.sleep(0.3)
        stop(self.process, signal.SIGINT)
        self.process.stderr.close()

    def packets(self, expression=""):
        argv = ["tcpdump", "-n", "-r", self.path, *expression.split()]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    def bytes(self):
        with open(self.path, "rb") as file:
            return file.read()

    def remove(self):
        if os.path.exists(self.path):
            os.unlink(self.path)


def have(tool):
    return shutil.which(tool) is not None
