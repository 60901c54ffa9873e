//! A secret in the environment of a job, with cron(8) itself: the job has it, and nobody else can see it.

use std::{fs, process::Command};

const ROLE: &str = "role: jobs\ninputs: { token: { type: string, secret: true } }\nresources:\n  \
    - cron: { name: a-b, schedule: '* * * * *', command: 'env > /run/a; sleep 20', env: { TOKEN: '${inputs.token}', OPEN: \"it's 100%\" } }\n  \
    - cron: { name: own, schedule: '* * * * *', in: cron.d, command: 'env > /run/b; sleep 20', env: { TOKEN: '${inputs.token}' } }\n";

/// In namespaces of its own, where nothing of this machine's cron is to be seen.
const SCRIPT: &str = r#"
set -e
mount --make-rprivate /
for directory in /var/spool/cron /etc/cron.d /run /var/lib/glrl; do
    mkdir -p $directory
    mount -t tmpfs -o mode=0755 none $directory
done
mkdir -m 1730 /var/spool/cron/crontabs
chgrp crontab /var/spool/cron/crontabs
"$1" converge --role "$2" >&2
stat -c 'mode %a %n' /etc/cron.d/own /var/spool/cron/crontabs/root
cron -f > /run/log 2>&1 &
cron=$!
for second in $(seq 75); do
    sleep 1
    if [ -s /run/a ] && [ -s /run/b ]; then break; fi
done
sleep 1
ps axww -o args | sed 's/^/ps /'
sed 's/^/a /' /run/a
sed 's/^/b /' /run/b
kill $cron
"#;

/// Attack 25.
#[test]
#[ignore = "waits for a minute of cron's: make test-long"]
fn a_job_has_its_secret_and_nobody_else() {
    let token = r"hunter2's 50% \swordfish";
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("jobs.yml"), ROLE).unwrap();
    fs::write(site.path().join("script"), SCRIPT).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "sh"])
        .args([
            site.path().join("script"),
            env!("CARGO_BIN_EXE_glrl").into(),
            site.path().join("jobs.yml"),
        ])
        .env("GLRL_VAR_token", token)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for line in [
        "mode 600 /etc/cron.d/own",
        "mode 600 /var/spool/cron/crontabs/root",
        &format!("a TOKEN={token}"),
        "a OPEN=it's 100%",
        &format!("b TOKEN={token}"),
    ] {
        assert!(said.lines().any(|other| other == line), "no '{line}' in {said}");
    }
    let programs = said.lines().filter(|line| line.starts_with("ps "));
    assert!(programs.clone().any(|line| line.contains("env > /run/a")), "{said}");
    assert!(
        !programs
            .clone()
            .any(|line| line.contains("hunter2") || line.contains("sword")),
        "{said}"
    );
}
