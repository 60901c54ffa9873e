#!/bin/sh
# usage: scenario.sh BOX
#
# What up.sh does inside its sandbox: the commands that people type, and what has to come of them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$here/common.sh"
cd "$here/../.."

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
passed=0
started=$(date +%s)
step() { say "$(($(date +%s) - started)) s: $*"; }

# shown NAME COMMAND...: runs it, shows what it prints and keeps that in a file; its exit code.
shown() {
    name=$1
    shift
    { "$@" 2>&1 && echo 0 >"$log/code" || echo $? >"$log/code"; } | tee "$log/$name"
    return "$(cat "$log/code")"
}
on() {
    machine=$1
    shift
    vagrant ssh "$machine" --command "$*" </dev/null
}
passes() {
    "$@" || die "FAILED: $*"
    passed=$((passed + 1))
}
says() { grep -qE -- "$2" "$log/$1" || die "FAILED: this should say \"$2\":
$(cat "$log/$1")"; passed=$((passed + 1)); }
never_says() { ! grep -E -- "$2" "$log/$1" || die "FAILED: this should not say \"$2\" in $1"; passed=$((passed + 1)); }

vagrant box list | grep -q "^$GLRL_BOX " || vagrant box add --name "$GLRL_BOX" "$1" >/dev/null

step "vagrant up"
passes shown up vagrant up backup mysql

step "what the machines have become"
passes shown disk on mysql "findmnt -no SOURCE,FSTYPE,OPTIONS /var/lib/mysql"
says disk '^/dev/mapper/mysql-data +xfs '
passes shown share on mysql "findmnt -no SOURCE,FSTYPE /backup"
says share '^192\.168\.56\.10:/backup +nfs4'
passes shown cron on mysql "sudo crontab -l"
says cron '/root/mysql_backup\.sh'

step "a backup, verified, seen from both sides"
passes on mysql "sudo mysql -e 'create database shop; use shop; create table t (id int primary key) select seq id from seq_1_to_1000'"
passes shown backup on mysql "sudo /root/mysql_backup.sh"
# All but the directory above, which is another on each.
passes shown mine on mysql "sudo ls -la /backup | grep -v ' \.\.\$'"
passes shown theirs on backup "sudo ls -la /backup | grep -v ' \.\.\$'"
says mine '\.tar\.zst$'
passes cmp "$log/mine" "$log/theirs"
passes shown verify on mysql "sudo /root/mysql_verify.sh"

step "vagrant provision again: nothing is uploaded, nothing changes"
passes shown again vagrant provision backup mysql
never_says again 'Uploading'
passes env GLRL_PLAN=1 vagrant provision backup mysql >"$log/plan"
cat "$log/plan"
says plan 'backup: glrl: backup: nothing would change'
says plan 'mysql: glrl: mysql: nothing would change'

step "a disk that is not empty: glrl refuses, and so the provision fails"
if shown refused env GLRL_DATA_DEVICE=/dev/vda vagrant provision backup; then
    die "FAILED: vagrant provision took the root disk"
fi
says refused 'failed with exit code 3: it refused, to protect data'

step "vagrant destroy"
passes vagrant destroy --force
passes [ -z "$(virsh --connect qemu:///system list --all --name)" ]

step "done"
echo "$passed passed, 0 failed"
