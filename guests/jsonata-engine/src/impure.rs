//! The functions that would make two runs differ, as ours: time is the run's, chance comes from its seed.

use std::rc::Rc;

use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context, Evaluator, EvaluatorError};
use jsonata_core::value::JValue as Value;

use crate::random::Random;
use crate::rewrite::only_called;

/// Names of the host's functions. They hold a space, so no expression can spell them.
const RANDOM: &str = "host random";
const SHUFFLE: &str = "host shuffle";

const NO_SPACE: &str = "no function of the language has a space in its name";

/// Whether an expression may name one of these functions otherwise than to call it. `$eval` may name anything.
pub(crate) fn may_use(text: &str) -> bool {
    text.contains("eval") || ["now", "millis", "random", "shuffle"].iter().any(|name| text.contains(name) && !only_called(text, name))
}

/// Binds the functions as values, so that they are ours wherever an expression names them.
pub(crate) fn bind(context: &mut Context, now_ms: i64) {
    let now = call("fromMillis", vec![AstNode::number(now_ms as f64), AstNode::variable("picture"), AstNode::variable("zone")]);
    for (name, parameters, signature, body) in [
        ("now", vec!["picture".into(), "zone".into()], "<s?s?:s>", now),
        ("millis", vec![], "<:n>", AstNode::number(now_ms as f64)),
        ("random", vec![], "<:n>", call(RANDOM, vec![])),
        ("shuffle", vec!["items".into()], "<a:a>", call(SHUFFLE, vec![AstNode::variable("items")])),
    ] {
        let function = AstNode::Lambda { params: parameters, body: Box::new(body), signature: Some(signature.into()), thunk: false };
        let value = Evaluator::new().evaluate(&function, &Value::Undefined).expect("a function evaluates to itself");
        context.bind(name.into(), value);
    }
}

/// Gives an evaluator what the functions draw from.
pub(crate) fn register(evaluator: &mut Evaluator, random: &Rc<Random>, now_ms: i64) {
    let drawn = random.clone();
    evaluator.register_fn(RANDOM, move |_: &[Value]| Ok(Value::Number(drawn.fraction()))).expect(NO_SPACE);
    evaluator.register_fn("host millis", move |_: &[Value]| Ok(Value::Number(now_ms as f64))).expect(NO_SPACE);
    let now = now_text(now_ms);
    evaluator.register_fn("host now", move |_: &[Value]| Ok(now.clone())).expect(NO_SPACE);
    let drawn = random.clone();
    evaluator.register_fn(SHUFFLE, move |arguments: &[Value]| shuffle(arguments, &drawn)).expect(NO_SPACE);
}

/// The time as `$now()` writes it.
fn now_text(now_ms: i64) -> Value {
    let text = call("fromMillis", vec![AstNode::number(now_ms as f64)]);
    Evaluator::new().evaluate(&text, &Value::Undefined).unwrap_or(Value::Undefined)
}

/// Fisher and Yates, inside out, as the reference does it.
fn shuffle(arguments: &[Value], random: &Random) -> Result<Value, EvaluatorError> {
    let items = match arguments.first() {
        Some(Value::Array(items)) => items,
        Some(Value::Undefined) | None => return Ok(Value::Undefined),
        Some(item) => return Ok(Value::array(vec![item.clone()])),
    };
    let mut shuffled: Vec<Value> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = (random.fraction() * (index + 1) as f64) as usize;
        shuffled.push(item.clone());
        shuffled.swap(place, index);
    }
    Ok(Value::array(shuffled))
}

fn call(name: &str, args: Vec<AstNode>) -> AstNode {
    AstNode::Function { name: name.into(), args, is_builtin: true }
}
