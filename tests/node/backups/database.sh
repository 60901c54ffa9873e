# Makes a node one with a database that can be backed up, by hand: the role takes longer, and is what other tests are about.
# The NFS server is the node itself, so that it can go away while the node goes on.
set -eu
systemctl stop mariadb
vgcreate -q mysql /dev/disk/by-id/virtio-data
lvcreate -q -y -L 512M -n data mysql
mkfs.xfs -q /dev/mysql/data
mkdir /mnt/data
mount -o noatime /dev/mysql/data /mnt/data
cp -a /var/lib/mysql/. /mnt/data
chown mysql:mysql /mnt/data
umount /mnt/data
rm -rf /var/lib/mysql/*
echo '/dev/mysql/data /var/lib/mysql xfs noatime 0 0' >> /etc/fstab
mount /var/lib/mysql
cat > /etc/mysql/mariadb.conf.d/90-test.cnf <<'CNF'
[mariadbd]
log_bin = binlog
server_id = 7
innodb_buffer_pool_size = 64M
innodb_log_file_size = 16M
innodb_flush_log_at_trx_commit = 2
CNF
systemctl start mariadb
mkdir -p /srv/backup /backup /etc/glrl
echo '/srv/backup 127.0.0.1(rw,no_root_squash,no_subtree_check,fsid=1)' > /etc/exports
systemctl restart nfs-server
echo '127.0.0.1:/srv/backup /backup nfs4 hard,noatime,_netdev 0 0' >> /etc/fstab
mount /backup
cat > /etc/glrl/backup.yml <<'YML'
target: { directory: /backup }
# Nothing is virtualised: a snapshot alone takes longer than the default.
lock: { budget: 90s }
snapshot: { size: 256MiB }
archive: { level: 1 }
verify: { memory: 64MiB }
YML
mysql -e 'CREATE DATABASE shop'
