"""A1: what a newcomer runs first, and everything that the README says to try next."""

import os
import subprocess
import time

import weft
from test_sandbox import leftovers

NAME = f"demo{os.getpid()}"
ENV = {**os.environ, "WEFT_SANDBOX": NAME, "WEFT_BIN": weft.BIN, "KEEP": "1", "PATH": f"{weft.BIN}:{os.environ['PATH']}"}


def readme_commands():
    with open(f"{weft.ROOT}/README.md", encoding="utf-8") as file:
        part = file.read().split("## What to try next")[1]
    return [line.split("#")[0].strip() for line in part.split("```")[1].splitlines() if line.startswith("weftctl")]


def captures():
    """The processes that listen for the demo on a node's network; they are in no cgroup of the sandbox."""
    return subprocess.run(["pgrep", "-f", "tcpdump .*/underlay.pcap"], capture_output=True, text=True, check=False).stdout.split()


def run_command(line):
    """One line of the README; what follows a log or opens a prompt is ended after a while."""
    process = subprocess.Popen(line.split(), cwd=weft.ROOT, env=ENV, stdin=subprocess.DEVNULL, stdout=-1, stderr=-2, text=True)
    if line.endswith(" -f"):
        time.sleep(1)
        process.terminate()
        return 0, process.communicate(timeout=10)[0]
    out = process.communicate(timeout=60)[0]
    return process.returncode, out


def test_the_demo_tells_its_story_and_the_readme_goes_on_from_there():
    before = captures()
    try:
        start = time.monotonic()
        demo = subprocess.run(["tools/demo.sh"], cwd=weft.ROOT, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        took = time.monotonic() - start
        assert demo.returncode == 0, demo.stdout[-3000:] + demo.stderr[-2000:]
        assert took < 60, took
        assert captures() == before
        for words in ("who talked to whom", "spiffe://cluster.local/ns/shop/sa/web", "0 in clear", "the secret in clear: 0 times", "denials, each with its policy",
                      "bank/ledger-for-web", "pods restarted: 0", "RBAC: access denied (403)", "in verse (v2) (200)", f'The sandbox "{NAME}" is running'):
            assert words in demo.stdout, words
        commands = readme_commands()
        assert len(commands) >= 6 and commands[-1] == "weftctl sandbox down", commands
        for line in commands:
            code, out = run_command(line)
            assert code == 0, (line, out)
            if line.endswith(" -f"):
                assert "policy" in out, out
    finally:
        subprocess.run([weft.WEFTCTL, "sandbox", "down"], env=ENV, check=False, capture_output=True)
    assert not leftovers(NAME)


def test_the_demo_leaves_alone_a_sandbox_that_the_environment_names(fresh):
    s = fresh(nodes=1)
    demo = subprocess.run(["tools/demo.sh"], cwd=weft.ROOT, env={**ENV, "WEFT_SANDBOX": s.name}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert demo.returncode == 1 and f'the sandbox "{s.name}" (WEFT_SANDBOX) is up' in demo.stderr, demo
    assert s.ctl("version").stdout.count(s.name) == 1
