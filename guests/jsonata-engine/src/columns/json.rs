//! Values as JSON text.

use jsonata_core::value::JValue;

/// Writes a value as JSON. What JSON has no word for (functions, NaN, infinity) is `null`, and a member that is such is left out.
pub fn write_json(value: &JValue, out: &mut Vec<u8>) {
    match value {
        JValue::Bool(true) => out.extend_from_slice(b"true"),
        JValue::Bool(false) => out.extend_from_slice(b"false"),
        JValue::Number(value) => number(*value, out),
        JValue::String(value) => text(value, out),
        JValue::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        JValue::Object(members) => {
            out.push(b'{');
            let start = out.len();
            for (name, value) in members.iter() {
                if value.is_undefined() || value.is_function() || value.is_regex() {
                    continue;
                }
                if out.len() > start {
                    out.push(b',');
                }
                text(name, out);
                out.push(b':');
                write_json(value, out);
            }
            out.push(b'}');
        }
        _ => out.extend_from_slice(b"null"),
    }
}

/// Writes a number as JavaScript does.
pub fn number(value: f64, out: &mut Vec<u8>) {
    let int = value as i64;
    if int as f64 == value && int.unsigned_abs() <= 1 << 53 {
        out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
    } else if value.is_finite() {
        out.extend_from_slice(JValue::Number(value).to_string().as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Writes a text in quotes.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut from = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            8 => b"\\b",
            12 => b"\\f",
            0..0x20 => &[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]],
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..index]);
        out.extend_from_slice(escape);
        from = index + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}
