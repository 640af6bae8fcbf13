#!/usr/bin/env bash
# fuzz.sh TIME: every fuzz target of the module, each for TIME (20s, or 1000000x executions). FUZZJOBS targets run at once
# (2) and share the processors, so that 25 targets take about 25 × 20 s / 2. FUZZCAP (30m) ends a target that is counted in
# executions and too slow for them; it is named as such. Ends with a table: what ran, how often, what it found.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
jobs=${FUZZJOBS:-2}
cpus=$(getconf _NPROCESSORS_ONLN)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export time dir FUZZCAP=${FUZZCAP:-30m} WORKERS=$(((cpus + jobs - 1) / jobs))

one() { # PACKAGE TARGET
	log=$dir/$2 rc=0
	case $time in *x) cap=$FUZZCAP ;; *) cap=$((${time%s} + 120)) ;; esac
	timeout -s INT -k 30 "$cap" go test -timeout 24h -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel "$WORKERS" "$1" >"$log" 2>&1 || rc=$?
	execs=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$log" | tail -1)
	new=$(sed -n 's/.*(total: \([0-9]*\)).*/\1/p' "$log" | tail -1)
	word=ok
	if [ "$rc" = 124 ]; then
		word="ended by the cap of $cap"
	elif [ "$rc" != 0 ]; then
		# The end of the time itself is sometimes reported as a failure (golang/go#75804); a finding leaves an input.
		if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then word="ok (time over)"; else word=FAIL; fi
	fi
	[ "${execs:-0}" -gt 0 ] || [ "$word" = FAIL ] || word="FAIL: nothing was executed"
	printf '%-34s %-28s %9s executions, %5s inputs  %s\n' "$2" "$1" "${execs:-0}" "${new:-0}" "$word" | tee "$dir/$2.row"
	case $word in FAIL*) cat "$log" ;; esac
}
export -f one

for file in $(grep -rl --include='*_test.go' '^func Fuzz' bundle internal); do
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "./$(dirname "$file") $name"
	done
done | sort >"$dir/targets"
[ -s "$dir/targets" ] || { echo "no fuzz target was found" >&2; exit 1; }
[ "$(awk '{print $2}' "$dir/targets" | sort -u | wc -l)" = "$(wc -l <"$dir/targets")" ] || { echo "two fuzz targets have one name" >&2; exit 1; }
go vet $(awk '{print $1}' "$dir/targets" | sort -u) # what does not build fails here, once
xargs -P "$jobs" -L 1 bash -c 'one "$0" "$1"' <"$dir/targets"
echo
ran=$(cat "$dir"/*.row | wc -l)
bad=$(cat "$dir"/*.row | grep -c FAIL || true)
echo "$ran of $(wc -l <"$dir/targets") fuzz targets ran, each for $time; $bad failed"
grep -h 'cap of' "$dir"/*.row || true
[ "$bad" = 0 ] && [ "$ran" = "$(wc -l <"$dir/targets")" ]
