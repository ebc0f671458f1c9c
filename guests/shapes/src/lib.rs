//! The work that all shapes do on a batch of ten columns: `name` becomes `customer`, `quantity` an integer, `price` a float, and `label` is added,
//! made of `name` and `city`. The other columns stay as they are.
//!
//! It works on Arrow's buffers as slices, so that the shapes differ in nothing but how the rows travel:
//! - `shape_plain`: whole Arrow IPC stream in, whole stream out.
//! - `shape_raw`: buffers of the touched columns in and out, no Arrow in the guest.
//! - `shape_derived`: the contract as it is; reads four columns, pushes three, the host keeps the rest.

use arrow_array::{Array, Float64Array, Int64Array, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// Text as Arrow holds it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Where each value starts, and where the last ends.
    pub offsets: &'a [i32],
    /// The bytes of all values.
    pub bytes: &'a [u8],
    /// One bit a row, 1 = there is a value; `None` = all.
    pub validity: Option<&'a [u8]>,
}

impl<'a> Text<'a> {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row; `None` where it is null.
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        let valid = self.validity.is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
        valid.then(|| &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize])
    }
}

/// Numbers with one bit a row, 1 = there is a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers<T> {
    /// The numbers.
    pub values: Vec<T>,
    /// The bits.
    pub validity: Vec<u8>,
}

/// Reads numbers; what is none becomes null.
pub fn parse<T: std::str::FromStr + Default>(text: Text<'_>) -> Numbers<T> {
    let mut numbers = Numbers { values: Vec::with_capacity(text.len()), validity: vec![0; text.len().div_ceil(8)] };
    for row in 0..text.len() {
        let number = text.get(row).and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| text.trim().parse().ok());
        numbers.validity[row / 8] |= u8::from(number.is_some()) << (row % 8);
        numbers.values.push(number.unwrap_or_default());
    }
    numbers
}

/// Text that is made here.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeText {
    /// Where each value starts, and where the last ends.
    pub offsets: Vec<i32>,
    /// The bytes of all values.
    pub bytes: Vec<u8>,
}

/// Makes `name (city)`; null is empty.
pub fn label(name: Text<'_>, city: Text<'_>) -> MadeText {
    let mut made = MadeText {
        offsets: Vec::with_capacity(name.len() + 1),
        bytes: Vec::with_capacity(name.bytes.len() + city.bytes.len() + 3 * name.len()),
    };
    made.offsets.push(0);
    for row in 0..name.len() {
        made.bytes.extend_from_slice(name.get(row).unwrap_or_default());
        made.bytes.extend_from_slice(b" (");
        made.bytes.extend_from_slice(city.get(row).unwrap_or_default());
        made.bytes.push(b')');
        made.offsets.push(made.bytes.len() as i32);
    }
    made
}

/// Does the work on arrays: `name`, `city`, `quantity`, `price` in; `quantity`, `price`, `label` out.
pub fn work(
    name: &StringArray,
    city: &StringArray,
    quantity: &StringArray,
    price: &StringArray,
) -> (Int64Array, Float64Array, StringArray) {
    let quantity = parse::<i64>(view(quantity));
    let price = parse::<f64>(view(price));
    let label = label(view(name), view(city));
    let bits =
        |validity: Vec<u8>, rows: usize| Some(NullBuffer::new(arrow_buffer::BooleanBuffer::new(Buffer::from_vec(validity), 0, rows)));
    let rows = name.len();
    (
        Int64Array::new(quantity.values.into(), bits(quantity.validity, rows)),
        Float64Array::new(price.values.into(), bits(price.validity, rows)),
        StringArray::new(OffsetBuffer::new(ScalarBuffer::from(label.offsets)), Buffer::from_vec(label.bytes), None),
    )
}

/// Looks at an array that is not sliced, as those are that come out of a message.
fn view(array: &StringArray) -> Text<'_> {
    Text { offsets: array.value_offsets(), bytes: array.value_data(), validity: array.nulls().map(NullBuffer::validity) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_numbers_and_a_label() {
        let text = |values: [Option<&str>; 3]| StringArray::from(values.to_vec());
        let (quantity, price, label) = work(
            &text([Some("Ada"), None, Some("Emmy")]),
            &text([Some("London"), Some("Rome"), None]),
            &text([Some("3"), Some("x"), None]),
            &text([Some(" 1.5"), None, Some("2e3")]),
        );
        assert_eq!(quantity, Int64Array::from(vec![Some(3), None, None]));
        assert_eq!(price, Float64Array::from(vec![Some(1.5), None, Some(2000.0)]));
        assert_eq!(label, StringArray::from(vec!["Ada (London)", " (Rome)", "Emmy ()"]));
    }
}
