#!/bin/sh
# Installs Chromium for the console's tests on Debian and Ubuntu, as root or with sudo that asks for no password.
# Does nothing where there is one, or where it may not; the tests then skip with a line that says so.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

if ! command -v apt-get >/dev/null 2>&1; then
    echo "no Chromium, and no apt-get to install it with: the console's tests will be skipped" >&2
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "no Chromium, and no right to install it: the console's tests will be skipped (apt-get install chromium)" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
