//! When a cron job runs.

use std::{fmt, str::FromStr};

use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;

use super::string_value;

/// The five fields of crontab(5), or one of its nicknames: `30 2 * * 1-5`, `@daily`, `@reboot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(String);

/// Nicknames and what they stand for (crontab(5)).
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Schedule {
    /// When it is due next after `now`, in `now`'s time zone; `None` for `@reboot`, and for a day that never comes.
    pub fn next(&self, now: &Zoned) -> Option<Zoned> {
        if self.0 == "@reboot" {
            return None;
        }
        parse(&self.0).ok()?.find_next_occurrence(now, false).ok()
    }

    /// The text, as it stands in a table.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A field's name, its least and its greatest number (crontab(5)); both 0 and 7 are Sunday.
const FIELDS: [(&str, u32, u32); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
];

/// Refuses numbers that a field does not have.
fn in_range(field: &str, (name, least, greatest): &(&str, u32, u32)) -> Result<(), String> {
    for element in field.split(',') {
        let (range, step) = element
            .split_once('/')
            .map_or((element, None), |(range, step)| (range, Some(step)));
        // Words are looked at elsewhere.
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.parse().unwrap_or(u32::MAX))
        };
        for bound in range.split('-') {
            if number(bound).is_some_and(|number| !(*least..=*greatest).contains(&number)) {
                return Err(format!("{name} {bound} is not in {least}-{greatest}"));
            }
        }
        if let Some((first, last)) = range.split_once('-')
            && number(first)
                .zip(number(last))
                .is_some_and(|(first, last)| first > last)
        {
            return Err(format!("{name} {range} ends before it begins"));
        }
        if step.and_then(number) == Some(0) {
            return Err(format!("{name} {element} steps by nothing"));
        }
    }
    Ok(())
}

/// croner knows more than cron does (`L`, `#`, `?`, seconds): what cron does not know is refused before.
fn parse(text: &str) -> Result<croner::Cron, String> {
    let text = NICKNAMES
        .iter()
        .find(|(name, _)| *name == text)
        .map_or(text, |(_, fields)| fields);
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [_, _, day, _, weekday] = fields.as_slice() else {
        return Err("write five fields: minute, hour, day, month, weekday".to_owned());
    };
    let names = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    for (number, field) in fields.iter().enumerate() {
        in_range(field, &FIELDS[number])?;
        let words = match number {
            3 => &names[..],
            4 => &days[..],
            _ => &[],
        };
        for part in field.split([',', '-', '/']) {
            let number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if !(number || part == "*" || words.iter().any(|word| word.eq_ignore_ascii_case(part))) {
                return Err(format!("'{field}' is not a field of crontab(5)"));
            }
        }
    }
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        // crontab(5): a day is due by either field, unless one of the two starts with `*`; then by both.
        .dom_and_dow(day.starts_with('*') || weekday.starts_with('*'))
        .build()
        .parse(text)
        .map_err(|error| error.to_string())
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text != "@reboot" {
            parse(&text).map_err(|why| format!("'{text}' is not a schedule: {why}"))?;
        }
        Ok(Self(text))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_value!(
    Schedule,
    "Five fields of crontab(5), or a nickname.",
    "^(@(reboot|yearly|annually|monthly|weekly|daily|midnight|hourly)|\\S+( +\\S+){4})$",
    ["30 2 * * *", "*/15 8-18 * * mon-fri", "@daily"]
);

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, now: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        let now: Zoned = now.parse().unwrap();
        let next = schedule.next(&now);
        next.map_or_else(|| "never".to_owned(), |next| next.strftime("%a %F %R").to_string())
    }

    #[test]
    fn a_number_out_of_range_is_named_with_its_field() {
        for (schedule, why) in [
            ("61 * * * *", "minute 61 is not in 0-59"),
            ("* 24 * * *", "hour 24 is not in 0-23"),
            ("* * 0 * *", "day 0 is not in 1-31"),
            ("* * 1-32 * *", "day 32 is not in 1-31"),
            ("* * * 1,13 *", "month 13 is not in 1-12"),
            ("* * * * 8", "weekday 8 is not in 0-7"),
            ("99999999999 * * * *", "minute 99999999999 is not in 0-59"),
            ("5-1 * * * *", "minute 5-1 ends before it begins"),
            ("*/0 * * * *", "minute */0 steps by nothing"),
        ] {
            let said = schedule.parse::<Schedule>().unwrap_err();
            assert_eq!(said, format!("'{schedule}' is not a schedule: {why}"));
        }
        for schedule in ["59 23 31 12 7", "0-59/5,7 */2 1-15 jan-mar sun"] {
            assert!(schedule.parse::<Schedule>().is_ok(), "{schedule}");
        }
    }

    #[test]
    fn the_next_run_is_crons() {
        let now = "2026-11-24T18:00:00+01:00[Europe/Berlin]";
        for (schedule, expected) in [
            ("30 2 * * *", "Wed 2026-11-25 02:30"),
            ("*/15 8-18 * * mon-fri", "Tue 2026-11-24 18:15"),
            ("0 0 1 * *", "Tue 2026-12-01 00:00"),
            // Either day is due …
            ("0 0 13 * 5", "Fri 2026-11-27 00:00"),
            // … but with a star in front both have to be: an odd day that is a Friday.
            ("0 0 */2 * 5", "Fri 2026-11-27 00:00"),
            ("0 0 2-30/2 * 7", "Thu 2026-11-26 00:00"),
            ("@daily", "Wed 2026-11-25 00:00"),
            ("@reboot", "never"),
            ("0 0 30 2 *", "never"),
        ] {
            assert_eq!(next(schedule, now), expected, "{schedule}");
        }
    }

    #[test]
    fn only_what_cron_knows_is_a_schedule() {
        for wrong in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "* * L * *",
            "* * ? * *",
            "* * * * 5#2",
            "@fortnightly",
            "mon * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "a b c d e",
            "1,,2 * * * *",
        ] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
        for right in [
            "0 4 * * SUN",
            "0,30 */2 1-7 jan,jul 0",
            "59 23 31 12 7",
            "@midnight",
            "  5   4 * *   * ",
        ] {
            assert!(right.parse::<Schedule>().is_ok(), "{right}");
        }
    }
}
