//! Watching a snapshot fill up while it is copied. LVM by itself does nothing about it (`snapshot_autoextend_threshold` is off by
//! default, lvm.conf(5)), and a snapshot that has run out gives read errors.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

use super::{
    error::{Error, Kind, Result},
    step::Step,
    volume::Snapshot,
};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The fill, in percent, at which it is given more room.
const GROW: f64 = 70.0;
/// The fill, in percent, at which the run gives up, before the snapshot does.
const TOO_FULL: f64 = 95.0;

/// Looks at the snapshot until the other end of `done` is closed, and tells what it does about it, an error being the end. Returns the
/// highest fill it saw.
pub(super) fn watch(snapshot: &dyn Snapshot, done: &Receiver<()>, tell: &Sender<Result<Step>>) -> f64 {
    let mut fullest: f64 = 0.0;
    while done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let told = look(snapshot, &mut fullest).transpose();
        let ended = matches!(told, Some(Err(_)));
        if let Some(told) = told {
            let _ = tell.send(told);
        }
        if ended {
            break;
        }
    }
    fullest
}

fn look(snapshot: &dyn Snapshot, fullest: &mut f64) -> Result<Option<Step>> {
    let fill = snapshot.fill()?;
    *fullest = fullest.max(fill);
    if fill >= GROW
        && let Some(bytes) = snapshot.grow()?
    {
        return Ok(Some(Step::Grown { fill, bytes }));
    }
    if fill >= TOO_FULL {
        return Err(Error::new(
            Kind::Snapshot,
            format!("the snapshot is {fill} % full and was given up before it lost contents: make it larger"),
        ));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, path::PathBuf, sync::Mutex};

    use super::*;
    use crate::backup::manifest;

    /// A snapshot this full, with room for so many more bytes.
    struct Filling(f64, Mutex<Cell<Option<u64>>>);

    impl Snapshot for Filling {
        fn take(&mut self) -> Result<()> {
            Ok(())
        }

        fn open(&mut self) -> Result<PathBuf> {
            Ok(PathBuf::new())
        }

        fn fill(&self) -> Result<f64> {
            Ok(self.0)
        }

        fn grow(&self) -> Result<Option<u64>> {
            Ok(self.1.lock().unwrap().take())
        }

        fn record(&self) -> manifest::Snapshot {
            manifest::Snapshot {
                name: String::new(),
                bytes: 0,
                fill_percent: 0.0,
            }
        }

        fn remove(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_snapshot_grows_while_it_can_and_is_given_up_when_it_cannot() {
        let filling = |fill, room| Filling(fill, Mutex::new(Cell::new(room)));
        let mut fullest = 0.0;
        assert_eq!(look(&filling(69.0, Some(1)), &mut fullest).unwrap(), None);
        let grown = Step::Grown { fill: 96.0, bytes: 7 };
        assert_eq!(look(&filling(96.0, Some(7)), &mut fullest).unwrap(), Some(grown));
        assert_eq!(look(&filling(94.0, None), &mut fullest).unwrap(), None);
        let error = look(&filling(95.0, None), &mut fullest).unwrap_err();
        assert_eq!(error.kind, Kind::Snapshot);
        assert!((fullest - 96.0).abs() < f64::EPSILON);
    }
}
