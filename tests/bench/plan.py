"""What is measured, and how: rounds in alternation, so that every ratio compares neighbours in time."""

import itertools
import statistics
import sys
import time

NONE = "none"  # the case without a mesh


class Figure:
    """One kind of load. `shows`: keys of weft-bench's answer that are kept; `bigger`: the one that is best big (else small)."""

    def __init__(self, name, mode, shows, **options):
        self.name, self.mode, self.shows, self.options = name, mode, shows, options


THROUGHPUT = ("gbit_s", "cpu_s_per_gb")
LATENCY = ("p50_us", "p99_us", "per_s", "cpu_us_each")

FIGURES = [
    Figure("throughput, 1 stream, 64 KiB writes", "throughput", THROUGHPUT, streams=1, write=65536),
    Figure("throughput, 8 streams, 64 KiB writes", "throughput", THROUGHPUT, streams=8, write=65536),
    Figure("throughput, 1 stream, 1 KiB writes", "throughput", THROUGHPUT, streams=1, write=1024),
    Figure("throughput, 8 streams, 1 KiB writes", "throughput", THROUGHPUT, streams=8, write=1024),
    Figure("request of 64 B, 1 connection", "latency", LATENCY, connections=1, size=64),
    Figure("request of 64 B, 64 connections", "latency", LATENCY, connections=64, size=64),
    Figure("connect + 1 byte + close, 16 at once", "connect", LATENCY, concurrency=16),
]


class Progress:
    """One line a step on stderr, with the time since the start; stops the bench when its time is over."""

    def __init__(self, steps, limit_s):
        self.start, self.steps, self.step, self.limit = time.monotonic(), steps, 0, limit_s

    def say(self, text):
        self.step += 1
        print(f"[{time.monotonic() - self.start:4.0f}s {self.step}/{self.steps}] {text}", file=sys.stderr, flush=True)

    def late(self):
        return time.monotonic() - self.start > self.limit


def cases(worlds, round_number):
    """(case, world, namespace) in an order that turns with the rounds: nobody always follows the same neighbour."""
    order = [(NONE, worlds[0], "plain")] + [(world.engine, world, "meshed") for world in worlds]
    turn = round_number % len(order)
    return order[turn:] + order[:turn]


def measure(worlds, figures, places, rounds, seconds, progress):
    """[{figure, place, cases: {case: {key: [value a round]}}}]. Later rounds are left out when the time is over."""
    found = {}
    for number, figure, place in itertools.product(range(rounds), figures, places):
        if number > 0 and progress.late():
            progress.say("time is over: the rest of the rounds is left out")
            break
        said = []
        for case, world, ns in cases(worlds, number):
            answer = world.run(ns, place, figure.mode, seconds, **figure.options)
            row = found.setdefault((figure.name, place), {}).setdefault(case, {key: [] for key in figure.shows})
            for key in figure.shows:
                row[key].append(answer[key])
            said.append(f"{case} {answer[figure.shows[0]]:g}")
        progress.say(f"round {number + 1}: {figure.name}, {place}: {figure.shows[0]} " + ", ".join(sorted(said)))
    return [{"figure": name, "place": place, "cases": with_ratios(rows)} for (name, place), rows in found.items()]


def with_ratios(rows):
    """{case: {key: {median, rounds, ratio, added}}}; ratio and added are medians over rounds of mesh against no mesh."""
    out = {}
    for case, row in rows.items():
        out[case] = {}
        for key, values in row.items():
            entry = {"median": statistics.median(values), "rounds": values}
            if case != NONE:
                pairs = list(zip(values, rows[NONE][key]))
                entry["ratio"] = statistics.median(mesh / bare if bare else 0.0 for mesh, bare in pairs)
                entry["added"] = statistics.median(mesh - bare for mesh, bare in pairs)
            out[case][key] = entry
    return out
