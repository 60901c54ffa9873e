//! What a YAML scalar without quotes is: the core schema of YAML 1.2 (chapter 10.3), less what readers of YAML disagree
//! about. `yes`, `no`, `on` and `off` are texts; a number with a leading zero is nothing until someone says what it is.

/// A resolved plain scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain {
    /// Empty, `~`, `null`, `Null`, `NULL`.
    Null,
    /// `true`, `True`, `TRUE` and their opposites.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above the range of `Int`.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// `0644`: 644 to YAML 1.2, 420 to YAML 1.1.
    LeadingZero,
    /// All else.
    Text,
}

/// What a plain scalar is.
pub(super) fn resolve(text: &str) -> Plain {
    match text.as_bytes() {
        [] => Plain::Null,
        [b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F', ..] => match text {
            "~" | "null" | "Null" | "NULL" => Plain::Null,
            "true" | "True" | "TRUE" => Plain::Bool(true),
            "false" | "False" | "FALSE" => Plain::Bool(false),
            _ => Plain::Text,
        },
        [b'+' | b'-' | b'.' | b'0'..=b'9', ..] => number(text),
        _ => Plain::Text,
    }
}

fn number(text: &str) -> Plain {
    let (negative, unsigned) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Plain::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Plain::Float(f64::NAN);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_digit(radix))
        {
            return i64::from_str_radix(digits, radix).map_or(Plain::Text, Plain::Int);
        }
    }
    let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if whole == unsigned.len() && whole > 0 {
        if whole > 1 && unsigned.starts_with('0') {
            return Plain::LeadingZero;
        }
        return match (text.parse(), unsigned.parse()) {
            (Ok(value), _) => Plain::Int(value),
            (_, Ok(value)) if !negative => Plain::UInt(value),
            _ => text.parse().map_or(Plain::Text, Plain::Float),
        };
    }
    if is_float(&unsigned[whole..], whole > 0) {
        if whole > 1 && unsigned.starts_with('0') {
            return Plain::LeadingZero;
        }
        return text.parse().map_or(Plain::Text, Plain::Float);
    }
    Plain::Text
}

/// Whether this is what may follow the whole part of a number: `( \. [0-9]* )? ( [eE] [-+]? [0-9]+ )?`.
fn is_float(rest: &str, has_whole: bool) -> bool {
    let mut rest = rest;
    let mut digits = has_whole;
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        digits |= length > 0;
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return digits && !exponent.is_empty() && exponent.bytes().all(|byte| byte.is_ascii_digit());
    }
    digits && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_core_schema() {
        let cases = [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("null", Plain::Null),
            ("true", Plain::Bool(true)),
            ("FALSE", Plain::Bool(false)),
            ("0", Plain::Int(0)),
            ("-12", Plain::Int(-12)),
            ("+12", Plain::Int(12)),
            ("0xff", Plain::Int(255)),
            ("0o644", Plain::Int(420)),
            ("18446744073709551615", Plain::UInt(u64::MAX)),
            ("1.5", Plain::Float(1.5)),
            (".5", Plain::Float(0.5)),
            ("5.", Plain::Float(5.0)),
            ("1e3", Plain::Float(1000.0)),
            ("-.inf", Plain::Float(f64::NEG_INFINITY)),
            ("0644", Plain::LeadingZero),
            ("00", Plain::LeadingZero),
            ("01.5", Plain::LeadingZero),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), expected, "{text}");
        }
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "Y",
            "80%VG",
            "1.2.3",
            "1_000",
            "-",
            ".",
            "+",
            "0x",
            "0xfg",
            "1e",
            "e1",
            "12:30",
            "-a",
            "2026-11-24",
            "10GiB",
            "nullable",
            "-.nan",
            "tRUE",
        ] {
            assert_eq!(resolve(text), Plain::Text, "{text}");
        }
    }
}
