#!/bin/sh
# Tests install.sh as far as it can be without installing anything: --check, wrong usage, a system without apt.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

# expect CODE PATTERN COMMAND...: the exit code, and what is said in a line.
expect() {
    code=$1 pattern=$2
    shift 2
    status=0
    "$@" >"$work/said" 2>&1 || status=$?
    if [ "$status" != "$code" ] || ! grep -qE -- "$pattern" "$work/said"; then
        printf 'install_test.sh: %s\nexit code %s instead of %s, or it does not say "%s":\n' "$*" "$status" "$code" "$pattern" >&2
        cat "$work/said" >&2
        exit 1
    fi
    passed=$((passed + 1))
}

state() {
    cat /var/lib/dpkg/status /etc/group 2>/dev/null | sha256sum
    find "$work/home" | sort
}

expect 64 "there is no provider xen" "$root/install.sh" --provider xen
expect 64 "there is no option --frob" "$root/install.sh" --frob
expect 64 "--provider needs a name" "$root/install.sh" --provider
expect 0 "^usage: ./install.sh" "$root/install.sh" --help

# A check changes nothing, whatever it finds.
mkdir "$work/home"
before=$(state)
for provider in libvirt virtualbox; do
    HOME=$work/home "$root/install.sh" --check --provider "$provider" >"$work/said" 2>&1 || [ $? = 1 ]
    grep -q "^Vagrant with $provider:" "$work/said"
    [ "$(state)" = "$before" ] || {
        echo "install_test.sh: --check --provider $provider changed something" >&2
        exit 1
    }
    passed=$((passed + 1))
done

# A system that has neither apt nor Vagrant: the programs that the script itself needs, and no more.
mkdir "$work/bin"
for program in sh sed id uname grep cat tr getent; do
    ln -s "$(command -v "$program")" "$work/bin/$program"
done
expect 1 "Only Debian and Ubuntu are installed for you" env PATH="$work/bin" "$root/install.sh" --provider libvirt
expect 1 "missing +vagrant$" env PATH="$work/bin" "$root/install.sh" --check

echo "install_test.sh: $passed passed"
