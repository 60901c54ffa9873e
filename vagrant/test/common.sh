# Shared by the scripts here: where things are kept, how they speak. Sourced, never run.
# shellcheck shell=sh

# Kept between runs: the box, and Vagrant's own home with the box unpacked.
# shellcheck disable=SC2034 # read by those who source this
cache=${XDG_CACHE_HOME:-$HOME/.cache}/glrl-lab/vagrant
# shellcheck disable=SC2034
vagrant_home=$cache/home

say() { printf '%s\n' "--- $*" >&2; }
die() {
    printf '%s\n' "${0##*/}: $*" >&2
    exit 1
}

# need_packages PACKAGE...: installs those that are missing.
need_packages() {
    missing=
    for package in "$@"; do
        # shellcheck disable=SC2016 # dpkg's own variable
        case $(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || die "not installed:$missing (run this as root, or apt-get install them)"
    say "installing$missing"
    apt-get -qq update
    # shellcheck disable=SC2086 # a list
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing >&2
}
