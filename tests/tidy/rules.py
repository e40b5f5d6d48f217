#!/usr/bin/python3
"""The house rules that a compiler does not check: include arrows, one await a statement, banned calls, file and function length."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Room → rooms whose headers it may include (itself always). The order of DESIGN: arrows only point down.
ARROWS = {
    "base": set(),
    "mesh": {"base"},
    "source": {"mesh", "base"},
    "bpf": {"base"},
    "agent": {"source", "mesh", "base", "bpf", "weft"},
    "ztunnel": {"mesh", "base", "bpf", "weft", "envoy", "google"},
    "controlplane": {"source", "mesh", "base", "weft", "envoy", "google"},
    "sandbox": {"source", "mesh", "base", "bpf", "weft"},
    "cli": {"source", "mesh", "base", "bpf", "sandbox", "controlplane/frontends", "weft"},
}
# What may be included of a room that holds rooms: the front ends are pure and stand on the model alone.
INNER = {
    "controlplane/model": {"controlplane/model"},
    "controlplane/frontends": {"controlplane/model", "controlplane/frontends"},
    "controlplane/explain": {"controlplane/model", "controlplane/frontends", "controlplane/translate", "controlplane/explain"},
}
# Inside ztunnel: io → tls → hbone → proxy; fed by state, pods, ca, xds; app sees all.
ZTUNNEL = {
    "io": set(),
    "tls": {"io"},
    "hbone": {"io", "tls"},
    "state": {"io"},
    "pods": {"io"},
    "rpc": set(),
    "ca": {"io", "tls", "rpc"},
    "xds": {"io", "state", "rpc"},
    "proxy": {"io", "tls", "hbone", "state", "pods", "ca"},
    "admin": {"io", "tls", "hbone", "state", "pods", "ca", "xds", "proxy"},
    "app": {"io", "tls", "hbone", "state", "pods", "rpc", "ca", "xds", "proxy", "admin"},
}
PURE = ("base/", "mesh/", "bpf/include/", "controlplane/model/", "controlplane/frontends/", "controlplane/explain/")
BANNED = [
    (r"\bstrcpy\(|\bstrcat\(|\bsprintf\(", "use std::string or fmt"),
    (r"(^|[^_\w.>])system\(\"", "use posix_spawn with an argument vector"),
    (r"\bstd::thread\([^)]*\)\.detach\(|\.detach\(\)", "join threads"),
    (r"\busing namespace std\b", "name what you use"),
    (r"\brand\(\)", "randomness is an argument"),
]
PURE_BANNED = [(r"::now\(\)|\bgetenv\(|\bopen\(|\bsocket\(|random_device", "this room is pure: take it as an argument")]
FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 120


def files():
    out = subprocess.run(["git", "ls-files", "*.h", "*.cc", "*.c"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [f for f in out.stdout.splitlines() if not f.startswith("tests/")]


def check_includes(path, text, say):
    room = path.split("/")[0]
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not found or "/" not in found.group(1):
            continue
        parts = found.group(1).split("/")
        target = parts[0]
        if target not in ARROWS and target not in ("weft", "envoy", "google"):
            continue
        inner = "/".join(parts[:2])
        if target != room and not {target, inner} & ARROWS.get(room, set()) and not (room == "bpf" and target == "weft"):
            say(number, f"{room} must not include {target}")
        here = "/".join(path.split("/")[:2])
        if room == target and here in INNER and inner not in INNER[here]:
            say(number, f"{here} must not include {inner}")
        if room == target == "ztunnel" and len(parts) > 2 and path.count("/") > 1:
            here, there = path.split("/")[1], parts[1]
            if here != there and there not in ZTUNNEL.get(here, set()):
                say(number, f"ztunnel/{here} must not include ztunnel/{there}")


def check_lines(path, text, say):
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line.split("//")[0])
        if code.count("co_await") > 1:
            say(number, "one co_await a statement")
        if re.search(r"(if|while|switch|return)\s*\(.*co_await", code):
            say(number, "co_await is its own statement or initialises a named variable")
        for pattern, hint in BANNED + (PURE_BANNED if path.startswith(PURE) else []):
            if re.search(pattern, code):
                say(number, f"banned: {hint}")


def check_sizes(path, text, say):
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        say(1, f"{len(lines)} lines: does this file hold two ideas? (max {FILE_LINES_MAX})")
    start = None
    for number, line in enumerate(lines, 1):
        if re.match(r"^[A-Za-z].*\)[^;]*\{\s*$", line) and not line.startswith(("namespace", "struct", "class", "extern")):
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION_LINES_MAX:
                say(start, f"a function of {number - start} lines (max {FUNCTION_LINES_MAX})")
            start = None


def check(path, text):
    problems = []

    def say(number, what):
        problems.append(f"{path}:{number}: {what}")

    check_includes(path, text, say)
    check_lines(path, text, say)
    check_sizes(path, text, say)
    return problems


def self_test():
    """The lint is itself tested: each rule finds its own bad example."""
    bad = {
        "mesh/x.cc": ['#include "agent/app.h"', "auto t = Clock::now();"],
        "ztunnel/io/x.cc": ['#include "ztunnel/proxy/pool.h"', "if (co_await x) {", "f(co_await a, co_await b);"],
        "cli/x.cc": ['#include "controlplane/ca/authority.h"'],
        "controlplane/frontends/x.cc": ['#include "controlplane/translate/world.h"', "auto t = Clock::now();"],
        "agent/x.cc": ['#include "ztunnel/io/loop.h"', 'system("ls");'],
    }
    for path, lines in bad.items():
        for line in lines:
            if not check(path, line):
                sys.exit(f"tests/tidy: the rule against `{line}` in {path} does not work")
    if not check("agent/x.cc", "\n" * (FILE_LINES_MAX + 1)):
        sys.exit("tests/tidy: the length rule does not work")


def main():
    self_test()
    problems = []
    for path in files():
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            problems += check(path, file.read())
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
