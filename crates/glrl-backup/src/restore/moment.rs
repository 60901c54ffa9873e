//! A point in time as somebody writes it. It is the one that is written, to the second, or it is refused: nothing of the text is passed over, and
//! what can mean two moments, or none, is answered with what to write instead.
//!
//! Taken is RFC 3339 with its local forms of ISO 8601 (`T` or a space, also without separators), with an offset, with a time zone in brackets
//! (RFC 9557), or with neither, which is in this machine's zone.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, ISOWeekDate, Time},
    tz::{AmbiguousOffset, Offset, TimeZone},
};

/// What is left of a text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i16> {
        let digits = self
            .0
            .get(..count)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        self.0 = &self.0[count..];
        digits.parse().ok()
    }

    /// Takes one of these characters.
    fn one_of(&mut self, wanted: &str) -> Option<char> {
        let first = self.0.chars().next().filter(|first| wanted.contains(*first))?;
        self.0 = &self.0[first.len_utf8()..];
        Some(first)
    }

    /// Takes all digits that come.
    fn all_digits(&mut self) -> &'a str {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits
    }
}

/// Reads a moment; `here` is the zone of one that names none.
pub(crate) fn parse(text: &str, here: &TimeZone) -> Result<Timestamp, String> {
    let (front, zone) = zone(text)?;
    let mut rest = Rest(front);
    let date = date(&mut rest, text)?;
    rest.one_of("Tt ").ok_or_else(|| no_moment(text))?;
    let civil = time(&mut rest, date, text)?;
    let offset = offset(&mut rest, text)?;
    if !rest.0.is_empty() {
        return Err(behind(text, front, rest.0, civil));
    }
    match (offset, zone) {
        (None, zone) => local(civil, zone.as_ref().unwrap_or(here), text),
        // Known to the second whatever the zone is (RFC 9557, 2.2).
        (Some(At::Utc), _) => instant(civil, Offset::UTC, text),
        (Some(At::Offset(offset)), None) => instant(civil, offset, text),
        (Some(At::Offset(offset)), Some(zone)) => {
            let moment = instant(civil, offset, text)?;
            let of_zone = zone.to_offset(moment);
            if of_zone == offset {
                return Ok(moment);
            }
            Err(format!(
                "'{text}' names two moments: the offset of that zone is {} then; write {} or {}",
                written(of_zone),
                stamp(civil, offset),
                stamp(civil, of_zone)
            ))
        }
    }
}

/// Says that a text is no moment, and what one is.
pub(crate) fn no_moment(text: &str) -> String {
    format!(
        "'{text}' is no moment: write a GTID (0-1-123, UUID:123), a time (2026-11-01T03:15:00Z, 2026-11-01T03:15:00+01:00, \
         '2026-11-01T03:15:00[Europe/Paris]', or '2026-11-01 03:15:00' in this machine's time zone), or end"
    )
}

/// Where from UTC.
enum At {
    /// It is written in UTC, or where it was written is not known (`-00:00`).
    Utc,
    Offset(Offset),
}

/// Takes the zone off the end of a text.
fn zone(text: &str) -> Result<(&str, Option<TimeZone>), String> {
    let Some(inner) = text.strip_suffix(']') else {
        return Ok((text, None));
    };
    let (front, name) = inner.split_once('[').ok_or_else(|| no_moment(text))?;
    let plain = name.strip_prefix('!').unwrap_or(name);
    if plain.contains(['[', ']', '=']) {
        return Err(format!(
            "'{text}': of what stands in brackets only a time zone is taken: leave the rest out"
        ));
    }
    if plain.starts_with(['+', '-']) {
        let mut rest = Rest(plain);
        return match offset(&mut rest, text)? {
            Some(At::Offset(offset)) if rest.0.is_empty() => Ok((front, Some(TimeZone::fixed(offset)))),
            Some(At::Utc) if rest.0.is_empty() => Ok((front, Some(TimeZone::UTC))),
            _ => Err(no_moment(text)),
        };
    }
    // Those of the database that count leap seconds, and copies of this machine's own.
    let odd = [
        "right/",
        "posix/",
        "localtime",
        "posixrules",
        "Factory",
        "local",
        "unknown",
    ];
    let known = TimeZone::get(plain).ok();
    match known.filter(|_| {
        !odd.iter()
            .any(|odd| plain.to_lowercase().starts_with(&odd.to_lowercase()))
    }) {
        Some(zone) => Ok((front, Some(zone))),
        None => Err(format!(
            "'{plain}' is no time zone that this machine knows (package tzdata): write its offset, as in 2026-11-01T03:15:00+01:00"
        )),
    }
}

