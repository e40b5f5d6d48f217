"""Two control planes on one API server: one writes at any time, the other follows in time, both serve."""

import os
import signal
import time

import pytest
import xds
from api_server import ApiServer
from control_plane import ControlPlane
from test_source import meta, pod
from test_status import policy

pytestmark = pytest.mark.skipif("WEFT_KUBE_BIN" not in os.environ, reason="make test-kube runs these: WEFT_KUBE_BIN names no directory")
TAKEOVER_S = 17


class Pair:
    def __init__(self, tmp):
        self.tmp, self.number = tmp, 0
        self.api = ApiServer(tmp, audit=True)
        self.planes = {}
        try:
            self.api.install_crds()
            for name in ("shop", "weft-system"):
                self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"weft.dev/mesh": "enabled"}}})
            self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}})
            self.api.create(pod(0))
            for name in ("one", "two"):
                self.kubeconfigs = {**getattr(self, "kubeconfigs", {}), name: self.api.user(name, "system:masters")}
            self.start("one")
            self.api.wait(lambda: ": leading as one" in self.planes["one"].text())
            self.start("two")
        except BaseException:
            self.api.stop()
            raise

    def start(self, name):
        self.planes[name] = ControlPlane(f"kube:{self.kubeconfigs[name]}", f"{self.tmp}/{name}", "--out=kube", f"--replica={name}")

    def written(self):
        """A new policy: who wrote its status, once somebody did. Asked every now and then, so that there is always something to write."""
        self.number += 1
        one = policy(f"p{self.number}")
        self.api.create(one)
        return lambda: bool(self.api.get(one).get("status", {}).get("conditions"))

    def writers(self):
        """(when, who) of every status write, and of every write of the lease."""
        statuses, leases = [], []
        for when, user, verb, what, name, code in self.api.audited():
            if code >= 300 or user not in ("one", "two"):
                continue
            if what.endswith("/status"):
                statuses.append((when, user))
            if what == "leases":
                leases.append((when, user))
        return statuses, leases

    def takeover(self, by):
        """Seconds until `by` writes, with something new to write every half second."""
        start = time.monotonic()
        seen = len([1 for _, user in self.writers()[0] if user == by])
        while len([1 for _, user in self.writers()[0] if user == by]) == seen:
            assert time.monotonic() - start < 30, self.planes[by].text()[-1500:]
            self.written()
            time.sleep(0.5)
        return time.monotonic() - start


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    one = Pair(str(tmp_path_factory.mktemp("leader")))
    try:
        yield one
        for plane in one.planes.values():
            plane.stop()
    finally:
        one.api.stop()


def policies(plane):
    return {name for kind, name in xds.snapshot(plane.port, 0.3) if kind == xds.AUTHORIZATION}


def test_one_writes_and_both_serve(pair):
    done = pair.written()
    pair.api.wait(done)
    assert {user for _, user in pair.writers()[0]} == {"one"}
    pair.api.wait(lambda: policies(pair.planes["one"]) == policies(pair.planes["two"]) >= {"shop/p1"})


def test_a_stopped_leader_is_followed_and_does_not_write_when_it_wakes(pair):
    served = policies(pair.planes["two"])
    pair.planes["one"].process.send_signal(signal.SIGSTOP)
    try:
        assert pair.takeover("two") <= TAKEOVER_S
        assert policies(pair.planes["two"]) >= served
    finally:
        pair.planes["one"].process.send_signal(signal.SIGCONT)
    pair.api.wait(lambda: "no longer leading" in pair.planes["one"].text())
    for _ in range(4):
        pair.api.wait(pair.written())
    assert policies(pair.planes["one"]) >= served


def test_a_killed_leader_is_followed(pair):
    pair.planes["two"].kill()
    assert pair.takeover("one") <= TAKEOVER_S


def test_a_leader_that_ends_hands_over(pair):
    pair.start("two")
    time.sleep(1.5)
    start = time.monotonic()
    pair.planes["one"].stop()
    pair.api.wait(pair.written(), 3)
    assert time.monotonic() - start <= 4
    assert pair.writers()[0][-1][1] == "two"


def test_nobody_wrote_without_the_lease(pair):
    statuses, leases = pair.writers()
    assert len(statuses) >= 20 and {user for _, user in statuses} == {"one", "two"}
    for when, user in statuses:
        holder = [who for at, who in leases if at <= when][-1]
        assert holder == user, f"{user} wrote at {when}, the lease was {holder}'s"
    changes = [who for (_, who), (_, before) in zip(leases[1:], leases) if who != before]
    assert changes == ["two", "one", "two"]
