#!/bin/sh
# Installs a Prometheus server for the tests that ask one, on Debian and Ubuntu, as root or with sudo that asks for no
# password; its system service is not started. Does nothing where there is one, or where it may not; the tests then
# skip with a line that says so.
set -eu

if command -v prometheus >/dev/null 2>&1; then
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
    echo "no Prometheus, and no apt-get to install it with: its tests will be skipped" >&2
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "no Prometheus, and no right to install it: its tests will be skipped (apt-get install prometheus)" >&2
    exit 0
fi

# The package would start a service at once and at each boot. Masked (until the next boot) it does not start, disabled it
# stays so; RUNLEVEL=1 is what holds it back where init is not systemd.
units="prometheus.service prometheus-node-exporter.service"
if [ -d /run/systemd/system ]; then
    # shellcheck disable=SC2086 # two names
    $as_root systemctl mask --runtime --quiet $units || true
fi
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus >/dev/null
if [ -d /run/systemd/system ]; then
    # shellcheck disable=SC2086 # two names
    $as_root systemctl unmask --runtime --quiet $units || true
    $as_root systemctl disable --quiet prometheus.service || true
fi
