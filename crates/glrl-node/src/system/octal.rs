//! The octal escapes of fstab, mountinfo, swaps and etab: `\040` for a space (`getmntent(3)`, `proc_pid_mountinfo(5)`).

use crate::value::secret::rewrite;

/// A field as it was meant. What is no escape stays as it is.
pub fn decode(field: &str) -> String {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if let Some(byte) = bytes.get(at..at + 4).and_then(escape) {
            out.push(byte);
            at += 4;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte that a backslash and three octal digits stand for; `None` for anything else.
pub fn escape(bytes: &[u8]) -> Option<u8> {
    let [b'\\', digits @ ..] = bytes else { return None };
    let is_octal = digits.len() == 3 && digits[0] <= b'3' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
    is_octal.then(|| digits.iter().fold(0, |value, digit| value << 3 | (digit - b'0')))
}

/// A field as these files want it: without white space, `#` in front or backslashes of its own.
pub fn encode(field: &str) -> String {
    rewrite(field, escaped)
}

fn escaped(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    for (at, char) in field.char_indices() {
        match char {
            ' ' => out.push_str("\\040"),
            '\t' => out.push_str("\\011"),
            '\n' => out.push_str("\\012"),
            '\r' => out.push_str("\\015"),
            '\\' => out.push_str("\\134"),
            '#' if at == 0 => out.push_str("\\043"),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_octal_escapes_are_escapes() {
        assert_eq!(decode(r"/my\040disk\134x"), r"/my disk\x");
        assert_eq!(decode(r"\x \400 \04 \"), r"\x \400 \04 \");
        assert_eq!(decode(r"\303\244"), "ä");
    }

    proptest::proptest! {
        #[test]
        fn an_encoded_field_reads_back(field in ".*") {
            let encoded = encode(&field);
            proptest::prop_assert!(!encoded.contains([' ', '\t', '\n', '\r']) && !encoded.starts_with('#'));
            proptest::prop_assert_eq!(decode(&encoded), field);
        }
    }
}
