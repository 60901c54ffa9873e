//! glrl on a node of the lab, and what it says as data.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use glrl_lab::{Node, Output, Release};
use serde_json::Value;

/// The backup role, on the disk that every node of the lab has.
pub(super) const BACKUP: &str = "backup --set data_device=/dev/disk/by-id/virtio-data";
/// The mysql role; where nothing is virtualised, taking a snapshot alone is longer than the default budget, and a backup server that is being
/// made at the same time later than the default wait.
pub(super) const MYSQL: &str =
    "mysql --set data_device=/dev/disk/by-id/virtio-data --set lock_budget=90s --set backup_wait=20m";
/// The verify role, which waits as long.
pub(super) const VERIFY: &str = "verify --set backup_wait=20m";
/// What the roles install of a database on a release.
#[derive(Debug, Clone, Copy)]
pub(super) struct Database {
    pub(super) release: Release,
    /// The unit of its service.
    pub(super) service: &'static str,
    /// Its server's program.
    pub(super) program: &'static str,
    /// The settings that role mysql writes.
    pub(super) settings: &'static str,
}

pub(super) const MARIADB_ON_DEBIAN: Database = Database {
    release: Release::Bookworm,
    service: "mariadb",
    program: "mariadbd",
    settings: "/etc/mysql/mariadb.conf.d/60-glrl.cnf",
};
pub(super) const MYSQL_ON_UBUNTU: Database = Database {
    release: Release::Noble,
    service: "mysql",
    program: "mysqld",
    settings: "/etc/mysql/mysql.conf.d/zz-glrl.cnf",
};

/// The server is confined where its release does that: `AppArmor` on Ubuntu.
pub(super) fn confined(node: &Node, Database { release, program, .. }: Database) -> Result<()> {
    if release == Release::Noble {
        node.run(&format!("aa-status | grep --quiet '^   /usr/sbin/{program} ([0-9]*)'"))
            .context("the server is not confined as it is on Ubuntu")?;
    }
    Ok(())
}

/// Brings the packages of storage to a node beforehand, where a test is not about packages.
pub(super) const PREPARED: &str =
    "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y lvm2 xfsprogs nfs-kernel-server";
/// Longer than a converge takes on a busy machine without virtualisation.
pub(super) const LIMIT: Duration = Duration::from_mins(25);

/// The binary under test: the one that `make` has built, else cargo's.
fn binary() -> PathBuf {
    std::env::var_os("GLRL_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_glrl")), PathBuf::from)
}

/// Puts glrl where the provisioner puts it.
pub(super) fn install(node: &Node) -> Result<()> {
    node.put(&binary(), "/usr/local/bin/glrl")
}

/// Writes a file on the node.
pub(super) fn write(node: &Node, path: &str, text: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    node.put(file.path(), path)
}

/// Runs glrl and says how it ended.
pub(super) fn glrl(node: &Node, arguments: &str) -> Result<Output> {
    let output = node.ssh_within(&format!("glrl {arguments}"), LIMIT)?;
    println!("{}# glrl {arguments}\n{}{}", node.name(), output.stdout, output.stderr);
    Ok(output)
}

/// A plan or a converge, by what it says in JSON.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: i32,
    events: Vec<Value>,
}

/// Runs `plan` or `converge` with `--json`.
pub(super) fn said(node: &Node, arguments: &str) -> Result<Said> {
    let output = node.ssh_within(&format!("glrl {arguments} --json"), LIMIT)?;
    let said = Said::parse(&output).with_context(|| format!("reading what glrl {arguments} says"))?;
    println!(
        "{}# glrl {arguments}: {}: {:?}",
        node.name(),
        said.status,
        said.summary()
    );
    for event in said
        .events
        .iter()
        .filter(|event| event["outcome"] == "failed" || event["outcome"] == "refused")
    {
        println!("{event}");
    }
    Ok(said)
}

impl Said {
    /// What was said with `--json`.
    pub(super) fn parse(output: &Output) -> Result<Self> {
        let events: Vec<Value> = output
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("it said {line}")))
            .collect::<Result<_>>()?;
        ensure!(!events.is_empty(), "it said nothing: {}", output.stderr);
        Ok(Self {
            status: output.status,
            events,
        })
    }

    /// Outcomes by resource, of the dry run (`planned`) or of the real one (`applied`).
    pub(super) fn outcomes(&self, event: &str) -> BTreeMap<String, Value> {
        let of = self.events.iter().filter(|one| one["event"] == event);
        of.map(|one| (one["id"].as_str().unwrap_or_default().to_owned(), one.clone()))
            .collect()
    }

    /// The resources with this outcome.
    pub(super) fn with(&self, event: &str, outcome: &str) -> Vec<String> {
        let of = self
            .events
            .iter()
            .filter(|one| one["event"] == event && one["outcome"] == outcome);
        of.filter_map(|one| one["id"].as_str()).map(str::to_owned).collect()
    }

    /// What turned out otherwise than planned.
    pub(super) fn drift(&self) -> Vec<&Value> {
        self.events.iter().filter(|one| one["event"] == "drift").collect()
    }

    fn summary(&self) -> Option<&Value> {
        self.events.iter().find(|one| one["event"] == "run_finished")
    }
}

/// The laws of a plan and the converge that followed it: every resource that changed was named, nothing else changed, and nothing that
/// was shown as known turned out otherwise.
pub(super) fn plan_is_what_happened(plan: &Said, converge: &Said) -> Result<()> {
    ensure!(converge.drift().is_empty(), "drift: {:?}", converge.drift());
    let (planned, applied) = (plan.outcomes("planned"), converge.outcomes("applied"));
    ensure!(
        planned.keys().eq(applied.keys()),
        "other resources: {:?} and {:?}",
        planned.keys(),
        applied.keys()
    );
    for (id, before) in &planned {
        let after = &applied[id];
        match before["outcome"].as_str() {
            Some("unknown") => {}
            Some("changed") => {
                for part in ["outcome", "action", "changes"] {
                    ensure!(
                        before[part] == after[part],
                        "{id} was planned {before} and became {after}"
                    );
                }
            }
            _ => ensure!(
                before["outcome"] == after["outcome"],
                "{id} was planned {before} and became {after}"
            ),
        }
    }
    Ok(())
}

/// Converges and asserts that nothing was left to do.
pub(super) fn nothing_left(node: &Node, role: &str) -> Result<()> {
    let again = said(node, &format!("converge --role {role} --detailed-exitcode"))?;
    ensure!(again.status == 0, "the second run ended with {}", again.status);
    ensure!(
        again.with("applied", "changed").is_empty(),
        "it changed {:?}",
        again.with("applied", "changed")
    );
    Ok(())
}
