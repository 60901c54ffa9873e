#!/bin/sh
# Tests install.sh as far as it can be without installing anything: --check, wrong usage, a system without apt.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

# expect CODE PATTERN COMMAND...: the exit code, or a pattern of it, and what is said in a line.
expect() {
    code=$1 pattern=$2
    shift 2
    status=0
    "$@" >"$work/said" 2>&1 || status=$?
    if ! expr "$status" : "$code\$" >/dev/null || ! grep -qE -- "$pattern" "$work/said"; then
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

# /dev/kvm proves nothing: a machine is tried. QEMU is a stand-in that answers as it does where KVM works, and where it does not; /dev and
# /boot are made up, in a mount namespace, which takes root.
# kvm LINE KERNEL QEMU [MAKE]: what is said; whether there is a kernel to try with; what QEMU does; how /dev/kvm is made.
kvm() {
    qemu=$work/qemu/qemu-system-$(uname -m)
    printf '#!/bin/sh\ncase "$*" in *"-accel kvm"*) ;; *) echo "KVM is not tried: $*"; exit 9 ;; esac\n%s\n' "$3" >"$qemu"
    chmod 755 "$qemu"
    # shellcheck disable=SC2016 # the inner shell's own variables
    expect '[01]' "^  $1" unshare --mount sh -c '
        mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mount -t tmpfs none /boot && eval "$4"
        [ "$2" = without ] || : >/boot/vmlinuz-6
        PATH=$1:$PATH exec "$3/install.sh" --check --provider libvirt' \
        - "$work/qemu" "$2" "$root" "${4:-: >/dev/kvm}"
}
if [ "$(id -u)" = 0 ] && [ "$(uname -m)" = x86_64 ]; then
    mkdir "$work/qemu"
    works='ok +hardware virtualization \(/dev/kvm, tried\)'
    fails='note +hardware virtualization is not usable \(/dev/kvm: '
    kvm "$works" with 'echo "Linux version 6"; echo "Kernel panic - not syncing: VFS: Unable to mount root fs"'
    kvm "$works" without 'exit 0'
    kvm "${fails}no machine starts: .*No such device" with 'echo "Could not access KVM kernel module: No such device" >&2; exit 1'
    kvm "${fails}a machine starts and does not get on" with 'echo "Linux version 6"'
    kvm "${fails}failed to initialize kvm" without 'echo "failed to initialize kvm: Invalid argument" >&2; exit 1'
    kvm "${fails}it cannot be opened" with 'exit 0' 'mkdir /dev/kvm'
    kvm 'note +(/dev/kvm is missing|no hardware virtualization)' with 'exit 0' ':'
else
    echo "install_test.sh: /dev/kvm is made up by root, on x86_64: not tried" >&2
fi

# A system that has neither apt nor Vagrant: the programs that the script itself needs, and no more.
mkdir "$work/bin"
for program in sh sed id uname grep cat tr getent; do
    ln -s "$(command -v "$program")" "$work/bin/$program"
done
expect 1 "Only Debian and Ubuntu are installed for you" env PATH="$work/bin" "$root/install.sh" --provider libvirt
expect 1 "missing +vagrant$" env PATH="$work/bin" "$root/install.sh" --check

echo "install_test.sh: $passed passed"
