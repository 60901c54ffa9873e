//! Whether a unit that was started stays up: `systemctl start` of a service that never says that it is ready succeeds once there is a
//! process, which may end the next moment.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{field, last_words, systemctl};
use crate::{system::UnitVerb, value::UnitName};

/// How long such a service is watched: one that cannot work with its configuration ends within moments.
const WATCHED: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(200);

/// An error with its last words if the unit, just started or restarted, has ended.
pub(super) fn watch(name: &UnitName, verb: UnitVerb) -> Result<()> {
    let until = Instant::now() + WATCHED;
    // Not 0 for a unit that has come again and again, and was mended before this start.
    let mut restarts = None;
    loop {
        let shown = systemctl()
            .args([
                "show",
                "--property=Type,ActiveState,SubState,NRestarts",
                "--",
                name.as_str(),
            ])
            .stdout()?;
        let shown = String::from_utf8_lossy(&shown);
        let now = field(&shown, "NRestarts").map(str::to_owned);
        if has_ended(&shown, verb) || *restarts.get_or_insert_with(|| now.clone()) != now {
            bail!("{name} ended as soon as it was started:\n{}", last_words(name));
        }
        if says_when_ready(&shown) || Instant::now() >= until {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

/// Whether it is down. One that was restarted may be done: nobody said that it is to run.
fn has_ended(shown: &str, verb: UnitVerb) -> bool {
    let is = |name, value| field(shown, name) == Some(value);
    is("ActiveState", "failed")
        || is("ActiveState", "inactive") && verb == UnitVerb::Start
        || field(shown, "SubState").is_some_and(|state| state.starts_with("auto-restart"))
}

/// Whether `systemctl start` has waited for more than a process (systemd.service(5), `Type=`); what is no service has none.
fn says_when_ready(shown: &str) -> bool {
    !field(shown, "Type").is_some_and(|kind| ["simple", "exec", "idle"].contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_down_has_ended() {
        use UnitVerb::{Restart, Start};
        // `systemctl show` of systemd 252.
        for (shown, verb, ended) in [
            (
                "Type=simple\nNRestarts=0\nActiveState=active\nSubState=running\n",
                Start,
                false,
            ),
            (
                "Type=simple\nNRestarts=0\nActiveState=failed\nSubState=failed\n",
                Restart,
                true,
            ),
            (
                "Type=simple\nNRestarts=0\nActiveState=activating\nSubState=auto-restart\n",
                Restart,
                true,
            ),
            (
                "Type=simple\nNRestarts=3\nActiveState=active\nSubState=running\n",
                Start,
                false,
            ),
            (
                "Type=oneshot\nNRestarts=0\nActiveState=inactive\nSubState=dead\n",
                Start,
                true,
            ),
            (
                "Type=oneshot\nNRestarts=0\nActiveState=inactive\nSubState=dead\n",
                Restart,
                false,
            ),
            ("ActiveState=active\nSubState=waiting\n", Start, false),
        ] {
            assert_eq!(has_ended(shown, verb), ended, "{verb:?} {shown}");
        }
    }

    #[test]
    fn only_a_service_that_never_says_that_it_is_ready_is_watched() {
        assert!(!says_when_ready("Type=simple\n"));
        for shown in ["Type=notify\n", "Type=forking\n", "ActiveState=active\n"] {
            assert!(says_when_ready(shown), "{shown}");
        }
    }
}
