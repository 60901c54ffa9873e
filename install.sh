#!/bin/sh
# usage: ./install.sh [--provider virtualbox|libvirt] [--check]
#
# Prepares a workstation for `vagrant up`: Vagrant, and VirtualBox or libvirt for it to start machines with. Installs
# with apt on Debian and Ubuntu, and says what to do elsewhere. Can be run again at any time: what is there is left alone.
#
#   --provider   which one; without it VirtualBox where it is or apt has it, else libvirt
#   --check      say what is there and what is missing, and change nothing; exit code 1 when something is missing
set -eu

check=
provider=
missing=0

ok() { printf '  ok       %s\n' "$*"; }
note() { printf '  note     %s\n' "$*"; }
lacks() {
    printf '  missing  %s\n' "$*"
    missing=1
}
usage() {
    sed -n 's/^# \{0,1\}//; 2,/^set/ { /^set/d; p; }' "$0"
}
wrong() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 64
}

while [ $# -gt 0 ]; do
    case $1 in
    --check) check=1 ;;
    --provider)
        [ $# -gt 1 ] || wrong "--provider needs a name: virtualbox or libvirt"
        provider=$2
        shift
        ;;
    --provider=*) provider=${1#*=} ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) wrong "there is no option $1; ./install.sh --help" ;;
    esac
    shift
done

has() { command -v "$1" >/dev/null 2>&1; }
apt_offers() { has apt-cache && LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'; }
installed() {
    # shellcheck disable=SC2016 # dpkg's own variable
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
# Read from the file: Vagrant itself would make folders, and take seconds.
has_libvirt_plugin() {
    installed vagrant-libvirt || grep -qs '"vagrant-libvirt"' "${VAGRANT_HOME:-$HOME/.vagrant.d}/plugins.json"
}
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        printf 'install.sh: this needs root, and there is no sudo: %s\n' "$*" >&2
        exit 1
    fi
}

case $provider in
"") if has VBoxManage || { ! has virsh && apt_offers virtualbox; }; then provider=virtualbox; else provider=libvirt; fi ;;
virtualbox | libvirt) ;;
*) wrong "there is no provider $provider: virtualbox or libvirt" ;;
esac
printf 'Vagrant with %s:\n' "$provider"

# Apt's lists are read once, and only when something is to be installed.
updated=
# want COMMAND PACKAGE...: a program and the packages that bring it.
want() {
    program=$1
    shift
    if has "$program"; then
        ok "$program"
        return 0
    fi
    if ! has apt-get; then
        lacks "$program"
        return 0
    fi
    if [ -n "$check" ]; then
        lacks "$program: apt-get install $*"
        return 0
    fi
    if [ -z "$updated" ]; then
        as_root apt-get -qq update
        updated=1
    fi
    for package in "$@"; do
        if ! apt_offers "$package"; then
            lacks "$program: apt has no package $package here"
            return 0
        fi
    done
    printf '  install  %s\n' "$*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
    if has "$program"; then ok "$program"; else lacks "$program: not found after apt-get install $*"; fi
}

want vagrant vagrant
has vagrant || apt_offers vagrant || note "Vagrant's own packages for every system: https://developer.hashicorp.com/vagrant/install"

user=${SUDO_USER:-$(id -un)}
case $provider in
virtualbox)
    want VBoxManage virtualbox
    if ! has VBoxManage; then
        note "VirtualBox's own packages: https://www.virtualbox.org/wiki/Downloads; or ./install.sh --provider libvirt"
    elif [ "$(uname -s)" = Linux ] && [ ! -e /dev/vboxdrv ]; then
        lacks "VirtualBox's kernel module: sudo modprobe vboxdrv (it is built by the package virtualbox-dkms; with Secure Boot it must be signed)"
    fi
    ;;
