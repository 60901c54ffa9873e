//! Texts that are hard to hide, and what of them would give them away.

use std::{collections::HashSet, fmt::Write as _};

/// Bytes of a piece that gives a secret away.
const PIECE: usize = 8;

/// The texts, each with a name for messages.
pub(super) fn all() -> Vec<(&'static str, String)> {
    let long = |bytes: usize| -> String {
        (0..bytes)
            .map(|n| char::from(b'A' + u8::try_from((n * n + n / 7) % 57).unwrap_or(0)))
            .collect()
    };
    let token = "Zk4vQ8pLw2";
    let texts: [(&str, String); 48] = [
        ("plain", format!("{token}-plain")),
        ("shortest", "q7Zk".into()),
        ("single quote", format!("it's{token}'s")),
        ("double quote", format!("say\"{token}\"now")),
        ("both quotes", format!("a'b\"{token}'c\"d")),
        ("backtick", format!("`{token}`id`")),
        ("percent", format!("100%{token}%20%%d%s")),
        ("percent and quote", format!("it's-100%-{token}'%'")),
        ("dollar braces", format!("$${{{token}}}$$")),
        ("braces", format!("{{{{{token}}}}}{{a}}")),
        ("dollar", format!("$HOME{token}$(id)")),
        ("backslash", format!("a\\{token}\\n\\\\z")),
        ("trailing backslash", format!("{token}zz\\")),
        ("regex", format!("^({token}|[a-z]+)*?.+$")),
        ("regex brackets", format!("[[:{token}:]](?P<x>.)\\d{{3}}")),
        ("yaml colon", format!("key: {token} # not a comment")),
        ("yaml list", format!("- {token}: [x, y]")),
        ("yaml anchor", format!("&{token} *{token}b")),
        ("yaml tag", format!("!!binary {token}==")),
        ("yaml truth", format!("yes,no,{token},~")),
        ("json", format!("{{\"k\":\"{token}\",\"n\":[1,2]}}")),
        ("json escapes", format!("{token}\\u0041\\\"x\\/y")),
        ("url", format!("https://user:{token}@host.invalid/p?q=1&r=a%2Fb#f")),
        ("url escapes", format!("{token}%C3%A4+b c/d?e=f&g")),
        ("shell", format!("; rm -rf {token}; && x | y > z")),
        ("shell glob", format!("*{token}?[!a]~")),
        ("base64", "aGVsbG8gd29ybGQgWms0dlE4cEx3Mg==".into()),
        ("base64 of url", "Zk4vQ8pLw2-_-_Zk4vQ8pLw2-_".into()),
        ("jwt", format!("eyJhbGciOiJIUzI1NiJ9.{token}{token}.{token}_-x")),
        ("hexadecimal", "5a6b347651387005c7732deadbeef00".into()),
        ("two lines", format!("first-{token}\nsecond-{token}")),
        ("short lines", "ab12cd3\nef45gh6\nij78kl9\n".into()),
        ("very short lines", "k1q8\nz7w3\np2m9\n".into()),
        (
            "key",
            format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n{}\nQ8==\n-----END PRIVATE KEY-----\n",
                &long(64),
                &long(48)
            ),
        ),
        (
            "lines of JSON",
            format!("{{\n  \"key\": \"{token}\",\n  \"id\": 7\n}}\n"),
        ),
        ("windows lines", format!("{token}-a\r\n{token}-b\r\n")),
        ("carriage return", format!("{token}-x\r{token}-y")),
        ("tabs", format!("a\t{token}\tb\tc")),
        ("leading dashes", format!("--{token}=x -y")),
        ("spaces around", format!("  {token} in the middle   ")),
        ("inner spaces", format!("two words {token} more words")),
        ("composed", "ÄÖÜäöüß-Zürich-Genève-é".into()),
        (
            "decomposed",
            "A\u{308}O\u{308}U\u{308}-Zu\u{308}rich-e\u{301}e\u{300}".into(),
        ),
        ("other scripts", "пароль-密码-🔑🗝-סיסמה".into()),
        ("invisible", format!("{token}\u{200b}\u{202e}x\u{feff}y")),
        ("comment signs", format!("#{token};//x/*y*/<!--z-->")),
        ("html", format!("<a href=\"{token}\">&amp;'x'</a>")),
        ("very long", format!("{}!{}", long(5000), long(5000))),
    ];
    texts.into()
}

