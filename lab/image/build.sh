#!/bin/sh
# Makes a node's root file system, kernel, initrd and ssh key in the current folder.
# usage: build.sh SUITE MIRROR-LINE...
# Beside it: base-packages.txt, node-packages.txt, lab-node, lab-probe, customize.sh.
# APT_OPTIONS: one apt option a line, handed to mmdebstrap.
set -eu
suite=$1
shift
list() { grep -v '^#' "$1" | paste -sd, -; }

ssh-keygen -q -t ed25519 -N '' -C lab -f id_ed25519

set -- "$suite" root "$@"
old_ifs=$IFS
IFS='
'
for option in ${APT_OPTIONS:-}; do
    set -- --aptopt="$option" "$@"
done
IFS=$old_ifs

# The initrd holds the few modules that reach the root disk: a quarter of the size, seconds of boot.
mmdebstrap --variant=minbase --include="$(list base-packages.txt)" \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
    --essential-hook='printf "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\n" >"$1/etc/initramfs-tools/conf.d/lab"' \
    --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" >"$1/usr/share/initramfs-tools/modules.d/lab"' \
    --skip=cleanup/apt,cleanup/tmp \
    --customize-hook='sh ./customize.sh "$1"' \
    "$@"

cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd
cp root/etc/ssh/ssh_host_ed25519_key.pub host_key.pub
truncate -s 8G root.raw
mkfs.ext4 -q -F -L root -E lazy_itable_init=1,lazy_journal_init=1 -d root root.raw
rm -r root
