"""The bookinfo world of the labs, and short ways to ask it. Ground truth: the services' own counters."""

import json

import weft
from weft import account, eventually, namespace, pod, python_app

SAMPLES = f"{weft.ROOT}/deploy/samples/bookinfo"
CONTROL = "172.31.0.254:15014"  # the control plane's metrics
HOSTS = {"productpage": ["v1"], "details": ["v1"], "reviews": ["v1", "v2", "v3"], "ratings": ["v1"]}


class Bookinfo:
    """Bookinfo in one namespace, enrolled by the sidecar era's label, with a client pod `tool` beside it."""

    def __init__(self, mesh, ns="default", label="istio-injection=enabled"):
        self.mesh, self.ns = mesh, ns
        mesh.apply([namespace(ns)])
        mesh.label("namespace", ns, label)
        self.sample("bookinfo")
        mesh.apply([account(ns, "tool"), pod(ns, "tool", sa="tool", node="node1")])
        mesh.wait("pod", "tool", ns=ns)
        for app, versions in HOSTS.items():
            for version in versions:
                mesh.wait("deployment", f"{app}-{version}", "Available", ns=ns)
        pods = self.pods()
        mesh.wait_captured((ns, "tool"), *[(ns, name) for name in pods.values()])

    def pods(self):
        """{"reviews-v1": pod name}"""
        found = {}
        for one in self.mesh.get("pod", ns=self.ns)["items"]:
            labels = one["metadata"].get("labels", {})
            if labels.get("app") in HOSTS:
                found[f"{labels['app']}-{labels['version']}"] = one["metadata"]["name"]
        return found

    def sample(self, name):
        self.mesh.sb("apply", "-n", self.ns, "-f", f"{SAMPLES}/{name}.yaml")

    def apply(self, text):
        self.mesh.sb("apply", "-n", self.ns, "-f", "-", stdin=text)

    def ask(self, url, n=1, *more, pod_name="tool", timeout=90):
        """hammer.py in a pod: {"counts", "bodies", "times", …}."""
        out = self.mesh.exec(self.ns, pod_name, *python_app("hammer", url, "-n", n, *more), timeout=timeout).stdout
        return json.loads(out)

    def hammer(self, url, *more, pod_name="tool"):
        """The same in the background; .result() waits."""
        import subprocess

        process = self.mesh.popen(self.ns, pod_name, *python_app("hammer", url, *more), stdout=subprocess.PIPE, text=True)

        def result(timeout=60):
            out, _ = process.communicate(timeout=timeout)
            return json.loads(out)

        process.result = result
        return process

    def page(self, *more):
        """One /productpage as a dictionary, or its text when it is no JSON; and its key ("200 productpage-v1")."""
        got = self.ask("http://productpage:9080/productpage", 1, *more)
        (key,) = got["counts"]
        try:
            return key, json.loads(got["bodies"][0]), got["times"][0]
        except ValueError:
            return key, got["bodies"][0], got["times"][0]

    def count(self, workload, prefix):
        """How often the application behind `workload` was asked for a path that starts so, by its own counter."""
        text = self.mesh.exec(self.ns, self.pods()[workload], "curl", "-s", "http://127.0.0.1:9080/__count").stdout
        return sum(n for path, n in json.loads(text).items() if path.startswith(prefix))

    def fault(self, workload, **what):
        self.mesh.exec(self.ns, self.pods()[workload], "curl", "-s", "-d", json.dumps(what), "http://127.0.0.1:9080/__fault")

    def last(self, workload):
        """The last request that the application behind `workload` got."""
        return json.loads(self.mesh.exec(self.ns, self.pods()[workload], "curl", "-s", "http://127.0.0.1:9080/__last").stdout)

    def collected(self):
        """The collector's samples."""
        return weft.parse_metrics(self.mesh.node_exec("node1", "curl", "-sf", "--max-time", "5", f"http://{CONTROL}/metrics").stdout)

    def counted(self, name="istio_requests_total", **labels):
        return weft.total(self.collected(), name, **labels)

    def waypoint_pods(self):
        """Names of the pods of this namespace's waypoints."""
        return [p["metadata"]["name"] for p in self.mesh.get("pod", ns=self.ns)["items"] if "weft.dev/waypoint" in p["metadata"].get("labels", {})]

    def clear(self):
        """Takes every rule away."""
        for kind in ("virtualservice", "httproute", "authorizationpolicy.security.istio.io", "destinationrule"):
            for one in self.mesh.get(kind, ns=self.ns)["items"]:
                self.mesh.delete(kind, one["metadata"]["name"], ns=self.ns)

    def until(self, check, within=weft.HARD_S, what="the change"):
        """Polls until check() held three times in a row."""
        held = 0

        def again():
            nonlocal held
            held = held + 1 if check() else 0
            return held >= 3

        return eventually(again, within, every=0.03, what=what)

    def versions(self, n=30, *more):
        """{"v1": n, …} of reviews, and what else came back, by key."""
        got = self.ask("http://reviews:9080/reviews/0", n, "-c", 4, *more)["counts"]
        return {key.removeprefix("200 reviews-"): count for key, count in got.items()}
