//! The functions that the language has.

mod aggregate;
mod array;
mod coerce;
mod higher_order;
mod matcher;
mod number;
mod object;
mod other;
mod text;

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::{LazyLock, OnceLock};

pub(crate) use array::append;
pub(crate) use matcher::{find_match, find_next};

use crate::evaluate::{Arguments, Environment, Evaluator, Outcome};
use crate::signature::Signature;
use crate::value::Key;
use crate::{Failure, Value};

/// What a function is called in.
pub(crate) struct Context<'a> {
    pub(crate) input: &'a Value,
    pub(crate) env: &'a Environment,
}

type Call = fn(&mut Evaluator, &mut Arguments, &Context<'_>) -> Outcome;

/// A function of the language.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    signature: &'static str,
    parsed: OnceLock<Signature>,
    /// Parameters as JavaScript counts them: those that have no default.
    pub(crate) arity: usize,
    /// Parameters that can be given one by one; `None` where the reference cannot read their names.
    pub(crate) parameters: Option<usize>,
    pub(crate) call: Call,
}

impl Builtin {
    const fn new(name: &'static str, signature: &'static str, arity: usize, call: Call) -> Self {
        // A function without parameters takes one whose name is empty.
        let parameters = Some(if arity == 0 { 1 } else { arity });
        Self { name, signature, parsed: OnceLock::new(), arity, parameters, call }
    }

    /// A function whose parameters have defaults, which the reference trips over where some of them are given.
    const fn with_defaults(name: &'static str, signature: &'static str, arity: usize, call: Call) -> Self {
        Self { name, signature, parsed: OnceLock::new(), arity, parameters: None, call }
    }

    /// Whether it gives the same with the same constants, so many of them, and makes no use of what is around it.
    pub(crate) fn is_constant(&self, arguments: usize) -> bool {
        match self.name {
            "now" | "millis" | "random" | "shuffle" | "eval" | "error" | "assert" => false,
            // What a picture leaves out is of today.
            "toMillis" => arguments == 1,
            // Large texts are made when they are asked for.
            "pad" | "formatInteger" => false,
            _ => true,
        }
    }

    #[inline]
    pub(crate) fn signature(&self) -> &Signature {
        self.parsed.get_or_init(|| Signature::parse(self.signature).expect("signatures of the language are well formed"))
    }
}

