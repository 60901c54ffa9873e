#!/bin/sh
# The quick tests of the Vagrantfile, the provisioner, install.sh and the scripts here. No machine is started.
# Installs what it needs when it is run as root on Debian or Ubuntu.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$here/common.sh"

need_packages vagrant vagrant-libvirt ruby ruby-minitest shellcheck

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export VAGRANT_HOME="$work/home" VAGRANT_DOTFILE_PATH="$work/vagrant"
cd "$root"

for file in Vagrantfile vagrant/*.rb vagrant/test/*.rb; do
    ruby -wc "$file" >/dev/null || die "$file: syntax"
done
shellcheck --external-sources install.sh vagrant/test/*.sh

VAGRANT_DEFAULT_PROVIDER=libvirt vagrant validate
# Debian has no VirtualBox: its part is evaluated by plugin_test.rb.
VAGRANT_DEFAULT_PROVIDER=virtualbox vagrant validate --ignore-provider >/dev/null
# And that it can fail.
if GLRL_BINARY="$work/nowhere" VAGRANT_DEFAULT_PROVIDER=libvirt vagrant validate >"$work/said" 2>&1; then
    die "vagrant validate accepts a binary that is not there"
fi
grep -q "no file .*GLRL_BINARY" "$work/said" || die "vagrant validate says: $(cat "$work/said")"

"$here/install_test.sh"
ruby "$here/plugin_test.rb"
