//! Secrets in what others say: a program may have cut one, wrapped it over lines, numbered its lines.

use std::{collections::HashSet, ops::Range};

use super::{Known, SHORTEST, SHOWN};

/// Bytes of the shortest piece of a secret that is hidden. Shorter ones are in other words by chance.
const PIECE: usize = 7;

/// Texts that many secrets hold and that are none.
const COMMON: [&str; 7] = [
    "https://",
    "postgresql://",
    "mysql://",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END CERTIFICATE-----",
    "-----BEGIN CERTIFICATE-----",
];

/// Returns a text with every secret replaced, and every piece of one. It is for what others say, whole: when it is cut, it is cut afterwards.
pub fn redact_pieces(bytes: &[u8]) -> String {
    let known = Known::read();
    if known.given.is_empty() {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut secret = known.find(bytes);
    let pieces = known.pieces.get_or_init(|| Pieces::of(&known));
    secret.extend(pieces.find(bytes));
    // The same without white space, which wrapping brings in.
    let places: Vec<usize> = (0..bytes.len())
        .filter(|at| !bytes[*at].is_ascii_whitespace())
        .collect();
    let dense: Vec<u8> = places.iter().map(|at| bytes[*at]).collect();
    secret.extend(
        pieces
            .find(&dense)
            .map(|range| places[range.start]..places[range.end - 1] + 1),
    );
    secret.sort_unstable_by_key(|range| range.start);
    hide(bytes, &secret)
}

/// What gives a piece of a secret away.
#[derive(Debug)]
pub(super) struct Pieces {
    /// All pieces of one length, of each form as it is and without white space.
    windows: HashSet<[u8; PIECE]>,
    /// Lines that are shorter than that.
    lines: HashSet<Box<[u8]>>,
}

impl Pieces {
    fn of(known: &Known) -> Self {
        let mut windows = HashSet::new();
        for form in known.forms.values().flatten() {
            windows.extend(pieces(form.as_bytes()));
            let dense: Vec<u8> = form.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            if dense.len() < form.len() {
                windows.extend(pieces(&dense));
            }
        }
        for piece in COMMON.iter().flat_map(|common| pieces(common.as_bytes())) {
            windows.remove(&piece);
        }
        let lines = known
            .given
            .iter()
            .flat_map(|text| text.lines())
            .map(|line| line.trim().as_bytes());
        let lines = lines.filter(|line| (SHORTEST..PIECE).contains(&line.len()));
        Self {
            windows,
            lines: lines.map(Box::from).collect(),
        }
    }

    fn find(&self, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
        (0..bytes.len()).filter_map(|at| {
            if bytes[at..]
                .first_chunk()
                .is_some_and(|piece| self.windows.contains(piece))
            {
                return Some(at..at + PIECE);
            }
            let is_line = |length: &usize| {
                bytes
                    .get(at..at + length)
                    .is_some_and(|piece| self.lines.contains(piece))
            };
            (SHORTEST..PIECE).rev().find(is_line).map(|length| at..at + length)
        })
    }
}

/// Returns all pieces of a text.
fn pieces(text: &[u8]) -> impl Iterator<Item = [u8; PIECE]> {
    text.windows(PIECE).filter_map(|piece| piece.first_chunk().copied())
}

/// Replaces these parts, which are in the order in which they begin. Line ends around a part stay.
fn hide(bytes: &[u8], parts: &[Range<usize>]) -> String {
    let mut whole: Vec<Range<usize>> = Vec::new();
    for part in parts {
        match whole.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => whole.push(part.clone()),
        }
    }
    let mut text = String::with_capacity(bytes.len());
    let mut kept = 0;
    for mut part in whole {
        let is_end = |at: usize| bytes[at] == b'\n';
        while !part.is_empty() && is_end(part.start) {
            part.start += 1;
        }
        while !part.is_empty() && is_end(part.end - 1) {
            part.end -= 1;
        }
        text.push_str(&String::from_utf8_lossy(&bytes[kept..part.start]));
        text.push_str(SHOWN);
        kept = part.end;
    }
    text.push_str(&String::from_utf8_lossy(&bytes[kept..]));
    text
}

#[cfg(test)]
mod tests {
    use super::{super::register, *};

    #[test]
    fn pieces_of_a_secret_are_hidden() {
        register("Zq7-first/half+second-half~9");
        for (said, shown) in [
            ("Zq7-first/half+seco", SHOWN),
            ("no: half+second-half~9.", "no: ‹secret›."),
            ("Zq7-first/half+\n  second-half~9", SHOWN),
            ("half+sec", SHOWN),
            ("first half", "first half"),
        ] {
            assert_eq!(redact_pieces(said.as_bytes()), shown);
        }
    }

    #[test]
    fn lines_of_a_secret_are_hidden_wherever_they_stand() {
        register("vbn4567\n}\nvbn8901\n");
        // The blank before the last line may be its end, as it is where lines were put into one.
        assert_eq!(
            redact_pieces(b" 1 vbn4567\n 2 }\n 3 vbn8901\n"),
            " 1 ‹secret›\n 2 }\n 3‹secret›\n"
        );
    }

    #[test]
    fn what_many_secrets_hold_is_none() {
        register("https://user:Wert77-kl@example.org");
        assert_eq!(redact_pieces(b"https://deb.debian.org"), "https://deb.debian.org");
    }

    #[test]
    fn a_character_that_is_cut_is_no_way_round() {
        register("ÄÖÜäöüß-ÄÖÜäöüß");
        assert_eq!(
            redact_pieces(&"ÄÖÜäöüß-ÄÖÜäöüß".as_bytes()[1..]),
            "\u{fffd}‹secret›".replace("\u{fffd}", "")
        );
    }
}
