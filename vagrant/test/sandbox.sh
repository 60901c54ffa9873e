#!/bin/sh
# usage: sandbox.sh COMMAND [ARGUMENT]...
#
# Runs a command with a libvirt of its own: in new network, process and mount namespaces, so that no address, daemon or
# file of the host is touched, and so that ending one process ends all that was started. The way out (for
# packages) is slirp4netns. Needs root.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$here/common.sh"
[ "$(id -u)" = 0 ] || die "namespaces and libvirt need root: run it with sudo"

mkdir -p "$cache"
work=$(mktemp -d "$cache/sandbox.XXXXXX")
namespace=
uplink=
# shellcheck disable=SC2317 # the trap calls it
end() {
    trap - EXIT INT TERM HUP
    [ -z "$uplink" ] || kill "$uplink" 2>/dev/null || true
    # --kill-child: the kernel then ends every process in there.
    [ -z "$namespace" ] || kill -KILL "$namespace" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Told apart from a command's standard input, which a background job would lose.
exec 3<&0
unshare --mount --net --pid --fork --mount-proc --kill-child "$here/libvirt.sh" "$work" "$@" <&3 &
namespace=$!
# Not before the namespace is there: slirp4netns would set up its interface in the host's.
until [ -e "$work/unshared" ]; do
    kill -0 "$namespace" 2>/dev/null || die "no namespaces: unshare failed"
    sleep 0.1
done
slirp4netns --configure --mtu=1500 --disable-host-loopback "$namespace" tap0 >"$work/slirp4netns.log" 2>&1 &
uplink=$!

status=0
wait "$namespace" || status=$?
namespace=
exit "$status"
