#!/usr/bin/env bash
# fuzz.sh TIME: every fuzz target of the module, one after the other, each for TIME (20s, or 1000000x executions).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
ran=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' bundle internal); do
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "== $name ($(dirname "$file"), $time)"
		go test -timeout 24h -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$(dirname "$file")"
		ran=$((ran + 1))
	done
done
[ "$ran" -gt 0 ] || { echo "no fuzz target was found" >&2; exit 1; }
echo "$ran fuzz targets ran"
