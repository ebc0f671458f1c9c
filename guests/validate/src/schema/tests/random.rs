//! Random schemas held against random values, by us and by the crate `jsonschema`.

use serde_json::{Map, Value, json};

use super::super::{Schema, explain};

/// Pairs that are compared.
const PAIRS: u64 = 20_000;

/// A small generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let index = self.below(of.len() as u64) as usize;
        of[index].clone()
    }

    fn value(&mut self, depth: u32) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => self.one(&[json!(true), json!(false)]),
            2 => self.one(&[json!(0), json!(1), json!(2), json!(-1), json!(7), json!(1.0), json!(2.5), json!(9_007_199_254_740_993i64)]),
            3 | 4 => self.one(&["", "a", "ab", "abc", "ä", "2024-01-15", "a@b.example", "x1"]).into(),
            5 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let count = self.below(4);
                (0..count).map(|_| (self.one(&NAMES).to_owned(), self.value(depth - 1))).collect::<Map<_, _>>().into()
            }
        }
    }

    /// A schema with definitions that it may refer to.
    fn document(&mut self) -> Value {
        let mut schema = self.schema(3);
        let two = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/two"}}});
        let definitions = json!({"one": self.schema(0), "two": two, "three": {"$anchor": "three", "minLength": 1}});
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("$defs".into(), definitions);
        }
        schema
    }

    fn schema(&mut self, depth: u32) -> Value {
        if self.below(12) == 0 {
            return self.one(&[json!(true), json!(false)]);
        }
        let mut schema = Map::new();
        for _ in 0..1 + self.below(3) {
            let keyword = self.one(if depth == 0 { &KEYWORDS[..LEAVES] } else { &KEYWORDS });
            let value = self.keyword(keyword, depth);
            schema.insert(keyword.into(), value);
        }
        schema.into()
    }

    fn keyword(&mut self, keyword: &str, depth: u32) -> Value {
        let next = depth.saturating_sub(1);
        match keyword {
            "type" => {
                let kinds = ["null", "boolean", "object", "array", "number", "string", "integer"];
                if self.below(2) == 0 {
                    self.one(&kinds).into()
                } else {
                    json!([kinds[self.below(3) as usize], kinds[3 + self.below(4) as usize]])
                }
            }
            "enum" => (0..3)
                .map(|_| self.value(1))
                .fold(Vec::new(), |mut all, value| {
                    if !all.contains(&value) {
                        all.push(value);
                    }
                    all
                })
                .into(),
            "const" => self.value(1),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => self.one(&[json!(0), json!(1), json!(2.5), json!(-3)]),
            "multipleOf" => self.one(&[json!(1), json!(2), json!(0.5)]),
            "pattern" => self.one(&["^a", "b$", "^[a-z]+$", "\\d"]).into(),
            "format" => self.one(&["date", "email", "uuid", "ipv4", "nonsense"]).into(),
            "uniqueItems" => true.into(),
            "required" => json!([self.one(&NAMES)]),
            "dependentRequired" => json!({self.one(&NAMES): [self.one(&NAMES)]}),
            "dependentSchemas" => json!({self.one(&NAMES): self.schema(next)}),
            "properties" => json!({self.one(&NAMES): self.schema(next), "b": self.schema(next)}),
            "patternProperties" => json!({self.one(&["^a", "b", "."]): self.schema(next)}),
            "prefixItems" | "allOf" | "anyOf" | "oneOf" => (0..1 + self.below(3)).map(|_| self.schema(next)).collect(),
            "$ref" => self.one(&["#/$defs/one", "#/$defs/two", "#three"]).into(),
            name if name.starts_with("min") || name.starts_with("max") => self.below(4).into(),
            _ => self.schema(next),
        }
    }
}

const NAMES: [&str; 5] = ["a", "b", "ab", "c", "~/x"];

/// Keywords; those in front hold no schema.
const KEYWORDS: [&str; 40] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
    "dependentRequired",
    "properties",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "prefixItems",
    "items",
    "contains",
    "minContains",
    "maxContains",
    "dependentSchemas",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$ref",
];
const LEAVES: usize = 19;

#[test]
fn random_schemas_are_judged_as_the_crate_does() {
    let mut random = Random(42);
    let (mut held, mut tracked) = (0, 0);
    for number in 0..PAIRS / 5 {
        let schema = random.document();
        let ours = Schema::compile(&schema).unwrap_or_else(|(message, _)| panic!("{schema}: {message}"));
        let theirs = jsonschema::options().should_validate_formats(true).build(&schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        tracked += u64::from(ours.nodes.iter().any(|node| node.tracks));
        for _ in 0..5 {
            let value = random.value(3);
            let holds = ours.holds(&value);
            assert_eq!(holds, theirs.is_valid(&value), "schema {number}: {schema}\nvalue: {value}");
            assert_eq!(holds, explain::explain(&ours, &value).is_none(), "judging and explaining differ: {schema}\nvalue: {value}");
            held += u64::from(holds);
        }
    }
    assert!((PAIRS / 5..PAIRS * 4 / 5).contains(&held), "{held} of {PAIRS} hold: the pairs say little");
    assert!(tracked > 300, "only {tracked} schemas ask what was looked at");
}

/// Random schemas that are objects.
pub(super) fn schemas(count: usize) -> impl Iterator<Item = Value> {
    let mut random = Random(7);
    std::iter::repeat_with(move || random.document()).filter(Value::is_object).take(count)
}
