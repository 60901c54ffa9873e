//! The octal escapes of fstab, mountinfo, swaps and etab: `\040` for a space (`getmntent(3)`, `proc_pid_mountinfo(5)`).

/// A field as it was meant. What is no escape stays as it is.
pub fn decode(field: &str) -> String {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).filter(|digits| {
            bytes[at] == b'\\' && digits[0] <= b'3' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        });
        if let Some(digits) = digits {
            out.push(digits.iter().fold(0, |value, digit| value << 3 | (digit - b'0')));
            at += 4;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A field as these files want it: without white space, `#` in front or backslashes of its own.
pub fn encode(field: &str) -> String {
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
