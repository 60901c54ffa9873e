//! Two servers under one instance, on one target, each with a state directory of its own: neither gets, deletes or judges what is the other's.

use std::{fs, sync::Arc, thread::sleep, time::Duration};

use crate::{
    model::{error::Kind, id::BackupId, interrupt::Interrupt, step::Step},
    operate::{
        job::{archive_binlogs, prune, verify},
        status::{Health, status},
    },
    restore::{Destination, Request, restore, until::Until},
    settings::Settings,
    store::list::list,
    tests::{
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server, names},
    },
};

on_both_flavours!(
    neither_of_two_servers_gets_what_is_the_others,
    what_another_is_writing_is_left_alone,
    logs_of_another_server_are_neither_replayed_nor_deleted,
    a_machine_of_the_same_name_is_another,
);

/// A server that another one takes for itself.
struct Site {
    server: Server,
    settings: Settings,
    /// The only schema that it has.
    schema: &'static str,
    made: Vec<BackupId>,
}

impl Site {
    fn new(on: &Programs, schema: &'static str, target: Option<&Site>) -> Self {
        let server = Server::start(on);
        server.execute(&[
            &format!("CREATE DATABASE {schema}"),
            &format!("CREATE TABLE {schema}.t (id INT PRIMARY KEY)"),
        ]);
        let mut settings = server.settings();
        settings.lock.budget = Duration::from_secs(20);
        settings.keep.last = 1;
        if let Some(other) = target {
            settings.target.directory = other.settings.target.directory.clone();
        }
        Self {
            server,
            settings,
            schema,
            made: Vec::new(),
        }
    }

    fn run(&mut self) {
        let made = self.server.backup(&self.settings, &Behaviour::default()).unwrap();
        self.made.push(made.id);
        // Ids are of whole seconds.
        sleep(Duration::from_millis(1100));
    }

    fn ids(&self) -> Vec<BackupId> {
        list(&self.settings)
            .unwrap()
            .into_iter()
            .map(|backup| backup.id)
            .collect()
    }

    fn restore(&self, id: Option<&BackupId>, until: Option<Until>) -> crate::model::error::Result<Vec<String>> {
        let to = self.server.directory.path().join("restored");
        let request = Request {
            id: id.cloned(),
            to: Destination::Directory(to.clone()),
            until,
        };
        let restored = restore(&self.settings, &request, &Interrupt::default(), &mut |_| {})?;
        let found = names(&restored.datadir);
        fs::remove_dir_all(to).unwrap();
        Ok(found)
    }

    /// What this node says of itself, while the other makes backups too.
    fn sees(&self, other: &Self) {
        let newest = self.made.last().unwrap();
        let status = status(&self.settings).unwrap();
        assert_eq!(
            status.newest.as_ref().map(|newest| &newest.id),
            Some(newest),
            "{status:#?}"
        );
        let said = |part: &str| status.problems.iter().any(|problem| problem.message.contains(part));
        assert_ne!(status.health, Health::Ok, "{status:#?}");
        assert!(said("is of another server") && said("'instance: "), "{status:#?}");
        for backup in list(&self.settings).unwrap() {
            assert_eq!(
                backup.other_server.is_some(),
                other.made.contains(&backup.id),
                "{backup:#?}"
            );
        }
        let before = self.ids();
        let refused = prune(&self.settings, false, &Interrupt::default(), &mut |_| {}).unwrap_err();
        assert_eq!(refused.kind, Kind::Refused, "{refused:?}");
        assert_eq!(self.ids(), before);
        let verdict = verify(&self.settings, None, &Interrupt::default(), &mut |_| {}).unwrap();
        assert_eq!(verdict.id.as_ref(), Some(newest), "{verdict:#?}");
        let refused = self.restore(None, None).unwrap_err();
        assert_eq!(refused.kind, Kind::Refused, "{refused:?}");
        for id in [newest, other.made.last().unwrap()] {
            assert!(refused.to_string().contains(&format!("--backup {id}")), "{refused}");
        }
        let found = self.restore(Some(newest), None).unwrap();
        assert!(found.iter().any(|name| name == self.schema), "{found:?}");
    }
}

