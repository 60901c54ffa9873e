//! Packages, with dpkg and apt as they are, on a throwaway copy of this machine: an overlay over its root, in which a repository of a few
//! tiny packages is all that apt knows. Needs root.

mod death;
mod foretold;

use std::process::{Command, Output, Stdio};

/// Functions for the scripts: `deb NAME VERSION [CONTROL LINES [POSTINST [TRIGGERS]]]`, `index`, `is NAME`, `plan`, `converge` of the role on standard input.
const HELP: &str = r#"
set -u
R=/root/repo; mkdir -p $R
deb() { d=$(mktemp -d); mkdir -p $d/DEBIAN $d/usr/share/$1; echo "$2" > $d/usr/share/$1/v
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: test\n%b' "$1" "$2" "${3:-}" > $d/DEBIAN/control
  [ -n "${4:-}" ] && { printf '#!/bin/sh\n%s\n' "$4" > $d/DEBIAN/postinst; chmod 755 $d/DEBIAN/postinst; }
  [ -n "${5:-}" ] && echo "$5" > $d/DEBIAN/triggers
  dpkg-deb --root-owner-group -Znone -b $d "$R/$1_$(echo $2 | tr : _)_all.deb" >/dev/null; rm -r $d; }
index() { (cd $R; : > Packages; for f in *.deb; do dpkg-deb -f $f; printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $f $(stat -c %s $f) $(sha256sum $f | cut -d' ' -f1); done > Packages)
  apt-get update -qq; }
mkdir -p /etc/apt/away; mv /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/away/ 2>/dev/null; rm -rf /var/lib/apt/lists/* /var/lib/glrl
echo "deb [trusted=yes] file:$R ./" > /etc/apt/sources.list.d/test.list
echo 'APT::Sandbox::User "root";' > /etc/apt/apt.conf.d/99test
have() { apt-get install -y -qq --allow-downgrades "$@" >/dev/null 2>&1; }
is() { dpkg-query -W -f '${Status} ${Version}' $1 2>/dev/null || echo none; echo; }
role() { { echo "resources:"; cat; } > /root/role.yml; }
plan() { glrl plan --role /root/role.yml 2>&1; echo "exit $?"; }
converge() { glrl converge --wait 2m --role /root/role.yml 2>&1; echo "exit $?"; }
"#;

/// What a script says on a fresh copy of this machine.
fn on_a_copy(script: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let setup = format!(
        "mount -t tmpfs -o mode=755 copy {0} && mkdir {0}/u {0}/w {0}/m \
         && mount -t overlay copy -o lowerdir=/,upperdir={0}/u,workdir={0}/w {0}/m \
         && mount -t proc proc {0}/m/proc && mount --rbind /dev {0}/m/dev && mount -t tmpfs run {0}/m/run && mount -t tmpfs tmp {0}/m/tmp \
         && cp {1} {0}/m/usr/local/bin/glrl && exec chroot {0}/m /bin/bash",
        directory.path().display(),
        env!("CARGO_BIN_EXE_glrl")
    );
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &setup])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    {
        use std::io::Write;
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin
            .write_all(format!("{HELP}\n{script}\n").as_bytes())
            .expect("it reads");
    }
    let Output { stdout, stderr, .. } = child.wait_with_output().expect("it ends");
    format!(
        "{}{}",
        String::from_utf8_lossy(&stderr),
        String::from_utf8_lossy(&stdout)
    )
}
