#!/usr/bin/python3
"""Measures Weft against no mesh at all, in a sandbox, and reports against the budgets of DESIGN §10.

Prints a table and the path of a JSON file; progress goes to stderr. Needs root and an otherwise idle machine. Ctrl-C leaves nothing behind.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMA = 1
ENGINES = ["uring", "epoll"]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: shows that the bench works, not how fast Weft is")
    parser.add_argument("--engines", default=",".join(ENGINES), help="of %(default)s")
    parser.add_argument("--places", default="cross node,same node", help="of %(default)s")
    parser.add_argument("--only", default="", help="figures whose name has this word")
    parser.add_argument("--rounds", type=int, default=None, help="alternations a figure (default 3; quick: 1)")
    parser.add_argument("--seconds", type=float, default=None, help="of one run (default 1.5; quick: 0.2)")
    parser.add_argument("--bin", default=f"{ROOT}/build/release/bin", help="binaries (default %(default)s)")
    parser.add_argument("--json", default=f"{ROOT}/build/bench.json", help="where the result goes (default %(default)s)")
    chosen = parser.parse_args()
    chosen.engines = chosen.engines.split(",")
    chosen.places = chosen.places.split(",")
    for engine in chosen.engines:
        if engine not in ENGINES:
            parser.error(f"--engines: no such engine: {engine}")
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    chosen.seconds = chosen.seconds or (0.2 if chosen.quick else 1.5)
    if os.geteuid() != 0:
        parser.error("run as root: it makes network namespaces and loads BPF programs")
    return chosen


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.M)
    return {"cpus": os.cpu_count(), "cpu": model.group(1) if model else platform.machine(), "kernel": platform.release(),
            "load_before": os.getloadavg()[0]}


def idle_tunnel(binary, engine, tunnels):
    out = subprocess.run([binary, "idle", engine, str(tunnels)], capture_output=True, text=True, timeout=60, check=True).stdout
    return json.loads(out)


def interrupted(*_):
    raise KeyboardInterrupt


def bench(chosen, worlds, progress):
    import budgets
    import change
    import plan
    import waypoint

    result = {"schema": SCHEMA, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "quick": chosen.quick, "rounds": chosen.rounds,
              "seconds": chosen.seconds, "machine": machine(), "engines": {}, "memory": {}, "tunnel": {}, "change": {}}
    for world in worlds:
        progress.say(f"a sandbox with ztunnel on {world.engine}")
        world.up()
        result["engines"][world.engine] = world.libraries()
    for world in worlds:
        count = 500 if chosen.quick else 4000
        progress.say(f"{count} idle connections, {world.engine}")
        result["memory"][world.engine] = {"start": world.start_rss, "idle": world.idle(count, settle=1.0 if chosen.quick else 3.0)}
        result["tunnel"][world.engine] = idle_tunnel(f"{chosen.bin}/hbone-bench", world.engine, 256)
        changed = change.Change(world.sandbox)
        changed.up()
        result["change"][world.engine] = changed.measure(rounds=2 if chosen.quick else 10)
    figures = [figure for figure in plan.FIGURES if chosen.only in figure.name]
    result["figures"] = plan.measure(worlds, figures, chosen.places, chosen.rounds, chosen.seconds, progress)
    served = waypoint.Waypoint(worlds[0].sandbox, 20 if chosen.quick else 500)
    progress.say(f"a waypoint of {served.services} services")
    served.up()
    result["waypoint"] = served.measure(rounds=3 if chosen.quick else 15, count=500 if chosen.quick else 10000)
    result["budgets"] = budgets.judge(result, chosen.engines)
    result["not_measured"] = budgets.NOT_MEASURED
    result["took_s"] = round(time.monotonic() - progress.start, 1)
    return result


def main():
    chosen = options()
    os.environ["WEFT_BIN"] = chosen.bin
    sys.dont_write_bytecode = True
    import plan
    import report
    import world

    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job starts with SIGINT ignored
        signal.signal(number, interrupted)
    figures = sum(chosen.only in figure.name for figure in plan.FIGURES)
    steps = chosen.rounds * figures * len(chosen.places) + 2 * len(chosen.engines) + 1
    progress = plan.Progress(steps, limit_s=60 if chosen.quick else 420)
    worlds = [world.World(engine) for engine in chosen.engines]
    try:
        result = bench(chosen, worlds, progress)
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    except (world.Trouble, world.weft.Failed, AssertionError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for one in worlds:
            one.down()
    os.makedirs(os.path.dirname(os.path.abspath(chosen.json)), exist_ok=True)
    with open(chosen.json, "w") as file:
        json.dump(result, file, indent=1)
    print(report.table(result))
    print(f"JSON: {chosen.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
