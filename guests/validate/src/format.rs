//! Formats of texts, as JSON Schema names them.

use std::net::{Ipv4Addr, Ipv6Addr};

use etl_steps::moment;
use fluent_uri::{Iri, IriRef, Uri, UriRef};

/// Bytes of a host's name, and of a label of it.
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// Bytes of an address before the `@`.
const MAX_LOCAL: usize = 64;

/// A format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    name: &'static str,
    holds: fn(&str) -> bool,
}

/// Formats that are known; another asks for nothing.
const FORMATS: [Format; 18] = [
    Format { name: "date", holds: is_date },
    Format { name: "date-time", holds: is_date_time },
    Format { name: "time", holds: is_time },
    Format { name: "duration", holds: is_duration },
    Format { name: "email", holds: |text| is_email(text, false) },
    Format { name: "idn-email", holds: |text| is_email(text, true) },
    Format { name: "hostname", holds: is_host },
    Format { name: "idn-hostname", holds: is_international_host },
    Format { name: "ipv4", holds: |text| text.parse::<Ipv4Addr>().is_ok() },
    Format { name: "ipv6", holds: |text| text.parse::<Ipv6Addr>().is_ok() },
    Format { name: "uri", holds: |text| Uri::parse(text).is_ok() },
    Format { name: "uri-reference", holds: |text| UriRef::parse(text).is_ok() },
    Format { name: "iri", holds: |text| Iri::parse(text).is_ok() },
    Format { name: "iri-reference", holds: |text| IriRef::parse(text).is_ok() },
    Format { name: "uuid", holds: is_uuid },
    Format { name: "json-pointer", holds: is_pointer },
    Format { name: "relative-json-pointer", holds: is_relative_pointer },
    Format { name: "regex", holds: jsonschema_regex::is_valid_ecma_regex },
];

impl Format {
    /// The format of a name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        FORMATS.iter().find(|format| format.name == name).copied()
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    /// Whether a text has it.
    pub(crate) fn holds(self, text: &str) -> bool {
        (self.holds)(text)
    }
}

/// The number that a few digits are.
fn digits(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.is_ascii() && moment::day(text).is_some()
}

fn is_date_time(text: &str) -> bool {
    let at = text.find(['T', 't']);
    at.is_some_and(|at| is_date(&text[..at]) && is_time(&text[at + 1..]))
}

/// RFC 3339: with an offset, and a leap second only where there is one.
fn is_time(text: &str) -> bool {
    let of_time = || -> Option<bool> {
        let two = |at: usize| digits(text.get(at..at + 2)?);
        let (hour, minute, second) = (two(0)?, two(3)?, two(6)?);
        let rest = text.get(8..)?;
        let fraction = rest.strip_prefix('.').map_or(0, |digits| 1 + digits.bytes().take_while(u8::is_ascii_digit).count());
        let zone = &rest[fraction..];
        let offset = match zone.as_bytes() {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (digits(zone.get(1..3)?)?, digits(zone.get(4..6)?)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let minutes = (hours * 60 + minutes) as i32;
                if *sign == b'+' { minutes } else { -minutes }
            }
            _ => return None,
        };
        let shaped = text.as_bytes()[2] == b':' && text.as_bytes()[5] == b':' && fraction != 1;
        let in_utc = ((hour * 60 + minute) as i32 - offset).rem_euclid(24 * 60);
        Some(shaped && hour < 24 && minute < 60 && (second < 60 || second == 60 && in_utc == 24 * 60 - 1))
    };
    of_time().unwrap_or(false)
}

/// ISO 8601 as RFC 3339, appendix A has it: weeks alone, other units in order and without gaps.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let weeks = time.is_none() && days.strip_suffix('W').is_some_and(|weeks| digits(weeks).is_some());
    let days_hold = days.is_empty() && time.is_some() || are_units(days, "YMD");
    weeks || days_hold && time.is_none_or(|time| are_units(time, "HMS"))
}

/// Numbers with units, in order and without gaps.
fn are_units(text: &str, units: &str) -> bool {
    let mut last = None;
    let mut rest = text;
    while !rest.is_empty() {
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest[count..].chars().next().and_then(|unit| units.find(unit));
        match unit {
            Some(unit) if count > 0 && last.is_none_or(|last| unit == last + 1) => last = Some(unit),
            _ => return false,
        }
        rest = &rest[count + 1..];
    }
    last.is_some()
}

