#!/usr/bin/env bash
# run.sh: what the gate costs. The mock upstream asked directly, the pass-through floor (a Go reverse proxy that reads the
# body first) and the gate, in one run, round by round, on loopback. Ratios carry over to other machines, absolute figures
# do not. ROUNDS=3 D=5s (closed loop) L=10s (open loop) W=1s (warm-up).
set -euo pipefail
cd "$(dirname "$0")/../.."
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
rounds=${ROUNDS:-3} d=${D:-5s} l=${L:-10s} warm=${W:-1s}
dir=$(mktemp -d)
pids=()
stop() { kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"; }
trap stop EXIT

go build -o "$dir/leitplanke" ./cmd/leitplanke
(cd tools/bench && go build -o "$dir/" ./mock ./load ./floor)
mkdir -p "$dir/house/mark"
cat >"$dir/governing.yaml" <<'YAML'
format: leitplanke.config/v1
providers:
  - {id: mock, kind: openai-compatible, base_url: "http://127.0.0.1:9001/v1", region: local, operator: bench}
models:
  - {id: mock, provider: mock, upstream: mock}
  - {id: mock-d20, provider: mock, upstream: mock-d20}
systems:
  - id: BENCH
    name: Bench
    purpose: measure
    models: [mock, mock-d20]
    mask: [PERSON, IBAN, EMAIL, PHONE, CREDIT_CARD, TAX_ID]
access:
  - {id: bench, system: BENCH, kind: service, key: "file:bench.key"}
YAML
"$dir/leitplanke" init --dir "$dir/house" --listen 127.0.0.1:9200 --mark "$dir/house/mark/checkpoint" --yes >/dev/null 2>&1
"$dir/leitplanke" import config "$dir/governing.yaml" --config "$dir/house/leitplanke.yaml" >/dev/null 2>&1
key=$(cat "$dir/house/bench.key")

"$dir/mock" & pids+=($!); mock=$!
"$dir/floor" -mode passbuf -addr 127.0.0.1:9100 & pids+=($!); floor=$!
"$dir/leitplanke" serve --config "$dir/house/leitplanke.yaml" 2>"$dir/gate.log" & pids+=($!); gate=$!
for _ in $(seq 100); do curl -fs http://127.0.0.1:9200/readyz >/dev/null 2>&1 && break; sleep .1; done

one() { # CASE NAME PID URL FLAGS...
	local case=$1 name=$2 pid=$3 url=$4; shift 4
	"$dir/load" -name "$name|$case" -url "$url/v1/chat/completions" -warm "$warm" -pid "$pid" "$@" >>"$dir/out.jsonl"
}
for _ in $(seq "$rounds"); do
	for s in "direct $mock http://127.0.0.1:9001" "floor $floor http://127.0.0.1:9100" "gate $gate http://127.0.0.1:9200"; do
		read -r name pid url <<<"$s"
		h=(); [ "$name" = gate ] && h=(-H "Authorization: Bearer $key")
		one json_c64 "$name" "$pid" "$url" -model mock -c 64 -d "$d" "${h[@]}"
		one json_c64_d20 "$name" "$pid" "$url" -model mock-d20 -c 64 -d "$d" "${h[@]}"
		one json_200rps "$name" "$pid" "$url" -model mock -c 64 -rate 200 -d "$l" "${h[@]}"
	done
done
kill "$gate"; wait "$gate" 2>/dev/null || true
python3 - "$dir/out.jsonl" <<'PY'
import collections, json, statistics, sys
runs = collections.defaultdict(list)
for line in open(sys.argv[1]):
    r = json.loads(line); name, case = r['name'].split('|'); runs[case, name].append(r)
med = lambda case, name, key: statistics.median(r.get(key, 0) for r in runs[case, name])
errors = sum(r['errors'] for rs in runs.values() for r in rs)
print('%-22s %10s %10s %10s' % ('median of %d rounds' % len(runs['json_c64', 'gate']), 'direct', 'floor', 'gate'))
row = lambda label, f, fmt: print('%-22s %10s %10s %10s' % ((label,) + tuple(fmt % f(n) for n in ('direct', 'floor', 'gate'))))
for case, label in (('json_c64', 'JSON c=64'), ('json_c64_d20', 'JSON c=64, 20 ms')):
    row(label + ', /s', lambda n: med(case, n, 'rps'), '%.0f')
    row('  x direct', lambda n: med(case, n, 'rps') / med(case, 'direct', 'rps'), '%.3f')
row('  CPU us a call', lambda n: med('json_c64', n, 'cpu_us_per_req'), '%.0f')
row('added p50 at 200/s, ms', lambda n: med('json_200rps', n, 'total_p50_ms') - med('json_200rps', 'direct', 'total_p50_ms'), '%.2f')
row('added p99 at 200/s, ms', lambda n: med('json_200rps', n, 'total_p99_ms') - med('json_200rps', 'direct', 'total_p99_ms'), '%.2f')
row('RSS under load, MB', lambda n: max(r.get('rss_mb', 0) for r in runs['json_c64', n]), '%.0f')
print('errors in all cases: %d' % errors)
sys.exit(errors > 0)
PY
"$dir/leitplanke" verify "$dir/house"