/// Everything that would give a text away.
pub(super) struct Traces {
    pieces: HashSet<Vec<u8>>,
    /// Of a text, or a line of it, that is shorter than a piece: the whole.
    wholes: Vec<Vec<u8>>,
}

impl Traces {
    /// Of a text, what is also said where the secret is another one is no trace of it.
    pub(super) fn of(text: &str, open: &[u8]) -> Self {
        let mut traces = Self {
            pieces: HashSet::new(),
            wholes: Vec::new(),
        };
        for form in forms(text) {
            traces.pieces.extend(form.windows(PIECE).map(Vec::from));
            if form.len() < PIECE {
                traces.wholes.push(form);
            }
        }
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| (4..PIECE).contains(&line.len()));
        traces.wholes.extend(lines.map(|line| line.as_bytes().to_vec()));
        // The first line of a key is no secret.
        let open = [open, b"-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----"].concat();
        for piece in open.windows(PIECE) {
            traces.pieces.remove(piece);
        }
        traces
            .wholes
            .retain(|whole| !open.windows(whole.len()).any(|window| window == whole));
        traces
    }

    /// The first trace in what was said, with what stands around it.
    pub(super) fn find(&self, said: &[u8]) -> Option<String> {
        let piece = said.windows(PIECE).position(|window| self.pieces.contains(window));
        let whole = || {
            let found = |whole: &Vec<u8>| said.windows(whole.len()).position(|window| window == whole.as_slice());
            self.wholes.iter().find_map(found)
        };
        let at = piece.or_else(whole)?;
        let around = &said[at.saturating_sub(120)..said.len().min(at + 80)];
        Some(String::from_utf8_lossy(around).into_owned())
    }
}

/// The text, and what is usually made of it. Written apart from glrl's own list, so that a form which is missing there is found.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let json = serde_json::to_string(text).unwrap_or_default();
    let url = percent_encoded(text);
    let hexadecimal = bytes.iter().fold(String::new(), |mut hexadecimal, byte| {
        let _ = write!(hexadecimal, "{byte:02x}");
        hexadecimal
    });
    let mut forms = vec![
        bytes.to_vec(),
        json.trim_matches('"').into(),
        url.to_lowercase().into(),
        url.into(),
        hexadecimal.into(),
        text.replace('\'', r"'\''").into(),
        text.replace('\'', r"'\''").replace('%', r"\%").into(),
        text.replace('\'', "''").into(),
        text.replace('%', r"\%").into(),
        text.replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('$', r"\$")
            .replace('`', r"\`")
            .into(),
        text.replace(' ', r"\040")
            .replace('\t', r"\011")
            .replace('\\', r"\134")
            .into(),
        format!("{text:?}").trim_matches('"').into(),
        text.escape_default().to_string().into(),
    ];
    forms.extend((0..3).map(|before| base64(&[&vec![0; before][..], bytes].concat(), before)));
    forms
}

/// RFC 3986: all but unreserved bytes are escaped.
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => url.push(byte.into()),
            _ => drop(write!(url, "%{byte:02X}")),
        }
        url
    })
}

/// RFC 4648, without what the bytes before the text, or behind it, have a part in.
fn base64(bytes: &[u8], before: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<bool> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect();
    let digits = bits
        .chunks_exact(6)
        .map(|six| DIGITS[six.iter().fold(0, |value, bit| value << 1 | usize::from(*bit))]);
    digits.skip((before * 8).div_ceil(6)).collect()
}
