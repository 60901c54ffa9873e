#!/bin/sh
# The database servers that the tests run against beside the machine's own, each a tree of Debian packages that are unpacked and
# not installed: MariaDB 11.8 of trixie, MySQL 9 of sid. They run by their own C library; nothing of the machine's is touched.
# At once done where all is there. They come from the mirrors that this machine's apt uses, into $GLRL_SERVERS
# (/var/cache/glrl-servers, if it is not set), which the servers' account, mysql, must be able to read.
set -eu

servers=${GLRL_SERVERS:-/var/cache/glrl-servers}
missing=
for name in mariadb-trixie mysql-sid; do
    [ -d "$servers/$name" ] || missing="$missing $name"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "unpacking the servers$missing needs root: run make database as root" >&2
    exit 1
fi

mirrors=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|Debian|//p' | sort -u)
# Ubuntu has no mirror of Debian's.
mirror=$(printf '%s\n' "${mirrors:-http://deb.debian.org/debian}" | head -n 1)

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
cd "\$tree/usr/share/mariadb"
{
    printf '%s\n' 'USE mysql;' 'SET @auth_root_socket = NULL, @skip_auth_anonymous = 1;'
    cat mariadb_system_tables.sql mariadb_performance_tables.sql mariadb_system_tables_data.sql fill_help_tables.sql \\
        maria_add_gis_sp_bootstrap.sql mariadb_sys_schema.sql
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
    case $name in
    mariadb-*) packages=mariadb-server-core,mariadb-client-core,mariadb-client programs='usr/sbin/mariadbd usr/bin/mariadb usr/bin/mariadb-binlog usr/bin/innochecksum' ;;
    mysql-*) packages=mysql-server-core,mysql-client-core programs='usr/sbin/mysqld usr/bin/mysql usr/bin/mysqlbinlog usr/bin/innochecksum' ;;
    esac
    part=$servers/$name.part
    rm -rf "$part"
    echo "fetching $name from $mirror (once, under a minute)" >&2
    set --
    while IFS= read -r option; do
        [ -z "$option" ] || set -- "$@" --aptopt="$option"
    done <<OPTIONS
$(apt-config dump Acquire | grep -E '^Acquire::(Check-|http::|https::|Retries |ForceIPv)' | grep -v '"";$' | sed 's/;$//')
OPTIONS
    if ! mmdebstrap --quiet --variant=extract --include="$packages" --skip=cleanup/tmp \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$@" "${name#*-}" "$part" "deb $mirror ${name#*-} main" >"$servers/$name.log" 2>&1; then
        tail -n 5 "$servers/$name.log" >&2
        echo "$name cannot be had from $mirror: is there a network? The whole log is $servers/$name.log" >&2
        exit 1
    fi
    rm -rf "${part:?}/usr/share/doc" "${part:?}/usr/share/man" "${part:?}/usr/share/locale" "${part:?}/var" "${part:?}/boot"
    loader=$(cd "$part" && ls lib64/ld-linux-*.so.* usr/lib64/ld-linux-*.so.* usr/lib/ld-linux-*.so.* "usr/lib/$triplet"/ld-linux-*.so.* 2>/dev/null | head -n 1)
    mkdir "$part/programs"
    for program in $programs; do
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
