#!/bin/sh
# Makes the box that the real `vagrant up` of up.sh boots: the host's own Debian or Ubuntu, small, in the shape
# that vagrant-libvirt wants, booted by its kernel directly (so it needs no boot loader and no image from the
# network). Prints the folder that holds `box`, `kernel`, `initrd` and `name`; made once, kept in a cache that is keyed by
# what it was made from. Needs root: mmdebstrap, mkfs.ext4 -d and device nodes.
#
# What ordinary boxes come with (Python, LVM, XFS, cron, the NFS client) and what the database server depends on is
# installed: an emulated machine takes minutes for each. The NFS server and the database server are left to the roles; they
# are in the box as .deb files, so that apt in the machine has its lists and its downloads already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$here/common.sh"

# The host's own mirrors, for its own release only: whatever else the host has in its sources is left out.
# shellcheck disable=SC1091 # the host's file
release=$(. /etc/os-release && echo "$ID $VERSION_CODENAME")
suite=${release#* }
case $release in
debian\ *)
    kernel=linux-image-cloud-$(dpkg --print-architecture)
    server=mariadb-server
    present=mariadb-server-core,mariadb-client,galera-4,libdbi-perl,socat
    ;;
ubuntu\ *)
    kernel=linux-image-virtual
    server=mysql-server
    present=mysql-client
    ;;
*) die "the box is made from the host's own apt sources, and $release is neither Debian nor Ubuntu" ;;
esac

# shellcheck disable=SC2016 # apt's own variables
sources=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
    sort -u | awk -v suite="$suite" 'tolower($1) ~ /^(debian|ubuntu)$/ && $2 ~ "^" suite { $1 = $2 = ""; sub(/^ +/, ""); print }')
[ -n "$sources" ] || die "apt knows no sources of $suite: run apt-get update first"
# How this host reaches them: proxies, and whether an old mirror is accepted.
settings=$(apt-config dump | grep -iE '^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date|AllowReleaseInfoChange)' || true)

key=$(printf '%s\n' "$release" "$sources" "$settings" | cat - "$0" | sha256sum | cut -c1-12)
box=$cache/box-$key
if [ -e "$box/name" ]; then
    echo "$box"
    exit 0
fi

say "making a $release box (some minutes, once) in $box"
mkdir -p "$cache"
work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# Vagrant's well-known insecure key, which it replaces at the first boot: the public half of what it installs itself.
(cd "$work" && VAGRANT_HOME=$vagrant_home vagrant box list >/dev/null)
ssh-keygen -y -f "$vagrant_home/insecure_private_key" >"$work/authorized_keys"

printf '%s\n' "$settings" >"$work/apt.conf"
cat >"$work/customize.sh" <<'CUSTOMIZE'
#!/bin/sh
set -eu
root=$1 work=$2
chroot "$root" useradd --create-home --shell /bin/bash vagrant
install -d -m 0700 "$root/home/vagrant/.ssh"
install -m 0600 "$work/authorized_keys" "$root/home/vagrant/.ssh/authorized_keys"
chroot "$root" chown -R vagrant:vagrant /home/vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
chmod 0440 "$root/etc/sudoers.d/vagrant"
echo 'LABEL=root / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
echo box >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 box\n' >"$root/etc/hosts"
# The first interface is Vagrant's own; it configures the others.
printf '[Match]\nName=eth0\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/80-eth0.network"
chroot "$root" systemctl enable systemd-networkd ssh
install -m 0644 "$work/apt.conf" "$root/etc/apt/apt.conf.d/80host"
# Emulated machines: nothing that runs by itself in the middle of a test.
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer man-db.timer e2scrub_all.timer fstrim.timer
# With the host's apt: the machine's name resolution does not work in a chroot. Recommended ones too, in case a role wants them.
# shellcheck disable=SC2046 # a list
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq install --yes --download-only \
    --option APT::Install-Recommends=true $(cat "$work/packages")
# Nor an initrd made again by each package that thinks of one: the machine boots the one outside.
echo 'update_initramfs=no' >"$root/etc/initramfs-tools/update-initramfs.conf"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
cp -L "$root"/boot/vmlinuz-* "$work/kernel"
cp -L "$root"/boot/initrd.img-* "$work/initrd"
CUSTOMIZE
echo "nfs-kernel-server $server" >"$work/packages"

printf '%s\n' "$sources" >"$work/sources.list"
# shellcheck disable=SC2016 # mmdebstrap's own variable
nice -n 10 mmdebstrap --quiet --variant=minbase \
    --aptopt="$work/apt.conf" \
    --include="python3,lvm2,xfsprogs,cron,nfs-common,rsync,lsof,psmisc,gawk,$present" \
    --include="systemd-sysv,systemd-resolved,udev,dbus,kmod,iproute2,iputils-ping,openssh-server,sudo,ca-certificates,initramfs-tools,$kernel" \
    --skip=cleanup/apt/lists,cleanup/apt/cache \
    --customize-hook="sh $work/customize.sh \"\$1\" $work" \
    "$suite" "$work/root" "$work/sources.list" >&2

truncate -s 8G "$work/root.img"
nice -n 10 mkfs.ext4 -q -F -L root -d "$work/root" "$work/root.img"
nice -n 10 qemu-img convert -f raw -O qcow2 "$work/root.img" "$work/box.img"
rm -rf "$work/root" "$work/root.img"
printf '{"provider":"libvirt","format":"qcow2","virtual_size":8}\n' >"$work/metadata.json"
tar -C "$work" -cf "$work/box" --remove-files metadata.json box.img
echo "glrl-test-$key" >"$work/name"
chmod 0755 "$work"
# Of the ones before nobody has any use.
rm -rf "$cache"/box-* "$vagrant_home"/boxes/glrl-test-*
mv "$work" "$box"
echo "$box"
