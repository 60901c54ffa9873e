//! Telling others: a command, a webhook, a ping URL, mail, and metrics for `node_exporter`. A notification never makes a run fail, and holds
//! it up no longer than its bound; one that was not delivered is a warning, is kept, and is tried again by the next run.

pub(crate) mod deliver;
pub(crate) mod event;
pub(crate) mod metrics;
pub(crate) mod outbox;
#[cfg(test)]
pub(crate) mod tests;

use std::time::{Duration, Instant};

use crate::{
    model::{
        notice::EventKind,
        step::{Report, Step},
    },
    operate::notify::{
        deliver::Receiver,
        event::Event,
        outbox::{Letter, Outbox, now, waiting},
    },
    settings::Settings,
};

/// How long what is left from earlier runs may hold up this one.
const CATCHING_UP: Duration = Duration::from_secs(30);

/// Tells all who want to know, once at least: two runs that end together may both deliver what an earlier one left. That a run has begun is no
/// news later, and is tried once.
pub(crate) fn tell(settings: &Settings, event: &Event, report: &mut Report<'_>) {
    let notify = &settings.notify;
    let wanted: Vec<_> = Receiver::ALL
        .into_iter()
        .filter(|receiver| receiver.wants(notify, event))
        .collect();
    if wanted.is_empty() && waiting(settings) == 0 {
        return;
    }
    let outbox = match Outbox::open(settings) {
        Ok(outbox) => Some(outbox),
        Err(error) => {
            warn(report, &format!("notifications that fail are not kept: {error:#}"));
            None
        }
    };
    let kept: Vec<_> = wanted
        .iter()
        .map(|receiver| {
            let letter = Letter {
                receiver: *receiver,
                event: event.clone(),
            };
            let put = |outbox: &Outbox| outbox.put(&letter);
            outbox
                .as_ref()
                .filter(|_| event.kind != EventKind::Start)
                .map(put)
                .and_then(Result::ok)
        })
        .collect();
    // All at once: one that hangs does not hold up the others.
    let told = std::thread::scope(|scope| {
        let tellers: Vec<_> = wanted
            .iter()
            .map(|receiver| scope.spawn(move || receiver.tell(notify, event)))
            .collect();
        let join = |teller: std::thread::ScopedJoinHandle<'_, _>| {
            teller.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")))
        };
        tellers.into_iter().map(join).collect::<Vec<_>>()
    });
    let mut deaf = Vec::new();
    for ((receiver, name), result) in wanted.iter().zip(kept).zip(told) {
        match (result, name) {
            (Ok(()), name) => {
                if let (Some(outbox), Some(name)) = (&outbox, name) {
                    let _ = outbox.remove(&name);
                }
            }
            (Err(error), name) => {
                deaf.push(*receiver);
                let later = if name.is_some() {
                    "; the next run tries again"
                } else {
                    ""
                };
                warn(report, &format!("{receiver} was not told: {error:#}{later}"));
            }
        }
    }
    if let Some(outbox) = outbox.filter(|_| event.kind != EventKind::Start) {
        catch_up(settings, &outbox, &deaf, report);
    }
}

/// Delivers what earlier runs could not, the newest first, to those who listened just now.
fn catch_up(settings: &Settings, outbox: &Outbox, deaf: &[Receiver], report: &mut Report<'_>) {
    let Some(_alone) = outbox.lock() else { return };
    let deadline = Instant::now() + CATCHING_UP;
    let mut deaf = deaf.to_vec();
    let letters = match outbox.letters(now()) {
        Ok((letters, dropped)) => {
            if dropped > 0 {
                warn(
                    report,
                    &format!("{dropped} notifications were never delivered, and are given up"),
                );
            }
            letters
        }
        Err(error) => return warn(report, &format!("{error:#}")),
    };
    for (name, letter) in letters {
        if deaf.contains(&letter.receiver) || Instant::now() > deadline {
            continue;
        }
        // One that nobody wants any more has been delivered too.
        let result = if letter.receiver.wants(&settings.notify, &letter.event) {
            letter.receiver.tell(&settings.notify, &letter.event)
        } else {
            Ok(())
        };
        if let Err(error) = result.and_then(|()| outbox.remove(&name)) {
            deaf.push(letter.receiver);
            warn(
                report,
                &format!("{} was not told of an earlier run: {error:#}", letter.receiver),
            );
        }
    }
}

fn warn(report: &mut Report<'_>, message: &str) {
    report(Step::Warning {
        message: message.to_owned(),
    });
}
