//! Text on its way to a terminal: secrets gone, and nothing in it that the terminal would obey.

pub use crate::value::{
    secret::redact,
    text::{bytes, count, duration},
};

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
}
