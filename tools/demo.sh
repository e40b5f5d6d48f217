#!/bin/bash
# The demo: two nodes, three namespaces, a policy, a route; tells who talked to whom, what was encrypted, what was denied and why.
# KEEP=1 leaves the sandbox running.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${WEFT_BIN:-$PWD/build/release/bin}:/usr/sbin:/sbin:$PATH"
name=${WEFT_SANDBOX:-demo}
export WEFT_SANDBOX=$name
samples=deploy/samples/demo
work=$(mktemp -d)
started=$(date +%s)

step() { printf '\n\033[1m[%2ds] %s\033[0m\n' $(($(date +%s) - started)) "$*"; }
die() { echo "demo: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "run as root: it makes network namespaces and loads BPF programs"

# A name that somebody chose may be a sandbox that somebody uses; "demo" is this script's own.
if [ "$name" != demo ] && [ -e "/run/weft/sandbox/$name" ]; then
  die "the sandbox \"$name\" (WEFT_SANDBOX) is up and the demo would replace it: unset WEFT_SANDBOX, or \`weftctl sandbox down\` first"
fi

finish() {
  code=$?
  [ -z "${tcpdump:-}" ] || kill "$tcpdump" 2>/dev/null || true
  rm -rf "$work"
  if [ "$code" != 0 ] || [ "${KEEP:-}" != 1 ]; then weftctl sandbox down >/dev/null 2>&1 || true; fi
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

node_pid() { weftctl sandbox get node "$1" -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["metadata"]["annotations"]["weft.dev/pid"])'; }
redis() { weftctl sandbox exec -n "$1" "$2" -- timeout 5 redis-cli -h ledger.bank "${@:3}" 2>&1; }
wait_for() { # wait_for SECONDS COMMAND…: until it succeeds
  local end=$(($(date +%s) + $1)); shift
  until "$@" >/dev/null 2>&1; do [ "$(date +%s)" -le $end ] || return 1; sleep 0.1; done
}

step "Two nodes, each with its agent (BPF) and ztunnel (mTLS), and the control plane"
weftctl sandbox down >/dev/null 2>&1 || true
weftctl sandbox up --nodes 2

step "Applications: redis as bank/ledger on node2; shop/web, shop/intern and outside/visitor on node1"
weftctl sandbox apply -f $samples/apps.yaml
for pod in "web shop" "intern shop" "ledger bank" "visitor outside"; do
  set -- $pod
  weftctl sandbox wait pod "$1" -n "$2" --for=Ready --timeout 20s >/dev/null
done
captured() { [ "$(weftctl status -o json | python3 -c 'import json,sys; print(sum(p["state"]=="captured" for p in json.load(sys.stdin)["pods"]))')" = 3 ]; }
wait_for 10 captured || die "pods were not captured: $(weftctl status)"
weftctl status

ledger=$(weftctl sandbox get pod ledger -n bank -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["status"]["podIP"])')
# The node itself probes its pods in clear, as a kubelet does: its own address is left out.
# No function: in the background its process would be a shell, and a signal to that would not reach tcpdump.
nsenter -t "$(node_pid node2)" -n -m -- tcpdump -U -n -i any -w "$work/underlay.pcap" "tcp and host $ledger and not host 172.31.0.2" >/dev/null 2>"$work/tcpdump.log" &
tcpdump=$!
wait_for 5 grep -q 'listening on' "$work/tcpdump.log" || die "tcpdump did not start: $(cat "$work/tcpdump.log")"

step "shop/web stores a secret in the ledger, through the Service's name, knowing nothing of the mesh"
wait_for 10 redis shop web PING
redis shop web SET balance weft-needle-42 | sed 's/^/  web> SET balance …  →  /'
redis shop web GET balance | sed 's/^/  web> GET balance    →  /'

step "What the wire saw"
sleep 1; kill -TERM $tcpdump; wait $tcpdump 2>/dev/null || true; tcpdump=
packets() { tcpdump -n -r "$work/underlay.pcap" "$@" 2>/dev/null | wc -l; }
tunnel=$(packets tcp port 15008); clear=$(packets tcp and not port 15008)
needle=$(grep -c weft-needle "$work/underlay.pcap" || true)
echo "  $tunnel packets of TLS to port 15008, $clear packets of anything else, the secret in clear: $needle times"
[ "$tunnel" -gt 0 ] && [ "$clear" = 0 ] && [ "$needle" = 0 ] || die "plaintext on the wire"

step "A policy: the ledger is for shop/web alone, and only with a proven identity"
weftctl sandbox apply -f $samples/policy.yaml
refused() { ! redis "$1" "$2" PING | grep -q PONG; }
wait_for 5 refused shop intern || die "shop/intern was not refused"
wait_for 5 refused outside visitor || die "outside/visitor was not refused"
redis shop web GET balance | sed 's/^/  shop\/web        →  /'
(redis shop intern PING || true) | sed "s/^/  shop\/intern     →  /"
(redis outside visitor PING || true) | sed "s/^/  outside\/visitor →  /"

step "Why: node2's access log"
sleep 0.3
weftctl sandbox logs ztunnel --node node2 >"$work/log"
grep -E 'policy' "$work/log" | grep -E 'ledger-for-web|strict' | tail -2 | sed 's/^/  /' || die "no denial in the access log"

step "Taking outside/visitor in, by label, without a restart"
before=$(weftctl sandbox get pod visitor -n outside -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["status"]["startTime"])')
weftctl sandbox label namespace outside weft.dev/mesh=enabled >/dev/null
captured() { weftctl status -o json | python3 -c 'import json,sys; sys.exit(not any(p["state"]=="captured" and p["namespace"]=="outside" for p in json.load(sys.stdin)["pods"]))'; }
wait_for 5 captured || die "outside/visitor was not captured"
after=$(weftctl sandbox get pod visitor -n outside -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["status"]["startTime"])')
[ "$before" = "$after" ] || die "the pod was restarted"
redis outside visitor PING >/dev/null || true
sleep 0.3
weftctl sandbox logs ztunnel --node node2 >"$work/log"

step "HTTP: a route and a policy for shop/quotes; nobody asks for a waypoint, it comes"
weftctl sandbox apply -f $samples/http.yaml >/dev/null
weftctl sandbox wait pod quotes-v1 -n shop --for=Ready --timeout 20s >/dev/null
weftctl sandbox wait pod quotes-v2 -n shop --for=Ready --timeout 20s >/dev/null
weftctl sandbox apply -f $samples/routes.yaml
quotes() { weftctl sandbox exec -n shop web -- curl -s -m 3 -w ' (%{http_code})\n' "$@" http://quotes/ 2>&1 | tr -d '\n'; }
preview() { quotes -H 'x-preview: yes' | grep -q 'v2.*(200)'; }
wait_for 15 preview || die "the preview was not routed: $(quotes -H 'x-preview: yes'); $(weftctl sandbox get virtualservice quotes -n shop -o yaml)"
weftctl sandbox get pods -n shop | grep -E 'NAME|waypoint' | sed 's/^/  /'
quotes | sed 's/^/  GET                   →  /'; echo
quotes -H 'x-preview: yes' | sed 's/^/  GET, x-preview: yes   →  /'; echo
quotes -X DELETE | sed 's/^/  DELETE                →  /'; echo
quotes -X DELETE | grep -q 'RBAC: access denied.*(403)' || die "DELETE was not denied: $(quotes -X DELETE)"
sleep 0.6
weftctl sandbox logs controlplane | grep 'access reporter' | grep quotes >"$work/requests" || die "no request in the waypoint's log"

step "Summary"
nsenter -t "$(node_pid node2)" -n -m -- curl -sf http://127.0.0.1:15020/metrics >"$work/metrics2"
restarts=$(weftctl sandbox get pod -A -o json | python3 -c 'import json,sys; print(sum(c.get("restartCount",0) for p in json.load(sys.stdin)["items"] for c in p["status"].get("containerStatuses",[])))')
rules=$(weftctl sandbox exec -n shop web -- nft list ruleset | wc -l)
python3 - "$work/metrics2" "$tunnel" "$clear" "$restarts" "$rules" <<'P'
import re, sys
rows, denied = {}, {}
for line in open(sys.argv[1]):
    m = re.match(r'istio_tcp_(connections_opened|connections_failed|received_bytes|sent_bytes)_total\{(.*)\} (\S+)', line)
    if not m: continue
    labels = dict(re.findall(r'(\w+)="([^"]*)"', m[2]))
    if labels["reporter"] != "destination": continue
    who = labels["source_principal"] if labels["source_principal"] != "unknown" else "(no identity, plaintext)"
    key = (who, labels["destination_principal"] if labels["destination_principal"] != "unknown" else labels["destination_workload"])
    if m[1] == "connections_failed":
        denied[key] = denied.get(key, 0) + float(m[3])
    else:
        rows.setdefault(key, {}).setdefault(m[1], 0)
        rows[key][m[1]] += float(m[3])
print("  who talked to whom (node2's metrics, reporter=destination)")
for (a, b), v in sorted(rows.items()):
    print(f"    {a} → {b}: {v.get('connections_opened', 0):.0f} connections, {v.get('received_bytes', 0):.0f} B in, {v.get('sent_bytes', 0):.0f} B out")
print("  refused")
for (a, b), n in sorted(denied.items()):
    print(f"    {a} → {b}: {n:.0f} times")
print(f"  on the wire: {sys.argv[2]} packets of TLS 1.3 to port 15008, {sys.argv[3]} in clear; pods restarted: {sys.argv[4]}; packet filter rules in a pod: {sys.argv[5]}")
if not denied or not rows: sys.exit("demo: the metrics do not show what happened")
P
echo "  requests at shop's waypoint (who, what, the answer, from which pods)"
python3 - "$work/requests" <<'P'
import re, sys
seen = {}
for line in open(sys.argv[1]):
    f = dict(re.findall(r'([\w.]+)="?([^" ]*)"?', line))
    key = (f["src.identity"], f["method"], f["status"], f["dst.workload"] if f["status"] == "200" else f["details"])
    seen[key] = seen.get(key, 0) + 1
for (who, method, status, what), n in sorted(seen.items()):
    print(f"    {who} {method} → {status} {what} ({n} times)")
P
echo "  denials, each with its policy"
python3 - "$work/log" <<'P'
import re, sys
seen = {}
for line in open(sys.argv[1]):
    if 'flags="DENY"' not in line: continue
    f = dict(re.findall(r'([\w.]+)="([^"]*)"', line))
    who = f.get("src.identity") or f"{f.get('src.namespace')}/{f.get('src.workload')} in plaintext"
    seen[(who, f["dst.workload"], f["error"])] = seen.get((who, f["dst.workload"], f["error"]), 0) + 1
for (who, to, why), n in seen.items():
    print(f"    {who} → {to}: {why} ({n} times)")
P

if [ "${KEEP:-}" = 1 ]; then
  cat <<T

The sandbox "$name" is running. Try:
  export PATH=$PWD/build/release/bin:\$PATH
  weftctl status
  weftctl sandbox exec -n shop web -- redis-cli -h ledger.bank
  weftctl sandbox label namespace outside weft.dev/mesh-
  weftctl sandbox logs ztunnel --node node2 -f
  weftctl sandbox down
T
else
  step "Taking it down: nothing stays on the machine"
  weftctl sandbox down
fi
