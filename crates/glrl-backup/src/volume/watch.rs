//! Watching a snapshot fill up while it is copied. LVM by itself does nothing about it (`snapshot_autoextend_threshold` is off by
//! default, lvm.conf(5)), and a snapshot that has run out gives read errors.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

use crate::{
    model::{
        error::{Error, Kind, Result},
        step::Step,
    },
    volume::Snapshot,
};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The fill, in percent, at which it is given more room.
const GROW: f64 = 70.0;
/// The fill, in percent, at which the run gives up, before the snapshot does.
const TOO_FULL: f64 = 95.0;

/// Looks at the snapshot until the other end of `done` is closed, and tells what it does about it, an error being the end. A look that fails
/// is no end: LVM may be held up by others, and the last look, when all is copied, decides. Returns the highest fill it saw.
pub(crate) fn watch(snapshot: &dyn Snapshot, done: &Receiver<()>, tell: &Sender<Result<Step>>) -> f64 {
    let mut fullest: f64 = 0.0;
    let mut warned = false;
    while done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        match look(snapshot, &mut fullest) {
            Ok(None) => {}
            Ok(Some(step)) => drop(tell.send(Ok(step))),
            Err(error) if error.kind == Kind::Snapshot => {
                let _ = tell.send(Err(error));
                break;
            }
            Err(_) if std::mem::replace(&mut warned, true) => {}
            Err(error) => {
                let message = format!("how full the snapshot is was not seen, and is asked again: {error:#}");
                let _ = tell.send(Ok(Step::Warning { message }));
            }
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
    use std::{
        cell::Cell,
        path::PathBuf,
        sync::{Mutex, mpsc::channel},
    };

    use super::*;
    use crate::model::manifest;

    /// A snapshot of which looks say this one after the other, the last one again and again, with room for so many more bytes.
    struct Filling(Mutex<Vec<Result<f64>>>, Mutex<Cell<Option<u64>>>);

    impl Snapshot for Filling {
        fn take(&mut self) -> Result<()> {
            Ok(())
        }

        fn open(&mut self) -> Result<PathBuf> {
            Ok(PathBuf::new())
        }

        fn fill(&self) -> Result<f64> {
            let mut looks = self.0.lock().unwrap();
            match looks.as_slice() {
                [Ok(last)] => Ok(*last),
                _ => looks.remove(0),
            }
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
        let filling = |fill, room| Filling(Mutex::new(vec![Ok(fill)]), Mutex::new(Cell::new(room)));
        let mut fullest = 0.0;
        assert_eq!(look(&filling(69.0, Some(1)), &mut fullest).unwrap(), None);
        let grown = Step::Grown { fill: 96.0, bytes: 7 };
        assert_eq!(look(&filling(96.0, Some(7)), &mut fullest).unwrap(), Some(grown));
        assert_eq!(look(&filling(94.0, None), &mut fullest).unwrap(), None);
        let error = look(&filling(95.0, None), &mut fullest).unwrap_err();
        assert_eq!(error.kind, Kind::Snapshot);
        assert!((fullest - 96.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_look_that_fails_is_not_the_end() {
        let failed = || Err(Error::new(Kind::Failed, "lvs took longer than 60 s"));
        let looks = vec![failed(), failed(), Ok(80.0), Ok(96.0)];
        let snapshot = Filling(Mutex::new(looks), Mutex::default());
        let (_done, until_done) = channel();
        let (tell, told) = channel();
        assert!((watch(&snapshot, &until_done, &tell) - 96.0).abs() < f64::EPSILON);
        let told: Vec<_> = told.try_iter().collect();
        assert!(
            matches!(told.as_slice(), [Ok(Step::Warning { .. }), Err(_)]),
            "{told:?}"
        );
    }
}
