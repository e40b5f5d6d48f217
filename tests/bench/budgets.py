"""DESIGN §10 as data: each row says what is wanted and where in the result it is found. Reported, never asserted."""

THROUGHPUT_1 = "throughput, 1 stream, 64 KiB writes"
REQUEST_1 = "request of 64 B, 1 connection"
REQUEST_64 = "request of 64 B, 64 connections"
CONNECT = "connect + 1 byte + close, 16 at once"
CROSS, SAME = "cross node", "same node"


def of_figure(name, place, key, part):
    def find(result, engine):
        for row in result["figures"]:
            if (row["figure"], row["place"]) == (name, place) and engine in row["cases"]:
                return row["cases"][engine][key][part]
        return None

    return find


def of_memory(*path):
    def find(result, engine):
        value = result["memory"].get(engine)
        for key in path:
            value = None if value is None else value.get(key)
        return value

    return find


def of_change(name):
    return lambda result, engine: result["change"].get(engine, {}).get(name)


def of_tunnel(result, engine):
    return result["tunnel"].get(engine, {}).get("idle_tunnel_bytes")


# (what, unit, at least or at most, budget, where)
BUDGETS = [
    ("one stream, 64 KiB, cross node, against no mesh", "×", ">=", 0.5, of_figure(THROUGHPUT_1, CROSS, "gbit_s", "ratio")),
    ("its CPU, whole machine", "s/GB", "<=", 1.05, of_figure(THROUGHPUT_1, CROSS, "cpu_s_per_gb", "median")),
    ("64 B round trip, 1 connection, cross node: added p50", "µs", "<=", 40, of_figure(REQUEST_1, CROSS, "p50_us", "added")),
    ("64 connections: added CPU a request, both nodes", "µs", "<=", 20, of_figure(REQUEST_64, CROSS, "cpu_us_each", "added")),
    ("connections, cross node, warm tunnels", "/s", ">=", 10000, of_figure(CONNECT, CROSS, "per_s", "median")),
    ("same node: throughput against no mesh", "×", ">=", 1.0, of_figure(THROUGHPUT_1, SAME, "gbit_s", "ratio")),
    ("same node: added round trip", "µs", "<=", 0.5, of_figure(REQUEST_1, SAME, "p50_us", "added")),
    ("same node: time of a connection against no mesh", "×", "<=", 1.15, of_figure(CONNECT, SAME, "p50_us", "ratio")),
    ("memory of an idle stream, outbound", "B", "<=", 1536, of_memory("idle", "outbound_bytes")),
    ("memory of an idle stream, inbound", "B", "<=", 1536, of_memory("idle", "inbound_bytes")),
    ("memory of an idle tunnel beyond the TLS object", "B", "<=", 4096, of_tunnel),
    ("policy change to effect, from files, apply included", "ms", "<=", 50, of_change("policy_ms")),
    ("endpoint change to effect, from files, apply included", "ms", "<=", 50, of_change("endpoint_ms")),
    ("ztunnel RSS at start", "MB", "<=", 12, lambda r, e: None if (v := of_memory("start", "node1", "rss")(r, e)) is None else v / 1e6),
]
NOT_MEASURED = [  # (what, budget, why)
    ("policy or endpoint change to effect, from Kubernetes, p99", "<= 200 ms", "needs an API server"),
    ("same node by the direct path", "the three rows above", "the direct path is not built: those rows are of the way through ztunnel"),
    ("100k workloads and policies known to a node: connect", "<= +10 %", "no world of that size is made here"),
    ("100k workloads known to a node: memory of each", "<= 1 KiB", "no world of that size is made here"),
]


def judge(result, engines):
    """[{budget, unit, want, got: {engine: value}, met: {engine: bool}}]"""
    out = []
    for what, unit, sense, limit, find in BUDGETS:
        got = {engine: find(result, engine) for engine in engines}
        met = {e: None if v is None else (v >= limit if sense == ">=" else v <= limit) for e, v in got.items()}
        out.append({"budget": what, "unit": unit, "want": f"{sense} {limit}", "got": got, "met": met})
    return out
