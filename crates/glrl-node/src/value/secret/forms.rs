//! What quoting and encoding make of a text: what programs print instead of the text itself.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};

/// Bytes of the longest text that is encoded. Of a longer one its lines are.
const LONGEST: usize = 1 << 20;

/// Returns the usual forms of a text, other than itself.
pub(super) fn of(text: &str) -> Vec<String> {
    if text.len() > LONGEST {
        return Vec::new();
    }
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.get(1..json.len() - 1).unwrap_or_default();
    let debug = format!("{text:?}");
    let mut forms = vec![
        json.replace('/', "\\/"),
        ascii(json),
        json.to_owned(),
        debug[1..debug.len() - 1].to_owned(),
        // Shells and YAML, in single quotes.
        text.replace('\'', r"'\''"),
        text.replace('\'', "'\"'\"'"),
        text.replace('\'', "''"),
        // Shells, in double quotes, and without quotes.
        backslashed(text, |c| "\"\\$`".contains(c)),
        backslashed(text, |c| c == '\'' || c == '\\'),
        backslashed(text, |c| {
            c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:@%+=,\n".contains(c)
        }),
        // cron and printf.
        text.replace('%', r"\%"),
        text.replace('%', "%%"),
        html(text),
        // Several lines that are put into one.
        text.trim_matches(['\r', '\n']).replace(['\r', '\n'], " "),
        text.split_whitespace().collect::<Vec<_>>().join(" "),
    ];
    let plain: [fn(u8) -> bool; 3] = [
        |byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte),
        |byte| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte),
        |byte| byte.is_ascii_alphanumeric() || b"-_.!~*'();/?:@&=+$,#".contains(&byte),
    ];
    for plain in plain {
        let form = percent(text, plain, |byte| format!("%{byte:02X}"));
        forms.extend([
            percent(text, plain, |byte| format!("%{byte:02x}")),
            form.replace("%20", "+"),
            form,
        ]);
    }
    let hexadecimal = text.bytes().fold(String::new(), |mut hexadecimal, byte| {
        let _ = write!(hexadecimal, "{byte:02x}");
        hexadecimal
    });
    let encoded = [hexadecimal.to_uppercase(), hexadecimal]
        .into_iter()
        .chain(base64(text.as_bytes()));
    forms.extend(encoded.filter(|form| form.len() >= super::SHORTEST));
    forms.retain(|form| form != text);
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// Every third byte begins a group of four characters: what stands before a text moves its characters.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |before| {
        let padded = [&[0_u8; 2][..before], bytes].concat();
        let own = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
        [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD]
            .map(|engine| engine.encode(&padded).get(own.clone()).unwrap_or_default().to_owned())
    })
}

/// The escapes of JSON that is pure ASCII.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

fn backslashed(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// RFC 3986, 2.1.
fn percent(text: &str, plain: impl Fn(u8) -> bool, escape: impl Fn(u8) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(byte.into());
        } else {
            out.push_str(&escape(byte));
        }
    }
    out
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
