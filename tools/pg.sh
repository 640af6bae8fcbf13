#!/bin/sh
# pg.sh start DIR | pg.sh stop DIR: a PostgreSQL server of its own on a socket in DIR, from Debian's packages.
# start prints the DSN. DIR has to be short: a socket path has at most 107 bytes. FSYNC=on for tests that kill the server.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
fsync=${FSYNC:-off}
name=leitplanke-unsafe-test
[ "$fsync" = on ] && name=leitplanke-test
case $1 in
start)
	if [ "$(id -u)" = 0 ]; then install -d -o postgres -m 700 "$2"; else mkdir -p -m 700 "$2"; fi
	[ -f "$2/data/PG_VERSION" ] || as "$bin/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
	as "$bin/pg_ctl" -D "$2/data" -l "$2/log" -w -t 30 -s -o "-k $2 -c listen_addresses='' -c fsync=$fsync -c full_page_writes=$fsync -c max_connections=200 -c cluster_name=$name" start
	echo "host=$2 user=postgres dbname=postgres sslmode=disable"
	;;
stop) as "$bin/pg_ctl" -D "$2/data" -m immediate -s stop ;;
*) echo "usage: pg.sh start|stop DIR" >&2; exit 2 ;;
esac