/// RFC 5321; `international` allows letters beyond ASCII.
fn is_email(text: &str, international: bool) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    let local_holds = if quoted {
        is_quoted(&local[1..local.len() - 1], international)
    } else {
        let allowed = |character: char| {
            character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character) || international && !character.is_ascii()
        };
        local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(allowed))
    };
    let literal = domain.strip_prefix('[').and_then(|domain| domain.strip_suffix(']'));
    let domain_holds = match literal {
        Some(literal) => match literal.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")) {
            Some(_) => literal[5..].parse::<Ipv6Addr>().is_ok(),
            None => literal.parse::<Ipv4Addr>().is_ok(),
        },
        None if international => is_international_host(domain),
        None => is_host(domain),
    };
    local_holds && local.len() <= MAX_LOCAL && domain_holds
}

/// What may stand between quotes: printable, with quotes and backslashes behind a backslash.
fn is_quoted(text: &str, international: bool) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let holds = match character {
            '\\' => characters.next().is_some_and(|escaped| matches!(escaped, ' '..='~')),
            '"' => false,
            other => matches!(other, ' '..='~') || international && !other.is_ascii(),
        };
        if !holds {
            return false;
        }
    }
    true
}

/// RFC 1123; a label in Punycode is an international one.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        is_between_hyphens(label)
            && label.len() <= MAX_LABEL
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && match label.get(2..4) {
                Some("--") => label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")) && is_encoded(&label[4..]),
                _ => true,
            }
    };
    text.len() <= MAX_HOST && text.split('.').all(is_label)
}

fn is_between_hyphens(label: &str) -> bool {
    !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
}

/// Whether a text decodes as Punycode (RFC 3492) to a label.
fn is_encoded(text: &str) -> bool {
    punycode(text).is_some_and(|label| is_international_label(&label) && !label.is_ascii())
}

/// Decodes Punycode.
fn punycode(text: &str) -> Option<String> {
    let (basic, encoded) = text.rsplit_once('-').unwrap_or(("", text));
    let mut out: Vec<char> = basic.chars().collect();
    let (mut code, mut index, mut bias) = (128u32, 0u32, 72u32);
    let mut bytes = encoded.bytes();
    while bytes.len() > 0 {
        let (before, mut weight, mut step) = (index, 1u32, 36u32);
        loop {
            let digit = match bytes.next()? {
                byte @ b'0'..=b'9' => u32::from(byte - b'0') + 26,
                byte => u32::from(byte.to_ascii_lowercase().checked_sub(b'a').filter(|digit| *digit < 26)?),
            };
            index = index.checked_add(digit.checked_mul(weight)?)?;
            let threshold = step.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(36 - threshold)?;
            step += 36;
        }
        let count = u32::try_from(out.len()).ok()? + 1;
        let mut delta = (index - before) / if before == 0 { 700 } else { 2 };
        delta += delta / count;
        let mut turns = 0;
        while delta > 455 {
            delta /= 35;
            turns += 36;
        }
        bias = turns + 36 * delta / (delta + 38);
        code = code.checked_add(index / count)?;
        index %= count;
        out.insert(index as usize, char::from_u32(code)?);
        index += 1;
    }
    (!encoded.is_empty()).then(|| out.into_iter().collect())
}

/// A host's name with letters of any script; dots may be ideographic.
fn is_international_host(text: &str) -> bool {
    let is_label = |label: &str| if label.is_ascii() { is_host(label) } else { is_international_label(label) };
    text.len() <= MAX_HOST && text.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).all(is_label)
}

