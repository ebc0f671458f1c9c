//! The columns as they stand between two steps, at configure time: names, types, and where each comes from.

use arrow_schema::{DataType, Field, FieldRef, Schema};

/// Metadata of a field that says what its texts are.
const TEXTS_ARE: &str = "etl:text";

/// A value column in `process`: the input's columns come first, what is computed after them.
pub(crate) type Register = usize;

/// A column under its present name.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// The present name.
    pub(crate) name: String,
    /// Where its values are.
    pub(crate) register: Register,
}

/// What is known of the columns.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The columns in order.
    pub(crate) columns: Vec<Named>,
    registers: Vec<FieldRef>,
    missing: Vec<String>,
}

impl Scope {
    /// Starts with the columns of the input.
    pub(crate) fn new(input: &Schema) -> Self {
        let columns = input.fields().iter().enumerate().map(|(register, field)| Named { name: field.name().clone(), register }).collect();
        Self { columns, registers: input.fields().to_vec(), missing: Vec::new() }
    }

    /// Finds a column's place by its present name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Finds a column by its present name.
    pub(crate) fn find(&self, name: &str) -> Option<Register> {
        self.position(name).map(|position| self.columns[position].register)
    }

    /// As [`Self::find`]; an absent column is noted, to be counted.
    pub(crate) fn find_or_miss(&mut self, name: &str) -> Option<Register> {
        let found = self.find(name);
        if found.is_none() {
            self.miss(name);
        }
        found
    }

    /// Notes that a column is absent.
    pub(crate) fn miss(&mut self, name: &str) {
        if !self.missing.iter().any(|known| known == name) {
            self.missing.push(name.to_owned());
        }
    }

    /// The absent columns that steps asked for.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The type of a register.
    pub(crate) fn data_type(&self, register: Register) -> &DataType {
        self.registers[register].data_type()
    }

    /// Whether a register may hold nulls.
    pub(crate) fn is_nullable(&self, register: Register) -> bool {
        self.registers[register].is_nullable()
    }

    /// Makes a register for what is computed.
    pub(crate) fn add(&mut self, data_type: DataType) -> Register {
        self.registers.push(Field::new("", data_type, true).into());
        self.registers.len() - 1
    }

    /// Makes a register for what another one becomes: its nulls mean what they meant, its texts do not.
    pub(crate) fn add_like(&mut self, from: Register, data_type: DataType) -> Register {
        let mut metadata = self.registers[from].metadata().clone();
        metadata.remove(TEXTS_ARE);
        let field = Field::new("", data_type, true).with_metadata(metadata);
        self.registers.push(field.into());
        self.registers.len() - 1
    }

    /// Whether a register is of texts that are each that of a JSON value.
    pub(crate) fn is_json_text(&self, register: Register) -> bool {
        self.registers[register].metadata().contains_key(TEXTS_ARE)
    }

    /// Counts the registers.
    pub(crate) fn width(&self) -> usize {
        self.registers.len()
    }

    /// Lets a name stand for a register: in its place where the name is known, else at the end.
    pub(crate) fn set(&mut self, name: &str, register: Register) {
        match self.position(name) {
            Some(position) => self.columns[position].register = register,
            None => self.columns.push(Named { name: name.to_owned(), register }),
        }
    }

    /// The fields of the columns in order.
    pub(crate) fn fields(&self) -> Vec<FieldRef> {
        let field = |column: &Named| {
            let field = &self.registers[column.register];
            if field.name() == &column.name { field.clone() } else { field.as_ref().clone().with_name(&column.name).into() }
        };
        self.columns.iter().map(field).collect()
    }

    /// The names of the columns, for a message.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().take(40).map(|column| column.name.as_str()).collect();
        let more = if self.columns.len() > names.len() { " …" } else { "" };
        format!("{}{more}", names.join(" "))
    }
}
