//! Integers in letters, roman numerals and English words.

use super::integer_picture::Case;
use super::number::is_space;
use super::power::raise;
use crate::Failure;
use crate::surrogate::halved;

/// Beyond, the reference overflows JavaScript's stack: one thousand is one digit.
const LARGEST_ROMAN: f64 = 10_000_000.0;

const ROMAN: [(f64, &str); 13] = [
    (1000.0, "m"),
    (900.0, "cm"),
    (500.0, "d"),
    (400.0, "cd"),
    (100.0, "c"),
    (90.0, "xc"),
    (50.0, "l"),
    (40.0, "xl"),
    (10.0, "x"),
    (9.0, "ix"),
    (5.0, "v"),
    (4.0, "iv"),
    (1.0, "i"),
];

const SMALL: [&str; 20] = [
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
    "Thirteen",
    "Fourteen",
    "Fifteen",
    "Sixteen",
    "Seventeen",
    "Eighteen",
    "Nineteen",
];

const SMALL_ORDINALS: [&str; 20] = [
    "Zeroth",
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
    "Eleventh",
    "Twelfth",
    "Thirteenth",
    "Fourteenth",
    "Fifteenth",
    "Sixteenth",
    "Seventeenth",
    "Eighteenth",
    "Nineteenth",
];

/// Without the last letter: `Twent` is `Twenty` and `Twentieth`.
const TENS: [&str; 8] = ["Twent", "Thirt", "Fort", "Fift", "Sixt", "Sevent", "Eight", "Ninet"];

const MAGNITUDES: [(f64, &str); 4] = [(1e12, "Trillion"), (1e9, "Billion"), (1e6, "Million"), (1e3, "Thousand")];

/// The words of numbers, in the order in which the reference tries them.
pub(crate) const WORDS: [&str; 67] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twenty",
    "twentieth",
    "thirty",
    "thirtieth",
    "forty",
    "fortieth",
    "fifty",
    "fiftieth",
    "sixty",
    "sixtieth",
    "seventy",
    "seventieth",
    "eighty",
    "eightieth",
    "ninety",
    "ninetieth",
    "hundred",
    "hundreieth",
    "hundredth",
    "thousand",
    "thousandth",
    "million",
    "millionth",
    "billion",
    "billionth",
    "trillion",
    "trillionth",
];

/// Letters as a spreadsheet numbers its columns.
pub(crate) fn letters(mut value: f64, case: Case, into: &mut String) {
    let first = if case == Case::Upper { b'A' } else { b'a' };
    let begin = into.len();
    while value > 0.0 {
        into.insert(begin, char::from(first + ((value - 1.0) % 26.0) as u8));
        value = ((value - 1.0) / 26.0).floor();
    }
}

/// The number of such letters; any other character counts by its distance to `a`, as the reference has it.
pub(crate) fn from_letters(text: &str, case: Case) -> f64 {
    let first = if case == Case::Upper { 'A' } else { 'a' };
    let text = halved(text);
    let worth = |letter: char, index: u32| (unit(letter) - unit(first) + 1.0) * raise(26.0, f64::from(index));
    text.chars().rev().zip(0..).fold(0.0, |sum, (letter, index)| sum + worth(letter, index))
}

/// A unit's number; stand-ins of surrogates are units.
fn unit(character: char) -> f64 {
    f64::from(u32::from(character) % 0x10_0000)
}

/// Roman numerals.
pub(crate) fn roman(mut value: f64, case: Case, into: &mut String) -> Result<(), Failure> {
    if value > LARGEST_ROMAN {
        return Err(Failure::new("D2015", format!("{value} as a roman numeral would be longer than {} digits", LARGEST_ROMAN / 1000.0)));
    }
    let begin = into.len();
    for (worth, numeral) in ROMAN {
        while value >= worth {
            into.push_str(numeral);
            value -= worth;
        }
    }
    if case == Case::Upper {
        into[begin..].make_ascii_uppercase();
    }
    Ok(())
}

/// The number of roman numerals; NaN where there is another character.
pub(crate) fn from_roman(text: &str, case: Case) -> f64 {
    let text = if case == Case::Upper { text.to_owned() } else { text.to_uppercase() };
    let (mut sum, mut largest) = (0.0, 1.0);
    for digit in text.chars().rev() {
        let worth = match digit {
            'M' => 1000.0,
            'D' => 500.0,
            'C' => 100.0,
            'L' => 50.0,
            'X' => 10.0,
            'V' => 5.0,
            'I' => 1.0,
            _ => return f64::NAN,
        };
        if worth < largest {
            sum -= worth;
        } else {
            largest = worth;
            sum += worth;
        }
    }
    sum
}

