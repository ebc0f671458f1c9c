//! An object: its names are shared by all objects that were made in the same place.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::Value;

/// Names up to which looking through them is faster than a table.
const FEW: usize = 8;

thread_local! {
    static SHAPES: Cell<u64> = const { Cell::new(1) };
}

/// The names of an object, in order.
#[derive(Debug)]
pub(crate) struct Shape {
    /// No other shape has or had it.
    id: u64,
    names: Vec<Rc<str>>,
    places: Option<HashMap<Rc<str>, u32>>,
}

impl Shape {
    /// Names that differ from each other.
    pub(crate) fn new(names: Vec<Rc<str>>) -> Rc<Self> {
        let id = SHAPES.get();
        SHAPES.set(id + 1);
        let places = (names.len() > FEW).then(|| (0..).zip(&names).map(|(place, name)| (name.clone(), place)).collect());
        Rc::new(Self { id, names, places })
    }

    #[inline]
    fn place(&self, name: &str) -> Option<usize> {
        match &self.places {
            None => self.names.iter().position(|other| &**other == name),
            Some(places) => places.get(name).map(|&place| place as usize),
        }
    }

    pub(crate) fn names(&self) -> &[Rc<str>] {
        &self.names
    }
}

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    shape: Rc<Shape>,
    values: Vec<Value>,
    depth: u32,
    /// Whether an expression made it: JavaScript then has no text for it.
    pub(crate) is_bare: bool,
}

impl Object {
    /// Makes an object of values in the order of their names.
    #[inline]
    pub(crate) fn new(shape: Rc<Shape>, values: Vec<Value>) -> Self {
        debug_assert_eq!(shape.names.len(), values.len());
        let depth = 1 + values.iter().map(Value::depth).max().unwrap_or_default();
        Self { shape, values, depth, is_bare: false }
    }

    /// Makes an object as an expression does.
    #[inline]
    pub(crate) fn bare(shape: Rc<Shape>, values: Vec<Value>) -> Self {
        Self { is_bare: true, ..Self::new(shape, values) }
    }

    /// The value of a name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.shape.place(name).map(|place| &self.values[place])
    }

    /// The value of a name, whose place is remembered for the next object of the same shape.
    #[inline]
    pub(crate) fn get_at(&self, name: &str, seen: &Cell<(u64, u32)>) -> Option<&Value> {
        let (id, place) = seen.get();
        if id == self.shape.id {
            return self.values.get(place as usize);
        }
        let place = self.shape.place(name);
        // A place behind all values stands for none.
        seen.set((self.shape.id, place.map_or(u32::MAX, |place| place as u32)));
        place.map(|place| &self.values[place])
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Rc<str>, &Value)> {
        self.shape.names.iter().zip(&self.values)
    }

    /// Names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Rc<str>> {
        self.shape.names.iter()
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    #[inline]
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    pub(crate) fn shape(&self) -> &Rc<Shape> {
        &self.shape
    }
}

/// The value of a name in what may be no object.
#[inline]
pub(crate) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(name),
        _ => None,
    }
}

/// An object that grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    names: Vec<Rc<str>>,
    values: Vec<Value>,
    places: Option<HashMap<Rc<str>, u32>>,
    /// Whether a name is an index, which JavaScript puts first.
    has_index: bool,
}

impl Members {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { names: Vec::with_capacity(capacity), values: Vec::with_capacity(capacity), ..Self::default() }
    }

    pub(crate) fn of(object: &Object) -> Self {
        let mut members = Self::with_capacity(object.len());
        object.iter().for_each(|(name, value)| members.insert(name.clone(), value.clone()));
        members
    }

    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        match &self.places {
            None => self.names.iter().position(|other| &**other == name),
            Some(places) => places.get(name).map(|&place| place as usize),
        }
    }

    /// Sets a member; a new one comes last.
    pub(crate) fn insert(&mut self, name: Rc<str>, value: Value) {
        match self.place(&name) {
            Some(place) => self.values[place] = value,
            None => self.push(name, value),
        }
    }

    /// Adds a member that is not there.
    pub(crate) fn push(&mut self, name: Rc<str>, value: Value) {
        self.has_index |= is_index(&name);
        if let Some(places) = &mut self.places {
            places.insert(name.clone(), self.names.len() as u32);
        }
        self.names.push(name);
        self.values.push(value);
        if self.places.is_none() && self.names.len() > FEW {
            self.places = Some((0..).zip(&self.names).map(|(place, name)| (name.clone(), place)).collect());
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(place) = self.place(name) {
            self.names.remove(place);
            self.values.remove(place);
            self.places = None;
            if self.names.len() > FEW {
                self.places = Some((0..).zip(&self.names).map(|(place, name)| (name.clone(), place)).collect());
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Names and values in the order in which JavaScript lists them.
    pub(crate) fn into_parts(self) -> (Vec<Rc<str>>, Vec<Value>) {
        let Self { names, values, places: _, has_index } = self;
        if !has_index {
            return (names, values);
        }
        let mut members: Vec<_> = names.into_iter().zip(values).collect();
        members.sort_by_key(|(name, _)| index(name).unwrap_or(u32::MAX));
        members.into_iter().unzip()
    }

    pub(crate) fn into_object(self) -> Object {
        let (names, values) = self.into_parts();
        Object::new(Shape::new(names), values)
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(Rc::new(self.into_object()))
    }

    /// As an expression makes it.
    pub(crate) fn into_bare(self) -> Value {
        Value::Object(Rc::new(Object { is_bare: true, ..self.into_object() }))
    }
}

#[inline]
pub(crate) fn is_index(name: &str) -> bool {
    name.as_bytes().first().is_some_and(u8::is_ascii_digit) && index(name).is_some()
}

/// The number that a name spells as JavaScript would, less than 2^32 - 1.
fn index(name: &str) -> Option<u32> {
    let digits = name.as_bytes();
    let plain = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| name.parse().ok().filter(|&index| index < u32::MAX))?
}
