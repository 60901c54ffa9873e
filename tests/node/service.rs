//! A service that dies as soon as it is started is a resource that fails, with the unit's last words.

use anyhow::{Result, ensure};
use glrl_lab::{Lab, NodeSpec};

use super::glrl::{install, said, write};

// What a unit says is put together when it runs: `systemctl status` shows the command, too.
const ROLE: &str = r#"
role: dying
vars:
  say: "echo there is no $(echo database) >&2"
resources:
  - file: { path: "/etc/systemd/system/${each.key}.service", content: "[Service]\n${each.value}\n" }
    for_each:
      dies: "ExecStart=/bin/sh -c '${vars.say}; exit 3'"
      dies-later: "ExecStart=/bin/sh -c 'sleep 0.3; ${vars.say}; exit 3'"
      comes-again: "Restart=always\nRestartSec=100ms\nExecStart=/bin/sh -c 'sleep 0.1; ${vars.say}; exit 3'"
      comes-later: "Restart=always\nRestartSec=2\nExecStart=/bin/sh -c '${vars.say}; exit 3'"
      ends: "ExecStart=/bin/true"
      stays: "ExecStart=/bin/sleep infinity"
      is-done: "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/echo done"
  - service: { name: "${each.value}", running: true }
    for_each: [dies, dies-later, comes-again, comes-later, ends, stays, is-done]
"#;

const HANGING: &str = r#"
role: hanging
resources:
  - file:
      path: /etc/systemd/system/never-ready.service
      content: "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n"
  - service: { name: never-ready, running: true }
    timeout: 5s
"#;

#[test]
fn a_service_that_dies_at_once_fails_with_its_last_words() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("node")])?;
    let node = &lab["node"];
    install(node)?;
    write(node, "/root/dying.yml", ROLE)?;
    let converge = said(node, "converge --role /root/dying.yml")?;
    ensure!(converge.status == 1, "converge ended with {}", converge.status);
    let dying = ["comes-again", "comes-later", "dies", "dies-later", "ends"].map(|name| format!("service:{name}"));
    let mut failed = converge.with("applied", "failed");
    failed.sort();
    ensure!(failed == dying, "failed: {failed:?}");
    let outcomes = converge.outcomes("applied");
    for id in dying.iter().filter(|id| !id.ends_with("ends")) {
        let error = outcomes[id]["error"].to_string();
        for part in ["ended as soon as it was started", "there is no database", "status=3"] {
            ensure!(error.contains(part), "{id} does not say {part}: {error}");
        }
    }
    node.run("systemctl is-active stays is-done")?;

    // Mended, they start, however often they have come again.
    write(
        node,
        "/root/dying.yml",
        &ROLE
            .replace("exit 3", "exec sleep infinity")
            .replace("/bin/true", "/bin/sleep infinity"),
    )?;
    let converge = said(node, "converge --role /root/dying.yml")?;
    ensure!(converge.status == 0, "converge ended with {}", converge.status);
    node.run("systemctl is-active comes-again comes-later dies dies-later ends stays")?;

    // The role says how long a start may take, whatever the unit says; that systemd goes on with it is told.
    write(node, "/root/hanging.yml", HANGING)?;
    let converge = said(node, "converge --role /root/hanging.yml")?;
    ensure!(converge.status == 1, "converge ended with {}", converge.status);
    let error = converge.outcomes("applied")["service:never-ready"]["error"].to_string();
    for part in ["took longer than 5 s", "systemd goes on with it"] {
        ensure!(error.contains(part), "never-ready does not say {part}: {error}");
    }
    Ok(())
}