/// English words.
pub(crate) fn words(value: f64, case: Case, is_ordinal: bool, into: &mut String) -> Result<(), Failure> {
    if !value.is_finite() {
        return Err(Failure::new("D3130", format!("{value} has no words")));
    }
    let begin = into.len();
    spell(value, "", is_ordinal, into);
    match case {
        Case::Upper => into[begin..].make_ascii_uppercase(),
        Case::Lower => into[begin..].make_ascii_lowercase(),
        Case::Title => {}
    }
    Ok(())
}

/// Writes a number behind others: what comes between depends on how large it is.
fn spell(value: f64, before: &str, is_ordinal: bool, into: &mut String) {
    let (and, comma) = if before.is_empty() { ("", "") } else { (" and ", ", ") };
    if value < 20.0 {
        into.push_str(and);
        into.push_str(if is_ordinal { SMALL_ORDINALS } else { SMALL }[value as usize]);
    } else if value < 100.0 {
        into.push_str(and);
        into.push_str(TENS[(value / 10.0) as usize - 2]);
        let rest = value % 10.0;
        into.push_str(if rest == 0.0 && is_ordinal { "ieth" } else { "y" });
        if rest > 0.0 {
            into.push('-');
            spell(rest, "", is_ordinal, into);
        }
    } else {
        into.push_str(comma);
        let rest = match MAGNITUDES.iter().find(|(worth, _)| value >= *worth) {
            Some((worth, name)) => {
                let count = (value / worth).floor();
                spell(count, "", false, into);
                into.push(' ');
                into.push_str(name);
                value - count * worth
            }
            None => {
                into.push_str(SMALL[(value / 100.0) as usize]);
                into.push_str(" Hundred");
                value % 100.0
            }
        };
        if rest > 0.0 {
            spell(rest, "and", is_ordinal, into);
        } else if is_ordinal {
            into.push_str("th");
        }
    }
}

/// The number that words say; NaN where there is another word.
pub(crate) fn from_words(text: &str) -> f64 {
    let text = text.to_lowercase();
    let mut sums = vec![0.0];
    for word in split_words(&text) {
        let Some(worth) = worth(word) else { return f64::NAN };
        let last = sums.pop().expect("there is always a sum");
        if worth >= 100.0 {
            sums.push(last * worth);
        } else if last >= 1000.0 {
            sums.extend([last, worth]);
        } else {
            sums.push(last + worth);
        }
    }
    sums.iter().sum()
}

/// Words between `, `, ` and `, a space, a hyphen or a backslash.
fn split_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.char_indices().find_map(|(place, _)| separator(&text[place..]).map(|length| (place, place + length)));
        rest = end.map(|(_, next)| &text[next..]);
        Some(end.map_or(text, |(place, _)| &text[..place]))
    })
}

/// The length of the separator that a text begins with.
fn separator(text: &str) -> Option<usize> {
    let space = |text: &str| text.chars().next().filter(|&character| is_space(character)).map(char::len_utf8);
    match text.as_bytes().first()? {
        b',' => space(&text[1..]).map(|space| 1 + space),
        b'-' | b'\\' => Some(1),
        _ => {
            let first = space(text)?;
            let and = text[first..].strip_prefix("and").and_then(space).map(|second| first + 3 + second);
            Some(and.unwrap_or(first))
        }
    }
}

/// What a word of a number is worth.
fn worth(word: &str) -> Option<f64> {
    let is = |name: &str| name.eq_ignore_ascii_case(word);
    let of = |names: &[&str]| names.iter().position(|name| is(name));
    if let Some(small) = of(&SMALL).or_else(|| of(&SMALL_ORDINALS)) {
        return Some(small as f64);
    }
    if let Some(tens) = word.strip_suffix('y').or_else(|| word.strip_suffix("ieth"))
        && let Some(place) = TENS.iter().position(|name| name.eq_ignore_ascii_case(tens))
    {
        return Some(place as f64 * 10.0 + 20.0);
    }
    let cardinal = word.strip_suffix("th").unwrap_or(word);
    // The reference makes an ordinal of each ten, and of a hundred as if it were one.
    if cardinal == "hundred" || word == "hundreieth" {
        return Some(100.0);
    }
    MAGNITUDES.iter().find(|(_, name)| name.eq_ignore_ascii_case(cardinal)).map(|(worth, _)| *worth)
}
