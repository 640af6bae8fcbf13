#!/usr/bin/env bash
# test.sh [go test flags]: all tests, with a PostgreSQL server and Chromium where they can be had; then what ran, and what
# was skipped with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false

have_pg() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
have_browser() { command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1; }
install() { # installs a Debian package where that is possible without asking
	command -v apt-get >/dev/null 2>&1 || return 0
	if [ "$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo=sudo; else return 0; fi
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1 || true
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1 || true
}
if ! have_pg; then
	if [ "$(id -u)" = 0 ]; then mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf; fi
	install postgresql
fi
have_browser || install chromium

dir=$(mktemp -d)
chmod 755 "$dir"
stop() { [ -d "$dir/pg/data" ] && sh tools/pg.sh stop "$dir/pg" >/dev/null 2>&1; rm -rf "$dir"; }
trap stop EXIT
if have_pg; then
	LEITPLANKE_TEST_PG=$(sh tools/pg.sh start "$dir/pg")
	export LEITPLANKE_TEST_PG
fi

status=0
go test -timeout 30m "$@" -json . ./bundle/... ./cmd/... ./internal/... >"$dir/out.json" || status=$?
python3 - "$dir/out.json" <<'PY'
import collections, json, sys
tests = collections.Counter(); skipped = {}; failed = []; packages = {}; out = collections.defaultdict(list)
for line in open(sys.argv[1]):
    try: e = json.loads(line)
    except ValueError:
        print(line, end=''); continue
    name = (e.get('Package', ''), e.get('Test', ''))
    a = e['Action']
    if a in ('output', 'build-output'):
        out[(e.get('Package') or e.get('ImportPath', ''), e.get('Test', ''))].append(e['Output'])
    elif a in ('pass', 'fail', 'skip'):
        if e.get('Test'):
            tests[a] += 1
            if a == 'skip':
                reason = [l.strip() for l in out[name] if '===' not in l and '---' not in l]
                skipped[name] = ' '.join(reason)
            if a == 'fail': failed.append(name)
        else:
            packages[e['Package']] = (a, e.get('Elapsed', 0))
            if a == 'fail': failed.append(name)
    elif a == 'build-fail': failed.append((e.get('ImportPath', ''), ''))
short = lambda p: p.replace('github.com/leitplanke/leitplanke', '.')
for n in failed:
    print('--- FAIL', short(n[0]), n[1]); print(''.join(out[n])[-6000:])
for p, (a, s) in sorted(packages.items()):
    if a != 'skip': print('%-5s %6.1f s  %s' % (a, s, short(p)))
print('\n%d tests passed, %d failed, %d did not run' % (tests['pass'], tests['fail'], tests['skip']))
soak = {n: why for n, why in skipped.items() if 'LEITPLANKE_SOAK' in why}
for (p, t), why in sorted(skipped.items()):
    print('%s: %s %s: %s' % ('left to make soak' if (p, t) in soak else 'skipped', short(p), t, why))
if len(soak) == len(skipped): print('nothing else was skipped')
PY
exit $status
