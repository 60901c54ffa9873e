//! What a run does to the backups before it.

use std::{sync::Arc, thread::sleep, time::Duration};

use super::support::{Behaviour, Server, names};
use crate::backup::{Kind, Step, error::Error, list};

#[test]
#[ignore = "starts a real server as root"]
fn seven_failed_runs_push_out_none_of_seven_good_backups() {
    let server = Server::start();
    let mut settings = server.settings();
    settings.keep.last = 7;
    settings.lock.budget = Duration::from_secs(20);
    let mut good = Vec::new();
    for _ in 0..7 {
        good.push(server.backup(&settings, &Behaviour::default()).unwrap().id);
        // Ids are of whole seconds.
        sleep(Duration::from_secs(1));
    }
    let failing = Behaviour {
        fill: Arc::new(|| Err(Error::new(Kind::Snapshot, "the snapshot has lost contents"))),
        ..Behaviour::default()
    };
    let ids = || {
        list(&settings)
            .unwrap()
            .into_iter()
            .map(|backup| backup.id)
            .collect::<Vec<_>>()
    };
    let files = names(&settings.target.directory);
    for _ in 0..7 {
        assert_eq!(server.backup(&settings, &failing).unwrap_err().kind, Kind::Snapshot);
        sleep(Duration::from_secs(1));
    }
    assert_eq!(ids(), good);
    assert_eq!(names(&settings.target.directory), files);

    // A good one does, and says so.
    let mut told = Vec::new();
    let newest = server
        .backup_with(
            &settings,
            &Behaviour::default(),
            &crate::backup::Interrupt::default(),
            &mut |step| told.push(step),
        )
        .unwrap();
    let gone: Vec<_> = told
        .iter()
        .filter_map(|step| match step {
            Step::Judged { judged, .. } => Some((judged.id.clone(), judged.keep)),
            _ => None,
        })
        .collect();
    assert_eq!(gone, [(good[0].clone(), false)]);
    good.remove(0);
    good.push(newest.id);
    assert_eq!(ids(), good);
}
