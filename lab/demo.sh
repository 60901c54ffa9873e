#!/bin/sh
# The demo, `make demo`: two real machines become a backup server and a MySQL server from the bundled roles, a second run
# changes nothing, a backup is taken while writes go on, and is proven to restore.
#
# GLRL_BINARY: the binary that the machines get. KEEP=1: leave them up at the end.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${GLRL_BINARY:=target/debug/glrl}"
work=$(mktemp -d)
device=/dev/disk/by-id/virtio-data
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m') terminal=-tq; else bold='' plain='' terminal=; fi

lab() { cargo run -q --manifest-path "$here/Cargo.toml" -- --state-dir "$work/lab" "$@"; }
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
# Shows a command on a node, and runs it there.
on() {
    node=$1
    shift
    printf '\n%s%s#%s %s\n' "$bold" "$node" "$plain" "$*"
    # shellcheck disable=SC2086 # no word where it is empty
    lab ssh "$node" $terminal "$@"
}
# The role of a node. Where nothing is virtualised, taking a snapshot alone is longer than the default budget of 5 s.
role() {
    case $1 in
    mysql) echo "--role mysql --set data_device=$device --set lock_budget=60s" ;;
    *) echo "--role $1 --set data_device=$device" ;;
    esac
}
# Converges a node, and keeps what the record says at its end as NODE.NAME.
converge() {
    # shellcheck disable=SC2046 # a list of words is meant
    on "$1" glrl converge $(role "$1")
    lab ssh "$1" "tail -n 1 \$(ls -d /var/lib/glrl/runs/* | tail -n 1)/events.ndjson" >"$work/$1.$2"
}
backups() { lab ssh mysql 'glrl backup list --json' | jq -sr "$1"; }
seconds() { awk -v ms="$1" 'BEGIN { printf ms < 60000 ? "%.1f s" : "%d min %d s", ms < 60000 ? ms / 1000 : ms / 60000, ms / 1000 % 60 }'; }

end() {
    status=$?
    trap - EXIT INT TERM
    if [ "${KEEP:-}" = 1 ] && [ -e "$work/up" ]; then
        say "The machines are still up"
        echo "log in:   cargo run -q -p glrl-lab -- --state-dir $work/lab ssh mysql     (or backup)"
        echo "end them: cargo run -q -p glrl-lab -- --state-dir $work/lab down"
    else
        lab down
        rm -rf "$work"
    fi
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT TERM

say "Two machines, each with an empty second disk"
lab images
lab up --name backup mysql
touch "$work/up"
lab status
for node in backup mysql; do lab put "$node" "$GLRL_BINARY" /usr/local/bin/glrl; done

for node in backup mysql; do
    say "$node: what would be done, and then it is done"
    # shellcheck disable=SC2046 # a list of words is meant
    on "$node" glrl plan $(role "$node")
    converge "$node" first
done

say "The same once more: nothing is left to do"
for node in backup mysql; do converge "$node" second; done

say "A shop with 20,000 sales, and a writer that does not stop for the backup"
on mysql "mysql -e 'CREATE DATABASE shop; USE shop; CREATE TABLE sale (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(200));
    INSERT INTO sale (what) SELECT REPEAT(MD5(seq), 5) FROM seq_1_to_20000'"
# It ends by itself, whatever becomes of the demo.
lab ssh mysql "(seq 1500 | sed 's/.*/INSERT INTO sale (what) VALUES (REPEAT(MD5(RAND()), 5)); DO SLEEP(0.05);/' |
    timeout 120 mysql shop) >/tmp/writer.log 2>&1 </dev/null &"
sales() { lab ssh mysql "mysql -Ne 'SELECT COUNT(*) FROM shop.sale'"; }

say "A backup while it writes"
before=$(sales)
on mysql glrl backup run
written=$(($(sales) - before))
echo "$written sales were written meanwhile"

say "Does it restore?"
on mysql glrl verify
on backup ls -la /backup
on mysql crontab -l

say "All of it"
row() { printf '%-12s %10s %14s %14s %8s\n' "$@"; }
figure() { jq -r "$2" "$work/$1"; }
row machine resources converge 'second run' changes
for node in backup mysql; do
    row "$node" "$(figure $node.second .unchanged)" "$(seconds "$(figure $node.first .milliseconds)")" \
        "$(seconds "$(figure $node.second .milliseconds)")" "$(figure $node.second .changed)"
done
echo
printf '%-28s %s\n' 'sales written meanwhile' "$written" \
    'lock held' "$(backups '.[-1].manifest.lock.hold_ms | "\(round) ms"')" \
    'data' "$(backups '.[-1].manifest.files.stored / 1048576 | "\(. * 10 | round / 10) MiB"')" \
    'archive' "$(backups '.[-1].manifest.archive.bytes / 1048576 | "\(. * 10 | round / 10) MiB"')" \
    'verdict' "$(backups '.[-1].verdict.verdict')"
