"""One sandbox for the whole run, named after this process; WEFT_TEST_SET adds --set settings (io=epoll …)."""

import contextlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import weft  # noqa: E402
from bookinfo import Bookinfo  # noqa: E402

SETTINGS = [arg for word in os.environ.get("WEFT_TEST_SET", "").split() for arg in ("--set", word)]


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@contextlib.contextmanager
def running(name, *more):
    sandbox = weft.Sandbox(f"{name}{os.getpid()}")
    try:
        sandbox.up(*SETTINGS, *more)
        yield sandbox
    finally:
        if os.environ.get("WEFT_TEST_KEEP") != "1":
            sandbox.down()


@pytest.fixture(scope="session")
def mesh():
    """Two nodes, nothing in them. Tests make namespaces of their own and delete them."""
    with running("test") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def own_mesh(request):
    """The same, of one file alone, for what changes the whole mesh or has Envoys."""
    with running(request.module.__name__.removeprefix("test_").split("_")[0]) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def labs(own_mesh):
    return Bookinfo(own_mesh)


@pytest.fixture
def book(labs):
    """Bookinfo without rules, before and after."""
    yield labs
    labs.clear()
    labs.until(lambda: len(labs.versions(12)) == 3, what="the mix of three versions")


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