static BUILTINS: [Builtin; 65] = [
    Builtin::new("sum", "<a<n>:n>", 1, aggregate::sum),
    Builtin::new("count", "<a:n>", 1, aggregate::count),
    Builtin::new("max", "<a<n>:n>", 1, aggregate::max),
    Builtin::new("min", "<a<n>:n>", 1, aggregate::min),
    Builtin::new("average", "<a<n>:n>", 1, aggregate::average),
    Builtin::with_defaults("string", "<x-b?:s>", 1, text::string),
    Builtin::new("substring", "<s-nn?:s>", 3, text::substring),
    Builtin::new("substringBefore", "<s-s:s>", 2, text::substring_before),
    Builtin::new("substringAfter", "<s-s:s>", 2, text::substring_after),
    Builtin::new("lowercase", "<s-:s>", 1, text::lowercase),
    Builtin::new("uppercase", "<s-:s>", 1, text::uppercase),
    Builtin::new("length", "<s-:n>", 1, text::length),
    Builtin::new("trim", "<s-:s>", 1, text::trim),
    Builtin::new("pad", "<s-ns?:s>", 3, text::pad),
    Builtin::new("match", "<s-f<s:o>n?:a<o>>", 3, matcher::matches),
    Builtin::new("contains", "<s-(sf):b>", 2, matcher::contains),
    Builtin::new("replace", "<s-(sf)(sf)n?:s>", 4, matcher::replace),
    Builtin::new("split", "<s-(sf)n?:a<s>>", 3, matcher::split),
    Builtin::new("join", "<a<s>s?:s>", 2, text::join),
    Builtin::new("formatNumber", "<n-so?:s>", 3, number::format_number),
    Builtin::new("formatBase", "<n-n?:s>", 2, number::format_base),
    Builtin::new("formatInteger", "<n-s:s>", 2, number::format_integer),
    Builtin::new("parseInteger", "<s-s:n>", 2, number::parse_integer),
    Builtin::new("number", "<(nsb)-:n>", 1, number::number),
    Builtin::new("floor", "<n-:n>", 1, number::floor),
    Builtin::new("ceil", "<n-:n>", 1, number::ceil),
    Builtin::new("round", "<n-n?:n>", 2, number::round),
    Builtin::new("abs", "<n-:n>", 1, number::abs),
    Builtin::new("sqrt", "<n-:n>", 1, number::sqrt),
    Builtin::new("power", "<n-n:n>", 2, number::power),
    Builtin::new("random", "<:n>", 0, number::random),
    Builtin::new("boolean", "<x-:b>", 1, other::boolean),
    Builtin::new("not", "<x-:b>", 1, other::not),
    Builtin::new("map", "<af>", 2, higher_order::map),
    Builtin::new("zip", "<a+>", 0, array::zip),
    Builtin::new("filter", "<af>", 2, higher_order::filter),
    Builtin::new("single", "<af?>", 2, higher_order::single),
    Builtin::new("reduce", "<afj?:j>", 3, higher_order::reduce),
    Builtin::new("sift", "<o-f?:o>", 2, higher_order::sift),
    Builtin::new("keys", "<x-:a<s>>", 1, object::keys),
    Builtin::new("lookup", "<x-s:x>", 2, object::lookup),
    Builtin::new("append", "<xx:a>", 2, array::append_all),
    Builtin::new("exists", "<x:b>", 1, other::exists),
    Builtin::new("spread", "<x-:a<o>>", 1, object::spread),
    Builtin::new("merge", "<a<o>:o>", 1, object::merge),
    Builtin::new("reverse", "<a:a>", 1, array::reverse),
    Builtin::new("each", "<o-f:a>", 2, higher_order::each),
    Builtin::new("error", "<s?:x>", 1, other::error),
    Builtin::new("assert", "<bs?:x>", 2, other::assert),
    Builtin::new("type", "<x:s>", 1, other::type_of),
    Builtin::new("sort", "<af?:a>", 2, higher_order::sort),
    Builtin::new("shuffle", "<a:a>", 1, array::shuffle),
    Builtin::new("distinct", "<x:x>", 1, array::distinct),
    Builtin::new("base64encode", "<s-:s>", 1, text::base64_encode),
    Builtin::new("base64decode", "<s-:s>", 1, text::base64_decode),
    Builtin::new("encodeUrlComponent", "<s-:s>", 1, text::encode_url_component),
    Builtin::new("encodeUrl", "<s-:s>", 1, text::encode_url),
    Builtin::new("decodeUrlComponent", "<s-:s>", 1, text::decode_url_component),
    Builtin::new("decodeUrl", "<s-:s>", 1, text::decode_url),
    Builtin::new("eval", "<sx?:x>", 2, other::eval),
    Builtin::new("toMillis", "<s-s?:n>", 2, number::to_millis),
    Builtin::new("fromMillis", "<n-s?s?:s>", 3, number::from_millis),
    Builtin::new("clone", "<(oa)-:o>", 1, other::clone),
    Builtin::new("now", "<s?s?:s>", 2, number::now),
    Builtin::new("millis", "<:n>", 0, number::millis),
];

/// The signature of a transform.
pub(crate) static TRANSFORM: LazyLock<Signature> =
    LazyLock::new(|| Signature::parse("<(oa):o>").expect("signatures of the language are well formed"));

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

thread_local! {
    static BY_KEY: OnceCell<Vec<(Key, &'static Builtin)>> = const { OnceCell::new() };
}

/// The function of that name, as a number.
pub(crate) fn of_key(key: Key) -> Option<&'static Builtin> {
    BY_KEY.with(|known| {
        let known = known.get_or_init(|| {
            let mut known: Vec<_> = BUILTINS.iter().map(|builtin| (Key::of(builtin.name), builtin)).collect();
            known.sort_unstable_by_key(|(key, _)| *key);
            known
        });
        known.binary_search_by_key(&key, |(key, _)| *key).ok().map(|place| known[place].1)
    })
}

/// Whether an object may not have that name, since the reference marks functions by it.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, "_jsonata_lambda" | "_jsonata_function")
}

/// An argument of a kind that the function cannot work on, which its signature lets pass or nobody checked.
fn unfit(index: usize, value: &Value) -> Box<Failure> {
    Box::new(Failure::new("T0410", format!("argument {} is {}, which the function cannot work on", index + 1, crate::describe(value))))
}

/// A text argument; `None` where it is not given.
fn text_of(arguments: &Arguments, index: usize) -> Outcome<Option<Rc<str>>> {
    match arguments.get(index) {
        None | Some(Value::Undefined) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(value) => Err(unfit(index, value)),
    }
}

/// A text argument that must be given.
fn needed_text(arguments: &Arguments, index: usize) -> Outcome<Rc<str>> {
    text_of(arguments, index)?.ok_or_else(|| unfit(index, &Value::Undefined))
}

/// A number argument; `None` where it is not given.
fn number_of(arguments: &Arguments, index: usize) -> Outcome<Option<f64>> {
    match arguments.get(index) {
        None | Some(Value::Undefined) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(*number)),
        Some(value) => coerce::to_number(value).map(Some),
    }
}

fn is_missing(arguments: &Arguments, index: usize) -> bool {
    arguments.get(index).is_none_or(Value::is_undefined)
}