fn neither_of_two_servers_gets_what_is_the_others(on: &Programs) {
    let mut a = Site::new(on, "a_db", None);
    let mut b = Site::new(on, "b_db", Some(&a));
    a.run();
    assert!(a.restore(None, None).unwrap().iter().any(|name| name == "a_db"));
    b.run();
    a.sees(&b);
    b.sees(&a);
    a.run();
    a.sees(&b);
    b.sees(&a);
    // Twice in a row: the other may be gone, and nothing of its is deleted for that.
    b.run();
    b.run();
    a.sees(&b);
    for id in &a.made {
        assert!(a.ids().contains(id), "{:?}", a.ids());
    }
    // A node that makes none does not guess.
    let mut third = a.settings.clone();
    third.state_directory = b
        .server
        .directory
        .path()
        .join("third")
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    a.run();
    let verdict = verify(&third, None, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(verdict.id, None, "{verdict:#?}");
    assert!(verdict.why().unwrap().contains("of several servers"), "{verdict:#?}");
    let named = verify(&third, a.made.last(), &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(named.id.as_ref(), a.made.last(), "{named:#?}");
}

fn what_another_is_writing_is_left_alone(on: &Programs) {
    let mut a = Site::new(on, "a_db", None);
    let b = Site::new(on, "b_db", Some(&a));
    let (other, behaviour) = (b.settings.clone(), Behaviour::default());
    let target = a.settings.target.directory.clone();
    let ran = Arc::new(std::sync::Mutex::new(Vec::new()));
    // While A copies, B runs from beginning to end.
    let while_copying = Behaviour {
        fill: Arc::new({
            let (ran, target) = (ran.clone(), target.clone());
            move || {
                let mut ran = ran.lock().unwrap();
                if ran.is_empty() {
                    sleep(Duration::from_millis(1100));
                    let before = names(&target);
                    assert!(before.iter().any(|name| name.ends_with(".partial")), "{before:?}");
                    b.server.backup(&other, &behaviour).unwrap();
                    let after = names(&target);
                    assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
                    ran.extend(after);
                }
                Ok(1.5)
            }
        }),
        ..Behaviour::default()
    };
    let made = a.server.backup(&a.settings, &while_copying).unwrap();
    assert!(!ran.lock().unwrap().is_empty());
    a.made.push(made.id);
    assert_eq!(a.ids().len(), 2);
    assert!(names(&target).iter().all(|name| !name.ends_with(".partial")));
}

fn logs_of_another_server_are_neither_replayed_nor_deleted(on: &Programs) {
    let mut a = Site::new(on, "a_db", None);
    let mut b = Site::new(on, "b_db", Some(&a));
    let archive = |site: &Site| {
        archive_binlogs(&site.settings, &Interrupt::default(), &mut |_| {})
            .unwrap()
            .logs
    };
    a.run();
    a.server.execute(&["INSERT INTO a_db.t VALUES (1)"]);
    let of_a = archive(&a);
    b.run();
    b.server.execute(&["INSERT INTO b_db.t VALUES (1)"]);
    let of_b = archive(&b);
    assert!(!of_a.is_empty() && !of_b.is_empty());
    a.server
        .execute(&["INSERT INTO a_db.t VALUES (2)", "FLUSH BINARY LOGS"]);
    let more_of_a = archive(&a);
    let directory = a.settings.target.directory.join("mysql-test.binlogs");
    for (site, logs) in [(&a, [&of_a[..], &more_of_a].concat()), (&b, of_b.clone())] {
        let mut warnings = Vec::new();
        let request = Request {
            id: site.made.last().cloned(),
            to: Destination::Directory(site.server.directory.path().join("restored")),
            until: Some(Until::End),
        };
        let restored = restore(&site.settings, &request, &Interrupt::default(), &mut |step| {
            if let Step::Warning { message } = step {
                warnings.push(message);
            }
        })
        .unwrap();
        assert_eq!(restored.replayed.unwrap().logs, logs.len(), "{logs:?} {warnings:?}");
        let copy = site.server.start_copy(&restored.datadir);
        assert_eq!(copy.count(&format!("{}.t", site.schema)), logs.len() as u64);
    }
    // B is alone lately, and prunes.
    b.run();
    b.run();
    let _ = prune(&b.settings, false, &Interrupt::default(), &mut |_| {});
    for name in of_a.iter().chain(&more_of_a) {
        assert!(directory.join(format!("{name}.json")).exists(), "{name}");
    }
}

/// As a clone, or where both are called `mysql`: the node that verifies does not share the database's fate for that.
fn a_machine_of_the_same_name_is_another(on: &Programs) {
    let mut site = Site::new(on, "a_db", None);
    site.run();
    let verdict = |site: &Site| verify(&site.settings, None, &Interrupt::default(), &mut |_| {}).unwrap();
    let shared = site.server.directory.path().join("verdicts");
    fs::create_dir(&shared).unwrap();
    site.settings.verify.verdicts = Some(shared.to_str().unwrap().parse().unwrap());
    assert!(verdict(&site).on_database_node);
    assert_eq!(names(&shared), Vec::<String>::new());
    let id = site.made.last().unwrap();
    let path = site.settings.target.directory.join(format!("{id}.json"));
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["machine"] = "0123456789abcdef".into();
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let other = verdict(&site);
    assert!(!other.on_database_node, "{other:#?}");
    assert!(
        other.checks[0].detail.contains("another machine of the same name"),
        "{other:#?}"
    );
    assert_eq!(names(&shared), [format!("{id}.json")]);
}
