#!/bin/sh
# Run by mmdebstrap on the finished root file system, before it is packed.
# usage: customize.sh ROOT SUITE
set -eu
root=$1 suite=$2

# --- The packages a node can install offline, as a repository inside the image.
repository=$root/var/lib/lab-packages
mkdir -p "$repository"
for recommends in false true; do
    # shellcheck disable=SC2046 # a list of words is meant
    APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --download-only \
        -o APT::Install-Recommends=$recommends -o Dir::Cache::Archives="$repository" \
        -o APT::Keep-Downloaded-Packages=true \
        install $(cat node-packages.txt "node-packages-$suite.txt" | grep -v '^#') >&2
done
rm -rf "$repository/partial" "$repository/lock"
# Repacked without compression: unpacking xz is most of the time an installation takes without KVM.
for package in "$repository"/*.deb; do
    dpkg-deb --raw-extract "$package" unpacked
    dpkg-deb --build -Znone --root-owner-group unpacked "$package" >&2
    rm -r unpacked
done
(cd "$repository" && dpkg-scanpackages --hash sha256 . 2>/dev/null | xz -1 >Packages.xz)
rm -f "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/*_*
echo 'deb [trusted=yes] file:/var/lib/lab-packages ./' >"$root/etc/apt/sources.list"
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/90lab"
chroot "$root" apt-get update >&2

# --- Booted with the initrd beside the image: making another inside a node takes minutes and nobody
# reads it. Nor are nested virtual machines wanted, nor hardware that a node has none of or does not use.
sed -i 's/^update_initramfs=.*/update_initramfs=no/' "$root/etc/initramfs-tools/update-initramfs.conf"
for module in kvm_amd kvm_intel ata_piix floppy i2c_piix4 pcspkr powernow_k8; do
    echo "blacklist $module"
done >"$root/etc/modprobe.d/lab.conf"
# Without KVM, and beside others, a node may take longer than the usual 90 s to find the disks in its fstab.
mkdir -p "$root/etc/systemd/system.conf.d"
printf '[Manager]\nDefaultDeviceTimeoutSec=10min\n' >"$root/etc/systemd/system.conf.d/lab.conf"

# --- Reached by root's key alone. No PAM: a session would start a user manager, seconds under TCG.
install -d -m 700 "$root/root/.ssh"
install -m 600 id_ed25519.pub "$root/root/.ssh/authorized_keys"
rm -f "$root"/etc/ssh/ssh_host_rsa_key* "$root"/etc/ssh/ssh_host_ecdsa_key*
cat >"$root/etc/ssh/sshd_config.d/lab.conf" <<'CONFIG'
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxSessions 100
MaxStartups 100
UseDNS no
CONFIG

# --- Network: eth0 to the host (QEMU's user network, fixed addresses), eth1 the private segment.
cat >"$root/etc/systemd/network/10-host.network" <<'CONFIG'
[Match]
Name=eth0
[Network]
Address=10.0.2.15/24
LinkLocalAddressing=no
CONFIG
chroot "$root" systemctl enable --quiet systemd-networkd
chroot "$root" systemctl mask --quiet systemd-networkd-wait-online.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer motd-news.timer \
    e2scrub_reap.service fstrim.timer logrotate.timer modprobe@drm.service systemd-pstore.service
# Each costs a process at every `systemctl daemon-reload`, of which an installation makes dozens; a
# node has nothing that these would find.
mkdir -p "$root/etc/systemd/system-generators"
for generator in cryptsetup debug gpt-auto hibernate-resume integritysetup rc-local run system-update \
    veritysetup; do
    ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done
echo lab >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n' >"$root/etc/hosts"
echo '/dev/vda / ext4 defaults,noatime 0 1' >"$root/etc/fstab"
chroot "$root" systemd-machine-id-setup >&2

install -m 755 lab-node lab-probe "$root/usr/local/sbin/"
