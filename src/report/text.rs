//! Text on its way to a terminal: secrets gone, and nothing in it that the terminal would obey.

pub use crate::value::secret::redact;

/// A text of lines, redacted, with its control characters made visible; line ends and tabs stay.
pub fn lines(text: &str) -> String {
    visible(&redact(text), |c| c != '\n' && c != '\t')
}

/// The same for a text that has to stay on one line. What is very long is cut.
pub fn line(text: &str) -> String {
    cut(&whole(text))
}

/// One line of which nothing is cut.
pub fn whole(text: &str) -> String {
    visible(&redact(text), |_| true)
}

/// Characters of the longest word, a path among them, that is shown whole: three lines of a terminal.
const LONGEST: usize = 240;
/// Characters that are left of either end of a longer one.
const END: usize = 100;

/// The same text, with very long words cut in the middle. Secrets have to be gone from it: a part of one is not found.
pub fn cut(text: &str) -> String {
    let word = |word: &str| {
        let length = word.chars().count();
        if length <= LONGEST {
            return word.to_owned();
        }
        let first: String = word.chars().take(END).collect();
        let last: String = word.chars().skip(length - END).collect();
        format!("{first}…({} more)…{last}", length - 2 * END)
    };
    text.split_inclusive(char::is_whitespace).map(word).collect()
}

/// Control characters are what a file or an error of the node could steer the terminal with; the bidirectional ones show a
/// line in another order than a program reads it (CVE-2021-42574).
fn visible(text: &str, escaped: impl Fn(char) -> bool) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) && escaped(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A time as people say it: `40 ms`, `12.3 s`, `2 min 5 s`, `1 h 2 min`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A number of bytes as people say it: `512 B`, `7.2 GiB`, `712 MiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 999.5 {
        value /= 1024.0;
        unit = units.next().unwrap_or_default();
    }
    let digits = usize::from(unit != "B" && value < 9.95);
    format!("{value:.digits$} {unit}")
}

/// `1 resource`, `3 resources`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered() {
        assert_eq!(line("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(lines("a\tb\n\r"), "a\tb\n\\r");
        assert_eq!(line("user\u{202e}nimda"), "user\\u{202e}nimda");
        assert_eq!(line("Grüße ‹secret›"), "Grüße ‹secret›");
    }

    #[test]
    fn long_paths_are_cut_in_the_middle() {
        let path = |length: usize| format!("/{}/end", "x".repeat(length));
        let said = line(&format!("{} is not there, {} is", path(4090), path(200)));
        assert!(said.starts_with("/xxx") && said.contains("…(3896 more)…xxx"), "{said}");
        assert!(
            said.contains("/end is not there, ") && said.ends_with(&format!("{} is", path(200))),
            "{said}"
        );
        assert!(said.len() < 500);
    }

    #[test]
    fn sizes_have_two_or_three_digits() {
        for (number, said) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (1024, "1.0 KiB"),
            (7_700_000_000, "7.2 GiB"),
            (746_586_112, "712 MiB"),
            (1_072_693_248, "1.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(number), said);
        }
    }

    #[test]
    fn times_are_said_in_the_unit_that_fits() {
        for (milliseconds, said) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (12_345, "12.3 s"),
            (59_999, "59.9 s"),
            (125_000, "2 min 5 s"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(milliseconds), said);
        }
    }
}
