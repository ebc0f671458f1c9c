//! Decimal digits of numbers: what is written, and where to round.

/// Digits that every number tells from its neighbours, and more of which `$string` does not write.
const DIGITS: usize = 15;

/// Powers of ten that are exact.
const POWERS: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

/// The digits of a number and where its point is: `0.digits * 10^point`.
#[derive(Clone, Debug)]
pub(crate) struct Decimal {
    digits: [u8; 24],
    length: usize,
    pub(crate) point: i32,
}

impl Decimal {
    /// Reads what Rust's ways of writing a positive number give: digits with or without a point, then perhaps an exponent.
    fn read(text: &[u8]) -> Self {
        let mut decimal = Self { digits: [0; 24], length: 0, point: 0 };
        let mut has_point = false;
        for (place, &byte) in text.iter().enumerate() {
            match byte {
                b'.' => has_point = true,
                b'e' => {
                    let exponent = std::str::from_utf8(&text[place + 1..]).ok().and_then(|text| text.parse::<i32>().ok());
                    decimal.point += exponent.expect("a number's exponent is an integer");
                    break;
                }
                digit => {
                    if decimal.length > 0 || digit != b'0' {
                        decimal.digits[decimal.length] = digit;
                        decimal.length += 1;
                        decimal.point += i32::from(!has_point);
                    } else if has_point {
                        decimal.point -= 1;
                    }
                }
            }
        }
        while decimal.length > 0 && decimal.digits[decimal.length - 1] == b'0' {
            decimal.length -= 1;
        }
        decimal
    }

    /// The fewest digits that tell a positive number from all others.
    pub(crate) fn shortest(value: f64) -> Self {
        Self::read(zmij::Buffer::new().format_finite(value).as_bytes())
    }

    /// Fifteen digits at most, the nearest; of two that are as near, the larger one.
    pub(crate) fn rounded(value: f64) -> Self {
        let mut decimal = Self::shortest(value);
        if decimal.length <= DIGITS {
            return decimal;
        }
        // The digits beyond tell where to round to, but for exactly half, which may stand for a bit more or less. The smallest numbers have
        // fewer digits when the reference reads them again.
        let rest = &decimal.digits[DIGITS..decimal.length];
        if *rest == *b"5" || decimal.point < -300 {
            return Self::rounded_exactly(value);
        }
        let is_up = rest[0] >= b'5';
        decimal.cut(DIGITS, is_up);
        decimal
    }

    /// The same by all digits of a number.
    fn rounded_exactly(value: f64) -> Self {
        // Forty digits tell half from what is almost half, which Rust would give to the even digit.
        let text = format!("{value:.40e}");
        let (digits, exponent) = text.split_once('e').expect("a number in scientific form has an exponent");
        let is_half = digits.as_bytes()[16] == b'5' && digits.as_bytes()[17..].iter().all(|&digit| digit == b'0');
        let rounded = match is_half {
            true => format!("{}6e{exponent}", &digits[..16]).parse().map(|up: f64| format!("{up:.14e}")).unwrap_or(text),
            false => format!("{value:.14e}"),
        };
        // As the reference reads them again, digits of the smallest numbers become fewer.
        rounded.parse().map_or_else(|_| Self::read(rounded.as_bytes()), Self::shortest)
    }

    /// So many decimal places at most, halves to the even digit; `None` where the digits do not tell it exactly.
    pub(crate) fn at_places(mut self, places: f64) -> Option<Self> {
        let kept = f64::from(self.point) + places;
        // What is moved out of the range of numbers is none any more in the reference.
        if !(-1000.0..300.0).contains(&kept) {
            return None;
        }
        let kept = kept as i32;
        let Ok(kept) = usize::try_from(kept) else {
            self.length = 0;
            return Some(self);
        };
        if kept >= self.length {
            return (self.length <= DIGITS).then_some(self);
        }
        let rest = &self.digits[kept..self.length.min(DIGITS).max(kept)];
        let is_up = match rest {
            [] => return None,
            [b'5', after @ ..] if after.iter().all(|&digit| digit == b'0') => {
                if self.length > DIGITS {
                    return None;
                }
                kept > 0 && self.digits[kept - 1] % 2 == 1
            }
            // Of more digits, those that almost make a half may be one when the reference has moved them.
            [b'4', after @ ..] if self.length > DIGITS && after.iter().all(|&digit| digit == b'9') => return None,
            [first, ..] => *first >= b'5',
        };
        self.cut(kept, is_up);
        Some(self)
    }

    /// Keeps so many digits, the last one perhaps raised.
    fn cut(&mut self, kept: usize, is_up: bool) {
        self.length = kept;
        if is_up {
            while self.length > 0 && self.digits[self.length - 1] == b'9' {
                self.length -= 1;
            }
            match self.length {
                0 => {
                    self.digits[0] = b'1';
                    self.length = 1;
                    self.point += 1;
                }
                length => self.digits[length - 1] += 1,
            }
        }
        while self.length > 0 && self.digits[self.length - 1] == b'0' {
            self.length -= 1;
        }
    }

    /// The digits.
    pub(crate) fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// The nearest number.
    pub(crate) fn value(&self) -> f64 {
        if self.length == 0 {
            return 0.0;
        }
        let exponent = self.point - self.length as i32;
        let whole = self.digits().iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        if self.length <= DIGITS && (-22..=22).contains(&exponent) {
            // Both are exact, so the result is rounded once.
            let power = POWERS[exponent.unsigned_abs() as usize];
            return if exponent < 0 { whole as f64 / power } else { whole as f64 * power };
        }
        let mut text = [0_u8; 48];
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(whole).as_bytes();
        let mut written = itoa::Buffer::new();
        let written = written.format(exponent).as_bytes();
        let end = digits.len() + 1 + written.len();
        text[..digits.len()].copy_from_slice(digits);
        text[digits.len()] = b'e';
        text[digits.len() + 1..end].copy_from_slice(written);
        std::str::from_utf8(&text[..end]).ok().and_then(|text| text.parse().ok()).expect("digits with an exponent are a number")
    }

    pub(crate) fn write(&self, into: &mut String) {
        let digits = std::str::from_utf8(&self.digits[..self.length]).expect("digits are ASCII");
        let zeros = |into: &mut String, count: i32| into.extend((0..count).map(|_| '0'));
        let length = i32::try_from(self.length).expect("a number has few digits");
        match self.point {
            point if length <= point && point <= 21 => {
                into.push_str(digits);
                zeros(into, point - length);
            }
            point @ 1..=21 => {
                let (whole, fraction) = digits.split_at(point as usize);
                into.push_str(whole);
                into.push('.');
                into.push_str(fraction);
            }
            point @ -5..=0 => {
                into.push_str("0.");
                zeros(into, -point);
                into.push_str(digits);
            }
            point => {
                let (first, others) = digits.split_at(1);
                into.push_str(first);
                if !others.is_empty() {
                    into.push('.');
                    into.push_str(others);
                }
                into.push_str(if point > 0 { "e+" } else { "e-" });
                into.push_str(itoa::Buffer::new().format((point - 1).unsigned_abs()));
            }
        }
    }
}
