"""`make bench QUICK=1`: the bench measures everything it says and cleans up. How fast Weft is, is not asserted."""

import json
import os
import signal
import subprocess

import weft

RUN = [weft.PYTHON, "-B", f"{weft.ROOT}/tests/bench/run.py", "--quick", "--bin", weft.BIN]
FIGURES = 7
KEYS = {"throughput": {"gbit_s", "cpu_s_per_gb"}, "request": {"p50_us", "p99_us", "per_s", "cpu_us_each"},
        "connect": {"p50_us", "p99_us", "per_s", "cpu_us_each"}}


def left_behind(pid):
    """Sandboxes that the bench with this pid made: directories and cgroups."""
    cgroups = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    places = [place for place in ("/run/weft/sandbox", cgroups) if os.path.isdir(place)]
    return [name for place in places for name in os.listdir(place) if f"bench{pid}" in name]


def test_quick_bench_has_every_figure_of_every_case(tmp_path):
    path = tmp_path / "bench.json"
    bench = subprocess.Popen([*RUN, "--seconds", "0.1", "--json", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    try:
        out, err = bench.communicate(timeout=120)
    finally:
        weft.stop(bench, signal.SIGINT, within=30)
    assert bench.returncode == 0, err
    assert f"JSON: {path}" in out
    result = json.loads(path.read_text())
    assert result["schema"] == 1
    assert result["quick"] is True
    assert result["engines"]["uring"]["io"] == "io_uring"
    assert result["engines"]["epoll"]["io"] == "epoll"
    assert all(engine["tls"].startswith("OpenSSL ") for engine in result["engines"].values())
    seen = set()
    for row in result["figures"]:
        seen.add((row["figure"], row["place"]))
        assert set(row["cases"]) == {"none", "uring", "epoll"}, row
        for case, values in row["cases"].items():
            assert set(values) == KEYS[row["figure"].split(",")[0].split()[0]], row
            for value in values.values():
                assert value["median"] > 0, row
                assert case == "none" or value["ratio"] > 0, row
    assert len(seen) == 2 * FIGURES, seen
    for engine in ("uring", "epoll"):
        memory = result["memory"][engine]
        assert memory["start"]["node1"]["rss"] > 0
        assert memory["idle"]["outbound_bytes"] > 0
        assert memory["idle"]["inbound_bytes"] > 0
        assert result["tunnel"][engine]["tls_bytes"] > 0
        assert 0 < result["change"][engine]["policy_ms"] < 9000 and 0 < result["change"][engine]["endpoint_ms"] < 9000
    for row in result["budgets"]:
        assert row["want"] and set(row["met"]) == {"uring", "epoll"}, row
        assert None not in row["met"].values(), row
        assert row["budget"] in out
    assert result["not_measured"] and all(what in out for what, *_ in result["not_measured"])
    assert all(value > 0 for value in result["waypoint"].values()), result["waypoint"]
    assert left_behind(bench.pid) == []


def test_an_interrupted_bench_leaves_nothing_behind():
    bench = subprocess.Popen([*RUN, "--engines", "uring", "--json", "/dev/null"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    try:
        for line in bench.stderr:
            if "idle connections" in line:
                break
        assert left_behind(bench.pid) != []
        bench.send_signal(signal.SIGINT)
        assert bench.wait(30) == 130
        assert left_behind(bench.pid) == []
    finally:
        weft.stop(bench, signal.SIGINT, within=30)
        bench.stderr.close()
