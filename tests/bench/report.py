"""The table for a person."""

import budgets
import plan

SHOWN = {"gbit_s": "Gbit/s", "cpu_s_per_gb": "CPU s/GB", "per_s": "/s", "p50_us": "p50 µs", "p99_us": "p99 µs", "cpu_us_each": "CPU µs each"}
WIDTH = 40


def number(value):
    if value is None:
        return "–"
    size = abs(value)
    return f"{value:.0f}" if size >= 1000 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def figures(result):
    engines = result["engines"]
    lines = ["Each figure: no mesh, then Weft and its ratio to no mesh (medians; the ratio is of neighbouring runs)."]
    head = f"{'':{WIDTH}} {'':12} {'no mesh':>9}" + "".join(f"{engine:>18}" for engine in engines)
    place = None
    for row in sorted(result["figures"], key=lambda row: row["place"]):
        if row["place"] != place:
            place = row["place"]
            lines += ["", f"{place.upper()}{head[len(place):]}"]
        label = row["figure"]
        for key, bare in row["cases"][plan.NONE].items():
            cells = ""
            for engine in engines:
                entry = row["cases"][engine][key]
                cells += f"{number(entry['median']):>9} ({entry['ratio']:5.2f}×)"
            lines.append(f"{label:{WIDTH}} {SHOWN[key]:12} {number(bare['median']):>9}{cells}")
            label = ""
    return lines


def memory(result):
    lines = ["", "MEMORY OF ZTUNNEL"]
    for engine, found in result["memory"].items():
        start, idle = found["start"]["node1"], found["idle"]
        lines.append(f"{engine:6} at start: RSS {start['rss'] / 1e6:.1f} MB (own {start['anonymous'] / 1e6:.1f}, files {start['file'] / 1e6:.1f}); "
                     f"an idle connection: outbound {idle['outbound_bytes']:.0f} B, inbound {idle['inbound_bytes']:.0f} B "
                     f"(of {idle['connections']}); an idle tunnel beyond the TLS object: {result['tunnel'][engine]['idle_tunnel_bytes']:.0f} B")
    return lines


def waypoint(result):
    found = result["waypoint"]
    return ["", "WAYPOINT (Envoy)",
            f"one route changed among {found['services']} services: {found['change_ms']:.0f} ms from apply to effect, {found['change_bytes']:.0f} B to Envoy; "
            f"Envoy's RSS {found['rss'] / 1e6:.0f} MB, its CPU {found['cpu_us_each']:.0f} µs a request (16 kept connections)"]


def judgement(result):
    lines = ["", "BUDGETS (DESIGN §10)"]
    for row in result["budgets"]:
        cells = "".join(f"  {engine} {number(value):>7} {verdict(row['met'][engine]):6}" for engine, value in row["got"].items())
        lines.append(f"{row['budget']:56} {row['want']:>9} {row['unit']:5}{cells}")
    for what, want, why in budgets.NOT_MEASURED:
        lines.append(f"{what:56} {want}: not measured ({why})")
    return lines


def verdict(met):
    return "–" if met is None else "met" if met else "missed"


def table(result):
    about = result["machine"]
    lines = [f"{about['cpus']} CPUs, {about['cpu']}; kernel {about['kernel']}; load, both nodes and both ends on the same CPUs"]
    lines += [f"{engine}: I/O by {used['io']}, {used['tls']}" for engine, used in result["engines"].items()]
    return "\n".join(lines + [""] + figures(result) + memory(result) + waypoint(result) + judgement(result))
