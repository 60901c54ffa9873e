#!/bin/sh
# The programs that the tests on this machine's own devices, trees and database server start, the packages that it is called with, and
# the account that servers run under; at once done where all is there.
set -eu
for package in acl age attr btrfs-progs cron cryptsetup-bin dosfstools e2fsprogs fdisk gdisk mariadb-client mariadb-server-core mdadm passwd python3-venv strace util-linux xfsprogs "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="${missing:-} $package"
done
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
if [ -n "${missing:-}" ]; then
    $as_root apt-get -qq update
    # shellcheck disable=SC2086 # a list of words is meant
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $missing >/dev/null
fi
# The servers' account, which the package mariadb-server would make.
getent passwd mysql >/dev/null ||
    $as_root useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mysql
