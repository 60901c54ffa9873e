#!/bin/sh
# Makes a node's root file system, kernel, initrd and ssh key in the current folder.
# usage: build.sh SUITE MIRROR-LINE...
# Beside it: base-packages.txt, node-packages.txt, of each another for the suite, lab-node, lab-probe, customize.sh.
# APT_OPTIONS: one apt option a line, handed to mmdebstrap.
# KEYRING_FROM: the apt source line of what brings the keys of Ubuntu's archive, where the host has none. They become keyring.gpg.
set -eu
suite=$1
shift
list() { cat "$1.txt" "$1-$suite.txt" | grep -v '^#' | paste -sd, -; }

ssh-keygen -q -t ed25519 -N '' -C lab -f id_ed25519

# mmdebstrap with the host's way to its mirrors.
bootstrap() {
    old_ifs=$IFS
    IFS='
'
    for option in ${APT_OPTIONS:-}; do
        set -- --aptopt="$option" "$@"
    done
    IFS=$old_ifs
    mmdebstrap --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' "$@"
}

if [ -n "${KEYRING_FROM:-}" ]; then
    # The line says the suite after the address.
    bootstrap --variant=extract --include=ubuntu-archive-keyring --skip=cleanup/tmp \
        "$(echo "$KEYRING_FROM" | cut -d ' ' -f 3)" keys "$KEYRING_FROM"
    cp -L keys/usr/share/keyrings/ubuntu-archive-keyring.gpg keyring.gpg
    rm -r keys
    set -- --keyring="$PWD/keyring.gpg" "$suite" root "$@"
else
    set -- "$suite" root "$@"
fi

# The initrd holds the few modules that reach the root disk: a quarter of the size, seconds of boot.
bootstrap --variant=minbase --include="$(list base-packages)" \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
    --essential-hook='printf "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\n" >"$1/etc/initramfs-tools/conf.d/lab"' \
    --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" >"$1/usr/share/initramfs-tools/modules.d/lab"' \
    --skip=cleanup/apt,cleanup/tmp \
    --customize-hook="sh ./customize.sh \"\$1\" $suite" \
    "$@"

cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd
cp root/etc/ssh/ssh_host_ed25519_key.pub host_key.pub
truncate -s 8G root.raw
mkfs.ext4 -q -F -L root -E lazy_itable_init=1,lazy_journal_init=1 -d root root.raw
rm -r root
