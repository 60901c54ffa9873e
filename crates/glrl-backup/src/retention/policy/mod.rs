//! What is kept, and why: a function of the policy and of what there is, and of nothing else.
//!
//! Verdicts come from another machine. They can only keep more: a corrupt backup takes nobody's place, and goes when it would have
//! gone without the verdict, never sooner; the newest that restores stays whatever the policy says. So nobody who can write verdicts can have a
//! backup deleted.

#[cfg(test)]
pub(crate) mod tests;

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::{
    model::{id::BackupId, judged::Judged},
    settings::keep::Keep,
};

/// A backup, as far as keeping it is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: BackupId,
    pub(crate) state: State,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not complete, and why. It counts for nothing, and is left for somebody to look at.
    Broken(String),
    /// Complete; the last verdict says that it does not restore.
    Corrupt,
    /// Complete, and nothing more is known.
    Complete,
    /// Complete, and the last verdict says that it restores.
    Verified,
}

/// A rule that wants the newest backup of each of the last so many units.
struct Rule {
    name: &'static str,
    left: u32,
    unit: fn(&BackupId, &Zoned) -> String,
    taken: Option<String>,
}

fn rules(keep: &Keep) -> [Rule; 4] {
    let rule = |name, left, unit| Rule {
        name,
        left,
        unit,
        taken: None,
    };
    [
        rule("last", keep.last, |id, _| id.time()),
        rule("daily", keep.daily, |_, time| time.date().to_string()),
        rule("weekly", keep.weekly, |_, time| {
            let week = time.date().iso_week_date();
            format!("{}-W{:02}", week.year(), week.week())
        }),
        rule("monthly", keep.monthly, |_, time| time.strftime("%Y-%m").to_string()),
    ]
}

impl Rule {
    /// Why this rule wants a backup, if it does. One that `counts` takes the place of others.
    fn wants(&mut self, id: &BackupId, time: &Zoned, counts: bool, is_oldest: bool) -> Option<String> {
        if self.left == 0 {
            return None;
        }
        let unit = (self.unit)(id, time);
        if self.taken.as_ref() == Some(&unit) {
            // As in restic: while a rule has room, history reaches back as far as it can.
            return is_oldest.then(|| format!("{} (the oldest)", self.name));
        }
        let why = match self.name {
            "last" => "last".to_owned(),
            name => format!("{name} {unit}"),
        };
        if counts {
            self.left -= 1;
            self.taken = Some(unit);
        }
        Some(why)
    }
}

/// Judges all backups of one instance. The result is in the order of age, the oldest first.
pub(crate) fn judge(keep: &Keep, zone: &TimeZone, backups: &[Candidate]) -> Vec<Judged> {
    let mut backups: Vec<&Candidate> = backups.iter().collect();
    backups.sort_by(|one, other| other.id.cmp(&one.id));
    let whole = || {
        let is_whole = |backup: &&&Candidate| !matches!(backup.state, State::Broken(_));
        backups.iter().filter(is_whole)
    };
    let good = || whole().filter(|backup| backup.state != State::Corrupt);
    let newest_verified = good()
        .find(|backup| backup.state == State::Verified)
        .map(|backup| &backup.id);
    let oldest = [whole().next_back(), good().next_back()].map(|backup| backup.map(|backup| &backup.id));
    // Where nothing is good, nothing is old.
    let young_from = keep.within.map(|time| {
        good().next().map_or(Timestamp::MIN, |newest| {
            newest.id.at().checked_sub(time.get()).unwrap_or(Timestamp::MIN)
        })
    });
    let mut rules = rules(keep);
    let mut judged: Vec<Judged> = backups
        .iter()
        .map(|backup| {
            let id = &backup.id;
            let mut reasons = Vec::new();
            if let State::Broken(why) = &backup.state {
                reasons.push(format!("broken, left alone: {why}"));
            } else {
                let time = id.at().to_zoned(zone.clone());
                let is_oldest = oldest.contains(&Some(id));
                let counts = backup.state != State::Corrupt;
                let wanted = rules
                    .iter_mut()
                    .filter_map(|rule| rule.wants(id, &time, counts, is_oldest));
                reasons.extend(wanted);
                if let (Some(from), Some(within)) = (young_from, keep.within)
                    && id.at() >= from
                {
                    reasons.push(format!("within {within}"));
                }
                if newest_verified == Some(id) {
                    reasons.push("newest verified".to_owned());
                }
            }
            if keep.is_empty() && reasons.is_empty() {
                reasons.push("no policy".to_owned());
            }
            let wanted = !reasons.is_empty();
            if !wanted {
                reasons.push(format!("outside of {keep}"));
            }
            if backup.state == State::Corrupt {
                reasons.push("corrupt, takes no place".to_owned());
            }
            Judged {
                id: id.clone(),
                keep: wanted,
                reasons,
            }
        })
        .collect();
    judged.reverse();
    judged
}
