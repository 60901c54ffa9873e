#!/bin/sh
# The long test, `make test-vagrant`: a real `vagrant up` of backup and mysql with libvirt, what people do with the
# machines, `vagrant provision` again, `vagrant destroy`. In a sandbox (sandbox.sh), with a box made here (box.sh); under
# emulation where there is no KVM, which takes a quarter of an hour. Needs root, on Debian or Ubuntu.
#
# GLRL_BINARY: the binary to install; without it the provisioner builds one.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$here/common.sh"
[ "$(id -u)" = 0 ] || die "it makes namespaces and a box, which need root: run it with sudo"
[ "$(uname -m)" = x86_64 ] || die "the box is booted by qemu-system-x86_64"

need_packages vagrant vagrant-libvirt libvirt-daemon-system libvirt-clients dnsmasq-base iptables iproute2 \
    qemu-system-x86 qemu-utils slirp4netns mmdebstrap e2fsprogs openssh-client
box=$("$here/box.sh")

# /dev/kvm may be there and still hang: a kernel has to get as far as missing its root disk.
kvm_works() {
    [ -w /dev/kvm ] || return 1
    seen=$(timeout 20 qemu-system-x86_64 -accel kvm -m 256 -nodefaults -display none -serial stdio -no-reboot \
        -kernel "$box/kernel" -append "console=ttyS0 panic=-1" </dev/null 2>/dev/null || true)
    case $seen in *"Unable to mount root"*) return 0 ;; *) return 1 ;; esac
}
if kvm_works; then
    export GLRL_LIBVIRT_DRIVER=kvm
else
    say "no usable KVM: the machines are emulated"
    # There the snapshot alone can take longer than the role's default.
    export GLRL_LIBVIRT_DRIVER=qemu GLRL_CPU_MODEL=qemu64 GLRL_LOCK_BUDGET=60s
fi

GLRL_BOX=$(cat "$box/name")
export GLRL_BOX GLRL_KERNEL="$box/kernel" GLRL_INITRD="$box/initrd"
# As the lab: without KVM, mitigations protect nothing, and code that lies elsewhere in each process is translated anew for each.
export GLRL_CMDLINE="root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off nokaslr norandmaps"
export GLRL_CPUS=1 GLRL_MEMORY_MB=1024 GLRL_BACKUP_DISK_GB=4 GLRL_MYSQL_DISK_GB=4
exec "$here/sandbox.sh" "$here/scenario.sh" "$box/box"
