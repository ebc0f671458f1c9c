//! Encodings of text, by their WHATWG labels and by the names that Python has for them.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Names for a message.
pub(crate) const KNOWN: &str = "encodings are `utf-8`, `utf-8-sig`, `latin-1`, `windows-1252`, `iso-8859-15`, `utf-16le`, `shift_jis`, `gbk`, `euc-kr` and the others of the WHATWG list";

/// An encoding that text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charset {
    pub(crate) encoding: &'static Encoding,
    /// The last character that the name stands for, where the web takes it for an encoding that has more.
    last: Option<char>,
}

/// Finds an encoding.
pub(crate) fn find(label: &str) -> Option<Charset> {
    let plain = label.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let of = |encoding, last| Some(Charset { encoding, last });
    match plain.as_str() {
        "utf-8-sig" | "utf8-sig" => of(UTF_8, None),
        "ascii" | "us-ascii" | "646" => of(WINDOWS_1252, Some('\u{7f}')),
        "latin-1" | "latin1" | "latin" | "l1" | "8859" | "cp819" | "iso-8859-1" | "iso8859-1" | "iso88591" => {
            of(WINDOWS_1252, Some('\u{ff}'))
        }
        _ => {
            let found = Encoding::for_label(plain.as_bytes()).or_else(|| Encoding::for_label(plain.replace('-', "").as_bytes()));
            found.and_then(|encoding| of(encoding, None))
        }
    }
}

/// Whether a label asks for a byte order mark before UTF-8.
pub(crate) fn marks(label: &str) -> bool {
    label.trim().to_ascii_lowercase().replace(['_', ' '], "-").trim_start_matches("utf").trim_start_matches('-') == "8-sig"
}

impl Charset {
    /// Writes a text; or answers the first character that it lacks.
    pub(crate) fn encode(self, text: &str) -> Result<Vec<u8>, String> {
        let beyond = |letter: char| self.last.is_some_and(|last| letter > last);
        let (bytes, _, lossy) = self.encoding.encode(text);
        if !lossy && !text.chars().any(beyond) {
            return Ok(bytes.into_owned());
        }
        let lacks = |letter: &char| beyond(*letter) || self.encoding.encode(letter.encode_utf8(&mut [0; 4])).2;
        Err(text.chars().find(lacks).map(String::from).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_python_and_of_the_web_are_found() {
        for label in ["latin-1", "Latin_1", "utf-8-sig", "utf_8_sig", "cp1252", "shift_jis", "iso8859-15", "euc-kr"] {
            assert!(find(label).is_some(), "{label}");
        }
        assert_eq!(find("mbcs"), None);
        assert!(marks("utf_8_sig") && marks("utf8-sig") && !marks("utf-8"));
    }

    #[test]
    fn a_name_stands_for_its_own_characters_only() {
        let written = |label: &str, text: &str| find(label).unwrap().encode(text);
        assert_eq!(written("latin1", "é").unwrap(), b"\xe9");
        assert_eq!((written("latin1", "€"), written("ascii", "é")), (Err("€".into()), Err("é".into())));
        assert_eq!(written("windows-1252", "€").unwrap(), b"\x80");
    }
}
