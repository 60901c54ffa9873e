#!/bin/sh
# Installs what the lab needs (packages.txt) on Debian or Ubuntu; at once done where all is there.
# Asks nothing. Needs root, or sudo.
set -eu

wanted=$(grep -v '^#' "$(dirname "$0")/packages.txt")

# shellcheck disable=SC2086 # a list of words is meant, here and below
there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p') || true
missing=$(for package in $wanted; do
    printf '%s\n' "$there" | grep -qx "$package" || printf '%s ' "$package"
done)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root() { env "$@"; }
elif command -v sudo >/dev/null; then
    as_root() { sudo env "$@"; }
else
    echo "the lab needs these packages: $missing— install them as root" >&2
    exit 1
fi

apt_get() {
    as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@"
}

echo "installing for the lab: $missing" >&2
apt_get update

# All of QEMU's packages must be of one version. A machine may have a newer qemu-utils, say from
# backports, than its apt offers of the emulator: then the tools go back to the emulator's version.
version=$(apt-cache policy qemu-system-x86 | sed -n 's/^  Candidate: //p')
if [ -z "$version" ] || [ "$version" = '(none)' ]; then
    echo "apt knows no package qemu-system-x86: check this machine's apt sources" >&2
    exit 1
fi
pinned=$(for package in $missing; do
    case $package in
    qemu-*) ;;
    *) printf '%s ' "$package" ;;
    esac
done)
case $missing in
*qemu-*) pinned="$pinned qemu-system-x86=$version qemu-utils=$version" ;;
esac
# shellcheck disable=SC2086 # a list of words is meant
apt_get install -y --no-install-recommends --allow-downgrades $pinned >/dev/null
