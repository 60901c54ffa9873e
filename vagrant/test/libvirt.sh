#!/bin/sh
# usage: libvirt.sh FOLDER COMMAND [ARGUMENT]...
#
# The inside of sandbox.sh: starts libvirt with all its state in FOLDER, then runs the command. It is the first process of its
# process namespace, so what it started ends with it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$here/common.sh"
work=$1
shift

# The interfaces of this network namespace, not the host's.
mount -t sysfs sysfs /sys
for folder in /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /run/libvirt; do
    mkdir -p "$work$folder" "$folder"
    [ "$folder" != /etc/libvirt ] || cp -a /etc/libvirt/. "$work/etc/libvirt/"
    mount --bind "$work$folder" "$folder"
done
rm -rf /etc/libvirt/qemu/networks/autostart/* /etc/libvirt/qemu/autostart/*
# Root runs the machines: their disks and kernel are in root's cache.
cat >/etc/libvirt/qemu.conf <<'CONF'
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
CONF

ip link set lo up
: >"$work/unshared"
tries=100
until ip route | grep -q '^default'; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || die "slirp4netns gave no route: $(cat "$work/slirp4netns.log")"
    sleep 0.1
done

virtlogd --daemon --pid-file "$work/virtlogd.pid"
libvirtd --daemon --pid-file "$work/libvirtd.pid"
tries=100
until virsh --quiet --connect qemu:///system list >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || die "libvirtd does not answer: $(tail -n 20 /var/log/libvirt/* 2>/dev/null)"
    sleep 0.2
done

export VAGRANT_HOME="$vagrant_home" VAGRANT_DEFAULT_PROVIDER=libvirt VAGRANT_DOTFILE_PATH="$work/vagrant"
status=0
"$@" || status=$?
exit "$status"
