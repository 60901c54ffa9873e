#!/bin/sh
# The programs that the tests on this machine's own devices, trees and database server start, and the packages that it is called with;
# at once done where all is there.
set -eu
for package in age btrfs-progs cron cryptsetup-bin dosfstools e2fsprogs fdisk gdisk mariadb-client mariadb-server-core mdadm passwd python3-venv strace util-linux xfsprogs "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="${missing:-} $package"
done
[ -n "${missing:-}" ] || exit 0
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
$as_root apt-get -qq update
# shellcheck disable=SC2086 # a list of words is meant
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $missing >/dev/null
