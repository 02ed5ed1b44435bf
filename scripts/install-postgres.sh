#!/bin/sh
# Installs a Postgres server for the tests that start one of their own, on Debian and Ubuntu, as root or with sudo that
# asks for no password; no system-wide server is made or started. Does nothing where there is one, or where it may not;
# the tests then skip with a line that says so.
set -eu

# Debian keeps initdb off the PATH, in a folder by version.
for initdb in "$(command -v initdb || true)" /usr/lib/postgresql/*/bin/initdb; do
    if [ -x "$initdb" ]; then
        exit 0
    fi
done

if ! command -v apt-get >/dev/null 2>&1; then
    echo "no Postgres, and no apt-get to install it with: its tests will be skipped unless initdb is on the PATH" >&2
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "no Postgres, and no right to install it: its tests will be skipped (apt-get install postgresql)" >&2
    exit 0
fi

$as_root apt-get update -qq
# The server's package would make a database cluster and start it at each boot, unless told so while it is installed.
drop_in=/etc/postgresql-common/createcluster.d/wattshift.conf
trap '$as_root rm -f "$drop_in"' EXIT
$as_root mkdir -p "${drop_in%/*}"
echo "create_main_cluster = false" | $as_root tee "$drop_in" >/dev/null
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends postgresql >/dev/null
