#!/bin/sh
# The Debian packages that tests in CI need besides `make setup`: iptables, one of two ways to capture traffic, and Prometheus, which
# scrapes a lab. As root. Prometheus is not started as a service: the tests start their own.
set -eu
missing=""
command -v iptables-restore > /dev/null || missing="$missing iptables"
command -v prometheus > /dev/null || missing="$missing prometheus"
[ -n "$missing" ] || exit 0
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends $missing