libvirt)
    want virsh libvirt-clients libvirt-daemon-system dnsmasq-base
    case $(uname -m) in
    x86_64) want qemu-system-x86_64 qemu-system-x86 ;;
    aarch64) want qemu-system-aarch64 qemu-system-arm ;;
    *) lacks "a QEMU for $(uname -m): the boxes are for x86_64 and aarch64" ;;
    esac
    want qemu-img qemu-utils
    # Debian's Vagrant takes the plugin from its package, Vagrant's own from its registry.
    if has_libvirt_plugin; then
        ok "vagrant-libvirt"
    elif installed vagrant && [ -z "$check" ] && apt_offers vagrant-libvirt; then
        printf '  install  vagrant-libvirt\n'
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends vagrant-libvirt >/dev/null
        ok "vagrant-libvirt"
    elif installed vagrant || ! has vagrant; then
        lacks "vagrant-libvirt: apt-get install vagrant-libvirt"
    else
        lacks "vagrant-libvirt: vagrant plugin install vagrant-libvirt (first: apt-get install build-essential libvirt-dev pkg-config)"
    fi
    if [ "$user" != root ] && getent group libvirt >/dev/null; then
        if id -nG "$user" | tr ' ' '\n' | grep -qx libvirt; then
            ok "$user may use libvirt"
        elif [ -n "$check" ]; then
            lacks "$user may not use libvirt: sudo usermod --append --groups libvirt $user"
        else
            as_root usermod --append --groups libvirt "$user"
            note "$user is in the group libvirt from the next login on (now: newgrp libvirt)"
        fi
    fi
    if [ -d /run/systemd/system ] && has virsh && ! systemctl --quiet is-active libvirtd.service libvirtd.socket virtqemud.socket; then
        if [ -n "$check" ]; then
            lacks "libvirt does not run: sudo systemctl enable --now libvirtd"
        else
            as_root systemctl enable --now --quiet libvirtd
            ok "libvirt runs"
        fi
    fi
    ;;
esac

# /dev/kvm may be there and not work, in a container or a virtual machine: a kernel has to get as far as missing its root disk, or, where there
# is no kernel to try with, a machine has to be made. Says what is wrong.
kvm_fails() {
    if ! { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }; then
        echo "$(id -un) may not open it: sudo usermod --append --groups kvm $user"
        return 0
    fi
    ( : <>/dev/kvm ) 2>/dev/null || { echo "it cannot be opened"; return 0; }
    qemu=qemu-system-$(uname -m)
    has "$qemu" || { echo "not tried: there is no $qemu"; return 0; }
    kernel=$(find /boot -name 'vmlinuz-*' -readable 2>/dev/null | head -n 1)
    case $(uname -m) in
    x86_64) console=ttyS0 ;;
    *) kernel='' ;;
    esac
    if [ -z "$kernel" ]; then
        # It stops before its first instruction, and is told to end.
        said=$(echo quit | timeout 20 "$qemu" -accel kvm -machine none -nodefaults -display none -S -monitor stdio 2>&1) && return 1
        printf '%s\n' "$said" | tail -n 1
        return 0
    fi
    said=$(timeout 20 "$qemu" -accel kvm -m 256 -nodefaults -display none -serial stdio -no-reboot \
        -kernel "$kernel" -append "console=$console panic=-1" 2>&1 | tr -d '\0' || true)
    case $said in
    *"Unable to mount root"* | *"not syncing"*) return 1 ;;
    *Linux\ version*) echo "a machine starts and does not get on" ;;
    *) echo "no machine starts: $(printf '%s\n' "$said" | tail -n 1)" ;;
    esac
}

# Without it VirtualBox starts no 64-bit machine, and libvirt emulates every instruction.
if [ "$(uname -s)" = Linux ]; then
    if [ "$provider" = libvirt ] && [ -e /dev/kvm ]; then
        if why=$(kvm_fails); then
            note "hardware virtualization is not usable (/dev/kvm: $why): run with GLRL_LIBVIRT_DRIVER=qemu (slow)"
        else
            ok "hardware virtualization (/dev/kvm, tried)"
        fi
    elif grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo 2>/dev/null; then
        ok "hardware virtualization"
        [ "$provider" = virtualbox ] || note "/dev/kvm is missing: sudo modprobe kvm_intel (or kvm_amd)"
    elif [ "$provider" = libvirt ]; then
        note "no hardware virtualization: switch it on in the firmware, or run with GLRL_LIBVIRT_DRIVER=qemu (slow)"
    else
        lacks "hardware virtualization: switch on VT-x or AMD-V in the firmware"
    fi
fi

# glrl itself is built from this checkout, unless GLRL_BINARY names one.
if [ -n "${GLRL_BINARY:-}" ]; then
    ok "glrl: $GLRL_BINARY"
elif has cargo && has make && has cc; then
    ok "cargo, make and cc, to build glrl"
else
    note "to build glrl: Rust (https://rustup.rs), make and a C compiler; or give a Linux binary with GLRL_BINARY=PATH"
fi

if [ "$missing" = 0 ]; then
    printf 'Ready: vagrant up --provider=%s\n' "$provider"
    exit 0
fi
if ! has apt-get; then
    case $(uname -s) in
    Darwin) echo "On macOS: brew install --cask vagrant virtualbox" ;;
    *) echo "Only Debian and Ubuntu are installed for you. Fedora: dnf install vagrant vagrant-libvirt; Arch: pacman -S vagrant virtualbox; then run this again." ;;
    esac
elif [ -n "$check" ]; then
    printf 'Something is missing. To install it: ./install.sh --provider %s\n' "$provider"
fi
exit 1