fn date(rest: &mut Rest<'_>, text: &str) -> Result<Date, String> {
    let wrong = || no_moment(text);
    let year = rest.digits(4).ok_or_else(wrong)?;
    let extended = rest.one_of("-").is_some();
    if rest.one_of("Ww").is_some() {
        let week = rest.digits(2).ok_or_else(wrong)?;
        rest.one_of("-");
        let day = rest.digits(1).ok_or_else(wrong)?;
        let weekday = jiff::civil::Weekday::from_monday_one_offset(day.try_into().map_err(|_| wrong())?);
        let week = i8::try_from(week).map_err(|_| wrong())?;
        let date = weekday.and_then(|weekday| ISOWeekDate::new(year, week, weekday));
        let date = date.map_err(|_| wrong())?.date();
        return Err(format!(
            "'{text}': dates of weeks are not taken: write {date} for that day"
        ));
    }
    let digits = rest.0.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 3 {
        let day = rest.digits(3).ok_or_else(wrong)?;
        let first = Date::new(year, 1, 1).map_err(|_| wrong())?;
        let date = first.with().day_of_year(day).build().map_err(|_| wrong())?;
        return Err(format!(
            "'{text}': days of a year are not taken: write {date} for that day"
        ));
    }
    let month = rest.digits(2).ok_or_else(wrong)?;
    if extended != rest.one_of("-").is_some() {
        return Err(wrong());
    }
    let day = rest.digits(2).ok_or_else(wrong)?;
    let number = |number: i16| i8::try_from(number).map_err(|_| wrong());
    Date::new(year, number(month)?, number(day)?).map_err(|_| format!("'{text}': there is no such day"))
}

fn time(rest: &mut Rest<'_>, date: Date, text: &str) -> Result<DateTime, String> {
    let wrong = || no_moment(text);
    let hour = rest.digits(2).ok_or_else(wrong)?;
    let extended = rest.one_of(":").is_some();
    let minute = rest.digits(2).ok_or_else(wrong)?;
    let more = if extended {
        rest.one_of(":").is_some()
    } else {
        rest.0.starts_with(|c: char| c.is_ascii_digit())
    };
    let second = if more { rest.digits(2).ok_or_else(wrong)? } else { 0 };
    let mut is_whole = true;
    if more && rest.one_of(".,").is_some() {
        let fraction = rest.all_digits();
        if fraction.is_empty() {
            return Err(wrong());
        }
        is_whole = fraction.bytes().all(|digit| digit == b'0');
    }
    if hour == 24 && minute == 0 && second == 0 && is_whole {
        let next = date.tomorrow().map_err(|_| wrong())?;
        return Err(format!(
            "'{text}': the day has no hour 24: write '{next} 00:00:00' for its end"
        ));
    }
    let leap = second == 60;
    let number = |number: i16| i8::try_from(number).map_err(|_| wrong());
    let at = Time::new(
        number(hour)?,
        number(minute)?,
        number(if leap { 59 } else { second })?,
        0,
    );
    let at = date.to_datetime(at.map_err(|_| format!("'{text}': there is no such time"))?);
    if !leap && is_whole {
        return Ok(at);
    }
    let next = at.checked_add(jiff::Span::new().seconds(1)).map_err(|_| wrong())?;
    let show = |at: DateTime| at.strftime("%H:%M:%S").to_string();
    if leap {
        return Err(format!(
            "'{text}': servers know no leap seconds: write {} or {}",
            show(at),
            next.strftime("%F %H:%M:%S")
        ));
    }
    Err(format!(
        "'{text}': times in binary logs are of whole seconds: write {} or {}",
        show(at),
        show(next)
    ))
}

fn offset(rest: &mut Rest<'_>, text: &str) -> Result<Option<At>, String> {
    if rest.one_of("Zz").is_some() {
        return Ok(Some(At::Utc));
    }
    let Some(sign) = rest.one_of("+-") else { return Ok(None) };
    let wrong = || no_moment(text);
    let hours = rest.digits(2).ok_or_else(wrong)?;
    let (mut minutes, mut seconds) = (0, 0);
    let extended = rest.one_of(":").is_some();
    let comes = |rest: &Rest<'_>| rest.0.starts_with(|c: char| c.is_ascii_digit());
    if extended || comes(rest) {
        minutes = rest.digits(2).ok_or_else(wrong)?;
        if (extended && rest.one_of(":").is_some()) || (!extended && comes(rest)) {
            seconds = rest.digits(2).ok_or_else(wrong)?;
        }
    }
    if hours > 23 || minutes > 59 || seconds > 59 {
        return Err(format!("'{text}': there is no such offset"));
    }
    let all = i32::from(hours) * 3600 + i32::from(minutes) * 60 + i32::from(seconds);
    if sign == '-' && all == 0 {
        return Ok(Some(At::Utc));
    }
    let offset = Offset::from_seconds(if sign == '-' { -all } else { all });
    offset.map(|offset| Some(At::Offset(offset))).map_err(|_| wrong())
}