/// RFC 5892, by what the standard library knows of characters, with its rules on neighbours.
fn is_international_label(label: &str) -> bool {
    let characters: Vec<char> = label.chars().collect();
    let at = |index: Option<usize>| index.and_then(|index| characters.get(index)).copied();
    let has = |range: std::ops::RangeInclusive<char>| characters.iter().any(|character| range.contains(character));
    let holds = |(index, character): (usize, &char)| {
        match *character {
        '-' => true,
        'A'..='Z' => true,
        // Between two of Catalan's l.
        '\u{b7}' => at(index.checked_sub(1)) == Some('l') && at(Some(index + 1)) == Some('l'),
        // Before Greek, after Hebrew, among kana and Han.
        '\u{375}' => at(Some(index + 1)).is_some_and(|next| matches!(next, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')),
        '\u{5f3}' | '\u{5f4}' => at(index.checked_sub(1)).is_some_and(|before| matches!(before, '\u{590}'..='\u{5ff}')),
        '\u{30fb}' => characters.iter().any(|other| {
            matches!(other, '\u{3041}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}')
        }),
        // Digits of two kinds are not mixed.
        '\u{660}'..='\u{669}' => !has('\u{6f0}'..='\u{6f9}'),
        '\u{6f0}'..='\u{6f9}' => !has('\u{660}'..='\u{669}'),
        // Joiners come behind a virama.
        '\u{200c}' | '\u{200d}' => at(index.checked_sub(1)).is_some_and(is_virama),
        '\u{302e}' | '\u{302f}' | '\u{640}' | '\u{7fa}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => false,
        other if is_mark(other) => index > 0,
        other => other.is_alphanumeric() && !other.is_uppercase() || matches!(other, '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}'),
    }
    };
    is_between_hyphens(label)
        && label.len() <= MAX_LABEL * 4
        && characters.get(2..4) != Some(&['-', '-'])
        && characters.iter().enumerate().all(holds)
}

fn is_virama(character: char) -> bool {
    matches!(u32::from(character), 0x94d | 0x9cd | 0xa4d | 0xacd | 0xb4d | 0xbcd | 0xc4d | 0xccd | 0xd4d | 0xdca | 0xe3a | 0xf84 | 0x1039)
}

/// The usual blocks of marks that combine with the character before.
fn is_mark(character: char) -> bool {
    matches!(
        u32::from(character),
        0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f | 0x900..=0x903 | 0x93a..=0x93c | 0x93e..=0x94f
            | 0x981..=0x983 | 0x9bc | 0x9be..=0x9cd | 0xa01..=0xa03 | 0xbbe..=0xbcd | 0xe31 | 0xe34..=0xe3a | 0xe47..=0xe4e
            | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0x302a..=0x302d | 0x3099..=0x309a | 0xfe20..=0xfe2f
    )
}

fn is_uuid(text: &str) -> bool {
    let shaped = |(index, byte): (usize, u8)| if matches!(index, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    text.len() == 36 && text.bytes().enumerate().all(shaped)
}

fn is_pointer(text: &str) -> bool {
    let escapes_hold = || text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    text.is_empty() || text.starts_with('/') && escapes_hold()
}

fn is_relative_pointer(text: &str) -> bool {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(count);
    count > 0 && (number == "0" || !number.starts_with('0')) && (rest == "#" || is_pointer(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(format: &str, good: &[&str], bad: &[&str]) {
        let format = Format::of(format).expect("it is known");
        good.iter().for_each(|text| assert!(format.holds(text), "`{text}` is of the format `{}`", format.name()));
        bad.iter().for_each(|text| assert!(!format.holds(text), "`{text}` is not of the format `{}`", format.name()));
    }

    #[test]
    fn times_have_an_offset_and_leap_seconds_a_place() {
        hold("date-time", &["2024-02-29T12:00:00Z", "2024-01-15t00:00:00.5+05:30"], &["2023-02-29T12:00:00Z", "2024-01-15 00:00:00Z"]);
        hold("time", &["23:59:60Z", "01:29:60+01:30"], &["22:59:60Z", "12:00:00", "12:00:00.Z", "1:00:00Z", "24:00:00Z", "12:00:00+24:00"]);
        hold("duration", &["P4Y", "PT0S", "P1Y2M3DT4H5M6S", "P2W"], &["P", "PT", "P1YT", "P2D1Y", "P1Y2D", "P1W2D", "4D", "P1S"]);
    }

    #[test]
    fn addresses_of_people_and_hosts() {
        hold(
            "email",
            &["a@b.example", "\"a b\"@c.example", "a+b@[127.0.0.1]"],
            &["nobody", "a..b@c.example", ".a@b.example", "ä@b.example", "a@-b"],
        );
        hold("idn-email", &["ä@bücher.example"], &["a@b@", "@b"]);
        hold("hostname", &["a.b-c.example", "xn--bcher-kva.example"], &["", "-a", "a_b", "a..b", "xn--X", "ab--cd"]);
        hold("idn-hostname", &["bücher.example", "l·l", "例。テスト"], &["·l", "\u{300}a", "a-"]);
        hold("ipv4", &["10.0.0.1"], &["10.0.0.256", "010.0.0.1"]);
        hold("ipv6", &["::1"], &["12345::", "1:2"]);
    }

    #[test]
    fn places_and_identifiers() {
        hold("uri", &["https://a.example/b?c#d", "urn:x:y"], &["//a.example", "a b", "http:// a"]);
        hold("uri-reference", &["/a", "#b", ""], &["\\\\a", "a b"]);
        hold("iri", &["http://ä.example/ö"], &["ä"]);
        hold(
            "uuid",
            &["67e55044-10b1-426f-9247-bb680e5fe0c8"],
            &["67e5504410b1426f9247bb680e5fe0c8", "67e55044-10b1-426f-9247-bb680e5fe0cg"],
        );
        hold("json-pointer", &["", "/a/~0~1"], &["a", "/~", "/~2"]);
        hold("relative-json-pointer", &["0", "1/a", "0#"], &["/a", "01", "-1", "0##"]);
        hold("regex", &["^a+$"], &["^(a]"]);
    }
}
