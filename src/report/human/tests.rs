//! The same events in each verbosity, as snapshots: what a reader sees.

use std::fmt::Write as _;

use super::{super::Json, *};
use crate::{
    engine::event::{Summary, VERSION},
    resource::{Action, Change, Shown},
};

/// All that is said, without colour. Standard error is marked, line by line.
fn told(renderer: &mut dyn Renderer, events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let said = renderer.event(event);
        for line in said.err.lines() {
            let _ = writeln!(text, "2| {line}");
        }
        text += &said.out;
    }
    anstream::adapter::strip_str(&text).to_string()
}

fn started(command: &'static str) -> Event {
    Event::RunStarted {
        format: VERSION,
        run: "20261101T120000Z-1".to_owned(),
        command,
        glrl: "0.1.0",
        host: "mysql1".to_owned(),
        roles: vec!["mysql".to_owned()],
        resources: 15,
        at: "2026-11-01T12:00:00Z".to_owned(),
    }
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

const BEFORE: &str = "[mysqld]\nuser = mysql\ndatadir = /var/lib/mysql\ninnodb_buffer_pool_size = 128M\nlog_bin = binlog\n\
                      skip_name_resolve = 1\nmax_connections = 100\n";
const AFTER: &str = "[mysqld]\nuser = mysql\ndatadir = /var/lib/mysql\ninnodb_buffer_pool_size = 1G\nlog_bin = binlog\n\
                     skip_name_resolve = 1\nmax_connections = 100\nbinlog_expire_logs_seconds = 604800\n";

/// One of each thing that can be said.
#[expect(clippy::too_many_lines, reason = "a table")]
fn outcomes() -> Vec<(&'static str, Outcome, Vec<String>)> {
    let changed = |action, changes| Outcome::Changed {
        action,
        changes,
        operations: Vec::new(),
    };
    let script = (1..=40)
        .map(|n| format!("echo step {n}\n"))
        .collect::<Vec<_>>()
        .concat();
    vec![
        ("package:lvm2", Outcome::Unchanged, vec![]),
        (
            "volume_group:mysql",
            changed(
                Action::Create,
                vec![Change::new("devices", "/dev/vdb"), Change::new("extents", 2559)],
            ),
            vec![],
        ),
        (
            "logical_volume:mysql/data",
            changed(Action::Update, vec![Change::of("size", "8GiB", "10GiB")]),
            vec!["the volume group keeps 1.2GiB for snapshots, less than 20 % of the volume".to_owned()],
        ),
        (
            "template:/etc/mysql/conf.d/glrl.cnf",
            changed(
                Action::Update,
                vec![
                    Change::of(
                        "contents",
                        Shown::Text(BEFORE.to_owned()),
                        Shown::Text(AFTER.to_owned()),
                    ),
                    Change::of("mode", "0644", "0600"),
                    Change::of("owner", "root", "mysql"),
                ],
            ),
            vec![],
        ),
        (
            "file:/root/mysql_backup.sh",
            changed(
                Action::Create,
                vec![
                    Change::new("mode", "0700"),
                    Change::new("contents", Shown::Text(script)),
                ],
            ),
            vec![],
        ),
        (
            "file:/etc/mysql/logo.png",
            changed(
                Action::Update,
                vec![Change::of("contents", Shown::Binary(1024), Shown::Binary(4096))],
            ),
            vec![],
        ),
        (
            "file:/etc/motd",
            changed(
                Action::Remove,
                vec![Change::gone(
                    "contents",
                    Shown::Text("Welcome to \u{1b}[31mred\u{1b}[0m\nno newline".to_owned()),
                )],
            ),
            vec![],
        ),
        (
            "exec:initialise",
            changed(Action::Run, vec![Change::new("command", "mariadb-install-db")]),
            vec![],
        ),
        (
            "service:mariadb",
            Outcome::Unknown {
                after: id("package:mariadb-server"),
                wants: vec![Change::of("running", false, true), Change::new("enabled", true)],
            },
            vec![],
        ),
        ("service:cron", changed(Action::Restart, vec![]), vec![]),
        (
            "mount:/srv",
            Outcome::Unchanged,
            vec!["mounted with noatime, which /etc/fstab does not say".to_owned()],
        ),
        (
            "exec:load",
            Outcome::Skipped {
                because: "needs filesystem:/dev/vdc".to_owned(),
                cause: Some(id("filesystem:/dev/vdc")),
            },
            vec![],
        ),
        (
            "package:mysql-server",
            Outcome::Skipped {
                because: "its 'when' is false".to_owned(),
                cause: None,
            },
            vec![],
        ),
        (
            "package:mariadb-sever",
            Outcome::Failed {
                error: "installing packages: apt-get install mariadb-sever failed (exit status: 100): \
                        E: Unable to locate package mariadb-sever\nE: Sub-process returned an error code"
                    .to_owned(),
            },
            vec![],
        ),
        (
            "filesystem:/dev/vdc",
            Outcome::Refused {
                error: "/dev/vdc holds an ext4 filesystem labelled \"old\"; nothing was written to it".to_owned(),
                hint: "if it can go, wipe it yourself: wipefs --all /dev/vdc".to_owned(),
            },
            vec![],
        ),
    ]
}

const SUMMARY: Summary = Summary {
    unchanged: 2,
    changed: 8,
    unknown: 1,
    skipped: 2,
    failed: 1,
    refused: 1,
    partly: 0,
};

fn planned() -> impl Iterator<Item = Event> {
    outcomes()
        .into_iter()
        .enumerate()
        .map(|(n, (name, outcome, warnings))| Event::Planned {
            id: id(name),
            place: format!("roles/mysql.yml:{}:5", 12 + n),
            outcome,
            warnings,
        })
}

fn plan() -> Vec<Event> {
    let finished = Event::RunFinished {
        stopped: None,
        summary: SUMMARY,
        milliseconds: 31,
    };
    let remark = Event::Warning {
        id: id("volume_group:mysql"),
        message: "mysql has 1GiB for snapshots, less than the 2GiB that it is to leave".to_owned(),
    };
    let orphan = Event::Orphan {
        id: id("filesystem:/dev/mysql/old"),
        role: "mysql".to_owned(),
    };
    [started("plan")]
        .into_iter()
        .chain(planned())
        .chain([remark, orphan, finished])
        .collect()
}

fn converge() -> Vec<Event> {
    let mut events = vec![started("converge")];
    events.extend(planned());
    for (n, (name, outcome, warnings)) in outcomes().into_iter().enumerate() {
        let outcome = match outcome {
            Outcome::Unknown { .. } => Outcome::Changed {
                action: Action::Update,
                changes: vec![Change::of("running", false, true), Change::of("enabled", false, true)],
                operations: Vec::new(),
            },
            other => other,
        };
        if let Outcome::Changed { action, .. } = &outcome {
            events.push(Event::Applying {
                id: id(name),
                action: *action,
            });
        }
        if name == "file:/etc/motd" {
            events.push(Event::Drift {
                id: id(name),
                message: "contents: 2 lines were planned to go, there are 3 now".to_owned(),
            });
            events.push(Event::Waiting {
                id: Some(id(name)),
                message: "dpkg is locked by unattended-upgr (pid 4711), for at most 300 s".to_owned(),
            });
        }
        events.push(Event::Applied {
            id: id(name),
            place: format!("roles/mysql.yml:{}:5", 12 + n),
            outcome,
            warnings,
            milliseconds: 7 * 13_u64.pow(u32::try_from(n % 5).unwrap()),
        });
    }
    events.push(Event::RunFinished {
        stopped: None,
        summary: Summary {
            unknown: 0,
            changed: 9,
            ..SUMMARY
        },
        milliseconds: 12_345,
    });
    events
}

#[test]
fn a_plan_is_a_list() {
    insta::assert_snapshot!(told(&mut Human::new(Verbosity::Normal), &plan()));
}

#[test]
fn a_converge_is_a_story() {
    insta::assert_snapshot!(told(&mut Human::new(Verbosity::Normal), &converge()));
}

#[test]
fn verbose_says_all() {
    insta::assert_snapshot!("verbose_plan", told(&mut Human::new(Verbosity::Verbose), &plan()));
    insta::assert_snapshot!(
        "verbose_converge",
        told(&mut Human::new(Verbosity::Verbose), &converge())
    );
}

#[test]
fn quiet_says_what_went_wrong() {
    insta::assert_snapshot!("quiet_plan", told(&mut Human::new(Verbosity::Quiet), &plan()));
    insta::assert_snapshot!("quiet_converge", told(&mut Human::new(Verbosity::Quiet), &converge()));
}

#[test]
fn nothing_to_do_is_two_lines() {
    let summary = Summary {
        unchanged: 14,
        ..Summary::default()
    };
    let finished = Event::RunFinished {
        stopped: None,
        summary,
        milliseconds: 42,
    };
    let unchanged = Event::Planned {
        id: id("package:lvm2"),
        place: "roles/mysql.yml:12:5".to_owned(),
        outcome: Outcome::Unchanged,
        warnings: vec![],
    };
    let plan = [started("plan"), unchanged.clone(), finished.clone()];
    let converge = [started("converge"), unchanged, finished];
    insta::assert_snapshot!(
        told(&mut Human::new(Verbosity::Normal), &plan) + &told(&mut Human::new(Verbosity::Normal), &converge)
    );
}

#[test]
fn json_is_one_object_a_line() {
    let text = told(&mut Json, &plan());
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["event"].is_string(), "{line}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_failure_stays_on_its_line() {
    let failed = |id: Id, error: &str| Event::Applied {
        id,
        place: String::new(),
        outcome: Outcome::Failed {
            error: error.to_owned(),
        },
        warnings: vec![],
        milliseconds: 8,
    };
    let long = "there is no directory /nowhere: declare it, or need what brings it, ".repeat(3);
    let events = [
        failed(id("file:/nowhere/deep"), &long),
        failed(id("file:/nowhere/deep"), "short"),
        failed(id(&format!("file:/{}", "deep/".repeat(9))), &long),
    ];
    let lines = |columns| {
        let text = told(&mut Human::new(Verbosity::Normal).columns(columns), &events);
        text.lines().map(|line| line.chars().count()).collect::<Vec<_>>()
    };
    let eighty = lines(Some(80));
    assert!(eighty.iter().all(|length| *length <= 80), "{eighty:?}");
    assert_eq!(lines(Some(120))[0], 120, "all of the line is used");
    assert_eq!(eighty[1], lines(None)[1]);
}