/// A local time, which clocks that are changed may show twice, or not at all.
fn local(civil: DateTime, zone: &TimeZone, text: &str) -> Result<Timestamp, String> {
    let (before, after, what) = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => return instant(civil, offset, text),
        AmbiguousOffset::Gap { before, after } => (before, after, "does not exist there: clocks were put forward"),
        AmbiguousOffset::Fold { before, after } => (before, after, "is there twice: clocks were put back"),
    };
    Err(format!(
        "'{text}' {what}; write {} or {}",
        stamp(civil, before),
        stamp(civil, after)
    ))
}

fn instant(civil: DateTime, offset: Offset, text: &str) -> Result<Timestamp, String> {
    offset
        .to_timestamp(civil)
        .map_err(|_| format!("'{text}' is too far away: no server was there then"))
}

/// What is behind a time and is no offset: mostly a zone's name without its brackets.
fn behind(text: &str, front: &str, rest: &str, civil: DateTime) -> String {
    let name = rest.trim();
    let civil = civil.strftime("%FT%T");
    match name {
        _ if front != text => no_moment(text),
        "UTC" | "GMT" | "utc" | "gmt" => format!("'{text}': write {civil}Z for UTC"),
        _ if name.contains('/') && TimeZone::get(name).is_ok() => {
            format!("'{text}': a time zone stands in brackets: write '{civil}[{name}]'")
        }
        _ if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()) => format!(
            "'{text}': '{name}' means different zones in different places: write the offset, as in {civil}+01:00, or the zone, as in \
             '{civil}[Europe/Paris]'"
        ),
        _ => no_moment(text),
    }
}

fn stamp(civil: DateTime, offset: Offset) -> String {
    format!("{}{}", civil.strftime("%FT%T"), written(offset))
}

