"""A2: real applications, untouched, in v4 and v6, meshed and un-meshed: the same results."""

import json
import os
import subprocess

import pytest
import weft
from weft import APPS, namespace, pod, python_app, service

NGINX = "daemon off; pid /tmp/weft-nginx-$$.pid; error_log stderr; events {} http { access_log off; server { listen 80; listen [::]:80; location / { return 200 'hello from nginx\\n'; } } }"
PG_BIN = "/usr/lib/postgresql/15/bin"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The Go and Java servers, compiled once."""
    out = tmp_path_factory.mktemp("apps")
    os.chmod(out, 0o755)
    subprocess.run(["go", "build", "-o", f"{out}/names", f"{APPS}/names.go"], check=True, capture_output=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}, cwd=APPS)
    subprocess.run(["javac", "-d", str(out), f"{APPS}/Names.java"], check=True, capture_output=True)
    return str(out)


def postgres_command():
    script = f"""set -e
D=$(mktemp -d /tmp/weft-pg-XXXXXX); chown postgres $D
trap 'kill $P 2>/dev/null; wait; rm -rf $D' EXIT TERM
su postgres -s /bin/sh -c "{PG_BIN}/initdb -D $D/data -A trust -U postgres" >/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pg -keyout $D/data/server.key -out $D/data/server.crt 2>/dev/null
chown postgres $D/data/server.*; chmod 600 $D/data/server.key
echo 'host all all all trust' >> $D/data/pg_hba.conf
su postgres -s /bin/sh -c "exec {PG_BIN}/postgres -D $D/data -k $D -c listen_addresses='*' -c ssl=on" & P=$!
wait $P"""
    return ["/bin/bash", "-c", script]


@pytest.fixture(scope="module")
def world(mesh, built):
    """The same servers twice: in `apps` (meshed) and `bare` (not), servers on node2, clients on node1."""
    servers = {
        "nginx": (["nginx", "-g", "", "-c", "/tmp/weft-test-nginx.conf"], 80),
        "redis": (["redis-server", "--port", "6379", "--bind", "0.0.0.0", "::", "--protected-mode", "no", "--save", "", "--dir", "/tmp"], 6379),
        "postgres": (postgres_command(), 5432),
        "banner": (python_app("echo", 2525, "banner"), 2525),
        "iperf": (["iperf3", "-s"], 5201),
        "asyncio": (python_app("echo", 7001, "names"), 7001),
        "go": ([f"{built}/names", "7002"], 7002),
        "java": (["java", "-Xmx64m", "-cp", built, "Names", "7003"], 7003),
    }
    with open("/tmp/weft-test-nginx.conf", "w", encoding="utf-8") as file:
        file.write(NGINX.replace("$$", str(os.getpid())))
    servers["nginx"] = (["nginx", "-c", "/tmp/weft-test-nginx.conf"], 80)
    for ns, meshed in (("apps", True), ("bare", False)):
        objects = [namespace(ns, meshed)]
        for name, (command, port) in servers.items():
            objects += [pod(ns, name, command, node="node2", ready_port=port), service(ns, name, [port])]
        objects += [pod(ns, "client", node="node1")]
        mesh.apply(objects)
    for ns in ("apps", "bare"):
        for name in [*servers, "client"]:
            mesh.wait("pod", name, ns=ns, timeout="60s")
    mesh.wait_captured(*[("apps", n) for n in [*servers, "client"]])
    yield {name: port for name, (_, port) in servers.items()}
    for ns in ("apps", "bare"):
        mesh.delete("namespace", ns)
    os.unlink("/tmp/weft-test-nginx.conf")


def address(mesh, ns, name, family, by):
    if by == "pod":
        ips = mesh.pod_ips(ns, name)
    else:
        ips = mesh.get("service", name, ns)["spec"]["clusterIPs"]
    return next(ip for ip in ips if (":" in ip) == (family == "v6"))


def url(ip):
    return f"[{ip}]" if ":" in ip else ip


def run_nginx(mesh, ns, ip):
    out = mesh.exec(ns, "client", "curl", "-s", "--max-time", "5", "-w", "%{http_code}", f"http://{url(ip)}/").stdout
    return out == "hello from nginx\n200"


def run_redis(mesh, ns, ip):
    out = mesh.exec(ns, "client", "redis-benchmark", "-h", ip, "-n", "2000", "-c", "20", "-t", "set,get", "--csv").stdout
    return '"SET"' in out and '"GET"' in out


def run_postgres(mesh, ns, ip):
    sql = "select ssl, count(*) from pg_stat_ssl, generate_series(1,100) where pid = pg_backend_pid() group by 1"
    out = mesh.exec(ns, "client", "psql", "-At", f"host={ip} user=postgres sslmode=require connect_timeout=5", "-c", sql).stdout
    return out.strip() == "t|100"


def run_banner(mesh, ns, ip):
    out = mesh.exec(ns, "client", "/bin/sh", "-c", f"(sleep 0.3; echo hi) | timeout 5 nc -q2 {ip} 2525").stdout
    return out == "220 weft test ready\n250 hi\n"  # text mode folds the \\r


def run_iperf(mesh, ns, ip):
    out = json.loads(mesh.exec(ns, "client", "iperf3", "-J", "-c", ip, "-n", "50M").stdout)
    return out["end"]["sum_sent"]["bytes"] >= 50 * 1000 * 1000 and out["end"]["sum_received"]["bytes"] > 0


def run_names(port):
    def check(mesh, ns, ip):
        """Both ends see what they would see un-meshed: the client the address it dialled, the server the client pod."""
        client_ips = mesh.pod_ips(ns, "client")
        mine = next(i for i in client_ips if (":" in i) == (":" in ip))
        got = json.loads(mesh.exec(ns, "client", *python_app("client", "names", ip, port)).stdout)
        assert got["client"]["peer"] == [ip, port], got
        assert got["client"]["local"][0] == mine, got
        peer = got["server"]["peer"][0].removeprefix("::ffff:")
        local = got["server"]["local"][0].removeprefix("::ffff:")
        same = lambda a, b: __import__("ipaddress").ip_address(a) == __import__("ipaddress").ip_address(b)
        assert same(peer, mine), got
        assert any(same(local, i) for i in server_ips(mesh, ns, port)), got
        assert got["server"]["local"][1] == port, got
        return True

    return check


def server_ips(mesh, ns, port):
    return mesh.pod_ips(ns, {7001: "asyncio", 7002: "go", 7003: "java"}[port])


ACTS = {"nginx": run_nginx, "redis": run_redis, "postgres": run_postgres, "banner": run_banner, "iperf": run_iperf,
        "asyncio": run_names(7001), "go": run_names(7002), "java": run_names(7003)}


@pytest.mark.parametrize("by", ["service", "pod"])
@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("ns", ["apps", "bare"], ids=["meshed", "unmeshed"])
@pytest.mark.parametrize("name", ACTS)
def test_app_works(mesh, world, name, ns, family, by):
    assert ACTS[name](mesh, ns, address(mesh, ns, name, family, by))


def test_names_resolve_in_the_mesh(mesh, world):
    for name in ("nginx", "nginx.apps", "nginx.apps.svc.cluster.local"):
        out = mesh.exec("apps", "client", "curl", "-s", "--max-time", "5", f"http://{name}/").stdout
        assert out == "hello from nginx\n", name


def test_a_meshed_client_reaches_what_is_not_in_the_mesh_and_the_other_way_round(mesh, world):
    assert run_nginx(mesh, "apps", address(mesh, "bare", "nginx", "v4", "service"))
    assert run_nginx(mesh, "bare", address(mesh, "apps", "nginx", "v4", "service"))


def test_a_pod_reaches_itself(mesh, world):
    for ip in mesh.pod_ips("apps", "nginx"):
        out = mesh.exec("apps", "nginx", "curl", "-s", "--max-time", "5", f"http://{url(ip)}/").stdout
        assert out == "hello from nginx\n", ip
