"""One sandbox for the whole run, named after this process; WEFT_TEST_SET adds --set settings (io=epoll …)."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import weft  # noqa: E402

SETTINGS = [arg for word in os.environ.get("WEFT_TEST_SET", "").split() for arg in ("--set", word)]


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def mesh():
    """Two nodes, nothing in them. Tests make namespaces of their own and delete them."""
    sandbox = weft.Sandbox(f"test{os.getpid()}")
    try:
        sandbox.up(*SETTINGS)
        yield sandbox
    finally:
        if os.environ.get("WEFT_TEST_KEEP") != "1":
            sandbox.down()


@pytest.fixture
def fresh(request):
    """A sandbox of the test's own: fresh(*settings)."""
    made = []

    def make(*settings, name=None, nodes=2):
        sandbox = weft.Sandbox(name or f"t{os.getpid()}x{len(made)}")
        made.append(sandbox)
        sandbox.up("--nodes", str(nodes), *SETTINGS, *[a for s in settings for a in ("--set", s)])
        return sandbox

    yield make
    for sandbox in made:
        sandbox.down()


@pytest.fixture
def cleanup(mesh):
    """cleanup(ns, …): namespaces that go when the test ends."""
    names = []
    yield lambda *more: names.extend(more)
    for name in names:
        mesh.delete("namespace", name, check=False, wait=False)