/// An offset as it can be pasted.
fn written(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let all = seconds.unsigned_abs();
    let text = format!("{sign}{:02}:{:02}", all / 3600, all / 60 % 60);
    match all % 60 {
        0 => text,
        seconds => format!("{text}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Zoned;

    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[test]
    fn what_is_taken_means_that_moment() {
        for (text, moment) in [
            ("2026-11-01T03:15:00Z", "2026-11-01T03:15:00Z"),
            ("2026-11-01t03:15:00z", "2026-11-01T03:15:00Z"),
            ("20261101T031500Z", "2026-11-01T03:15:00Z"),
            ("2026-11-01T03:15:00.000Z", "2026-11-01T03:15:00Z"),
            ("2026-11-01T05:15:00+02:00", "2026-11-01T03:15:00Z"),
            ("2026-11-01 05:15+02", "2026-11-01T03:15:00Z"),
            ("2026-11-01T05:15:00+0200", "2026-11-01T03:15:00Z"),
            ("2026-11-01T05:15:00+02:00:30", "2026-11-01T03:14:30Z"),
            ("2026-10-31T23:45:00-03:30", "2026-11-01T03:15:00Z"),
            ("2026-11-01T03:15:00-00:00", "2026-11-01T03:15:00Z"),
            ("2026-11-30T12:31:06[Asia/Tokyo]", "2026-11-30T03:31:06Z"),
            ("2026-11-30T12:31:06+09:00[Asia/Tokyo]", "2026-11-30T03:31:06Z"),
            ("2026-11-30T03:31:06Z[Asia/Tokyo]", "2026-11-30T03:31:06Z"),
            ("2026-11-30T12:31:06[+09:00]", "2026-11-30T03:31:06Z"),
            ("2026-11-30 12:31:06[!Asia/Tokyo]", "2026-11-30T03:31:06Z"),
            // In this machine's zone.
            ("2026-11-01 04:15:00", "2026-11-01T03:15:00Z"),
            ("2026-07-01T04:15", "2026-07-01T02:15:00Z"),
            ("1066-10-14T09:00:00Z", "1066-10-14T09:00:00Z"),
            ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z"),
        ] {
            assert_eq!(parse(text, &berlin()), Ok(moment.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_not_is_refused_with_what_to_write() {
        for (text, said) in [
            (
                "2026-10-25T02:30:00",
                &["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"][..],
            ),
            (
                "2026-03-29 02:30:00",
                &["2026-03-29T02:30:00+01:00", "2026-03-29T02:30:00+02:00"],
            ),
            ("2026-10-25T02:30:00[Europe/Paris]", &["2026-10-25T02:30:00+02:00"]),
            (
                "2026-11-30T12:31:06+01:00[Asia/Tokyo]",
                &["2026-11-30T12:31:06+01:00", "2026-11-30T12:31:06+09:00"],
            ),
            ("2026-11-30T24:00:00Z", &["2026-12-01 00:00:00"]),
            ("2016-12-31T23:59:60Z", &["23:59:59", "2017-01-01 00:00:00"]),
            ("2026-11-01T05:15:00.9+02:00", &["05:15:00 or 05:15:01"]),
            ("2026-W48-1T12:00:00Z", &["2026-11-23"]),
            ("2026W481T120000Z", &["2026-11-23"]),
            ("2026-334T12:00:00Z", &["2026-11-30"]),
            ("2026334T120000Z", &["2026-11-30"]),
            ("2026-11-30 12:31:06 Asia/Tokyo", &["'2026-11-30T12:31:06[Asia/Tokyo]'"]),
            ("2026-11-30 12:31:06 JST", &["the offset"]),
            ("2026-11-30 12:31:06 CET", &["the offset"]),
            ("2026-11-30 12:31:06 UTC", &["2026-11-30T12:31:06Z"]),
        ] {
            let why = parse(text, &berlin()).unwrap_err();
            assert!(said.iter().all(|said| why.contains(said)), "{text}: {why}");
        }
        for text in [
            "",
            "yesterday",
            "03:15",
            "2026-11-30",
            "2026-11-30T",
            "2026-11-30T12",
            "2026-11-30T12:31:06[Asia/Nowhere]",
            "2026-11-30T12:31:06[JST]",
            "2026-11-30T12:31:06[right/Asia/Tokyo]",
            "2026-11-30T12:31:06[u-ca=hebrew]",
            "2026-11-30T12:31:06[Asia/Tokyo][u-ca=hebrew]",
            "2026-11-30T12:31:06 [Asia/Tokyo]",
            "2026-11-30T12:31:06+09:00 JST",
            "2026-11-30T12:31:06+9",
            "2026-11-30T12:31:06+24:00",
            "2026-11-30T12:31:06+09:60",
            "2026-11-30T12:31:06ZZ",
            "2026-11-30T12:31:06.Z",
            "2026-11-30  12:31:06",
            "2026-11-30T12:61:06Z",
            "2026-02-29T12:31:06Z",
            "2026-1130T12:31:06Z",
            "2026-11-30T12:3106Z",
            "+2026-11-30T12:31:06Z",
            "2026-11-30T12:31:06\u{2212}09:00",
            "99999-11-30T12:31:06Z",
            "@1700000000",
            "1700000000",
        ] {
            assert!(parse(text, &berlin()).is_err(), "{text}");
        }
    }

    /// What is proposed is taken when it is pasted.
    #[test]
    fn what_is_proposed_is_taken() {
        for text in [
            "2026-10-25T02:30:00",
            "2026-03-29 02:30:00",
            "2026-11-30T12:31:06+01:00[Asia/Tokyo]",
        ] {
            let why = parse(text, &berlin()).unwrap_err();
            let proposed: Vec<_> = why.rsplit("write ").next().unwrap().split(" or ").collect();
            assert_eq!(proposed.len(), 2, "{why}");
            let moments: Vec<_> = proposed
                .iter()
                .map(|text| parse(text, &TimeZone::UTC).unwrap())
                .collect();
            assert_ne!(moments[0], moments[1]);
        }
    }

    proptest::proptest! {
        /// Whatever is taken as a whole is what another reader of RFC 9557 takes it for.
        #[test]
        fn a_zoned_time_is_read_as_it_was_written(second in 0_i64..4_000_000_000, zone in 0..4_usize) {
            let zone = ["Asia/Tokyo", "Europe/Berlin", "America/St_Johns", "UTC"][zone];
            let moment = Timestamp::from_second(second).unwrap();
            let zoned: Zoned = moment.in_tz(zone).unwrap();
            proptest::prop_assert_eq!(parse(&zoned.to_string(), &TimeZone::UTC), Ok(moment));
            proptest::prop_assert_eq!(parse(&moment.to_string(), &berlin()), Ok(moment));
        }
    }
}
