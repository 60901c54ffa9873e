#!/bin/sh
# The database servers that the tests run against beside the machine's own, each a tree of packages that are unpacked and not
# installed. They run by their own C library; nothing of the machine's is touched. At once done where all is there. They come from the
# mirrors that this machine's apt uses, into $GLRL_SERVERS (/var/cache/glrl-servers, if it is not set), which the servers' account, mysql,
# must be able to read. The oldest that glrl works with are Ubuntu's: where there is no mirror of it, the tests go on without them, and say so.
set -eu

servers=${GLRL_SERVERS:-/var/cache/glrl-servers}
# Name, whose, suites, components, packages, programs.
trees='
mariadb-trixie|Debian|trixie|main|mariadb-server-core,mariadb-client-core,mariadb-client|usr/sbin/mariadbd usr/bin/mariadb usr/bin/mariadb-binlog usr/bin/innochecksum
mysql-sid|Debian|sid|main|mysql-server-core,mysql-client-core|usr/sbin/mysqld usr/bin/mysql usr/bin/mysqlbinlog usr/bin/innochecksum
keys-trixie|Debian|trixie|main|ubuntu-archive-keyring|
mariadb-jammy|Ubuntu|jammy jammy-updates|main universe|mariadb-server-core-10.6,mariadb-client-core-10.6,mariadb-server-10.6|usr/sbin/mariadbd usr/bin/mariadb usr/bin/mariadb-binlog usr/bin/innochecksum
mysql-jammy|Ubuntu|jammy jammy-updates|main|mysql-server-core-8.0,mysql-client-core-8.0|usr/sbin/mysqld usr/bin/mysql usr/bin/mysqlbinlog usr/bin/innochecksum
'
missing=
for name in $(printf '%s' "$trees" | cut -d '|' -f 1); do
    [ -d "$servers/$name" ] || missing="$missing $name"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "unpacking the servers$missing needs root: run make database as root" >&2
    exit 1
fi

# The mirror of a distribution: a machine of the other one has none.
mirror() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sort -u | sed -n "s/^$1|$1|//p" | head -n 1 | grep . ||
        case $1 in
        Debian) echo http://deb.debian.org/debian ;;
        Ubuntu) echo http://archive.ubuntu.com/ubuntu ;;
        esac
}

# The wrapper of a program: its own loader and libraries, and the tree as its base directory, which must not come before
# --no-defaults.
wrap() {
    cat <<WRAPPER
#!/bin/sh
# $2, by its own C library.
tree=$servers/$1
program=\$tree/$2
run="\$tree/$loader --library-path \$tree/usr/lib/$triplet:\$tree/lib/$triplet --argv0 \$program"
case \${1:-} in
--no-defaults) shift; set -- --no-defaults $3 "\$@" ;;
*) set -- $3 "\$@" ;;
esac
exec \$run \$program "\$@"
WRAPPER
}

# The package's own mariadb-install-db starts programs by their places in the tree, past their wrappers.
bootstrap() {
    cat <<WRAPPER
#!/bin/sh
# mariadb-install-db --no-defaults --skip-test-db --auth-root-authentication-method=normal OPTIONS...
set -e
tree=$servers/$1
options=
for option in "\$@"; do
    case \$option in
    --no-defaults | --skip-test-db | --auth-root-authentication-method=normal) ;;
    --datadir=*) options="\$options \$option"; mkdir -p "\${option#*=}/mysql"; owned=\${option#*=} ;;
    --user=*) options="\$options \$option"; user=\${option#*=} ;;
    *) options="\$options \$option" ;;
    esac
done
chown -R "\${user:-mysql}" "\$owned"
# 10.6 has mysql in these names.
cd "\$tree/usr/share/mariadb" 2>/dev/null || cd "\$tree/usr/share/mysql"
{
    printf '%s\n' 'USE mysql;' 'SET @auth_root_socket = NULL, @skip_auth_anonymous = 1;'
    cat m*_system_tables.sql m*_performance_tables.sql m*_system_tables_data.sql fill_help_tables.sql \\
        maria_add_gis_sp_bootstrap.sql m*_sys_schema.sql
} | "\$tree/programs/mariadbd" --no-defaults --bootstrap --silent-startup --log-warnings=0 --enforce-storage-engine= \\
    --max-allowed-packet=8M --net-buffer-length=16K \$options
WRAPPER
}

mkdir -p "$servers"
chmod 755 "$servers"
exec 9>"$servers/lock"
flock 9
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -dumpmachine)
for name in $missing; do
    [ ! -d "$servers/$name" ] || continue
    IFS='|' read -r name whose suites components packages programs <<TREE
$(printf '%s' "$trees" | grep "^$name|")
TREE
    mirror=$(mirror "$whose")
    part=$servers/$name.part
    rm -rf "$part"
    echo "fetching $name from $mirror (once, under a minute)" >&2
    set --
    while IFS= read -r option; do
        [ -z "$option" ] || set -- "$@" --aptopt="$option"
    done <<OPTIONS
$(apt-config dump Acquire | grep -E '^Acquire::(Check-|http::|https::|Retries |ForceIPv)' | grep -v '"";$' | sed 's/;$//')
OPTIONS
    set -- "$@" "${suites%% *}" "$part"
    for suite in $suites; do
        case $whose in
        Debian) set -- "$@" "deb $mirror $suite $components" ;;
        Ubuntu) set -- "$@" "deb [signed-by=$servers/keys-trixie/usr/share/keyrings/ubuntu-archive-keyring.gpg] $mirror $suite $components" ;;
        esac
    done
    if ! mmdebstrap --quiet --variant=extract --include="$packages" --skip=cleanup/tmp \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$@" >"$servers/$name.log" 2>&1; then
        rm -rf "$part"
        case $name in
        *-jammy | keys-*)
            echo "$name cannot be had from $mirror: the tests on the servers of Ubuntu are skipped; why is in $servers/$name.log" >&2
            continue
            ;;
        esac
        tail -n 5 "$servers/$name.log" >&2
        echo "$name cannot be had from $mirror: is there a network? The whole log is $servers/$name.log" >&2
        exit 1
    fi
    rm -rf "${part:?}/usr/share/doc" "${part:?}/usr/share/man" "${part:?}/usr/share/locale" "${part:?}/var" "${part:?}/boot"
    # Not lib64: there it can be an absolute link, to the machine's own.
    loader=$(cd "$part" && ls "usr/lib/$triplet"/ld-linux*.so.* "lib/$triplet"/ld-linux*.so.* 2>/dev/null | head -n 1)
    mkdir "$part/programs"
    for program in $programs; do
        if [ ! -x "$part/$program" ]; then
            echo "none of the packages $packages has $program" >&2
            exit 1
        fi
        case $program in
        usr/sbin/*) options="--basedir=\$tree/usr" ;;
        *) options= ;;
        esac
        wrap "$name" "$program" "$options" >"$part/programs/${program##*/}"
        chmod 755 "$part/programs/${program##*/}"
    done
    case $name in mariadb-*) bootstrap "$name" >"$part/programs/mariadb-install-db" && chmod 755 "$part/programs/mariadb-install-db" ;; esac
    chmod 755 "$part"
    mv "$part" "$servers/$name"
done
