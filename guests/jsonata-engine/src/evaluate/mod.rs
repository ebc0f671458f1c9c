//! Evaluates a tree on an input.

mod arguments;
mod call;
mod frame;
mod function;
mod group;
mod node;
mod operator;
mod path;
mod results;
mod sort;
mod transform;
mod tuple;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) use arguments::Arguments;
pub(crate) use frame::{Environment, Frame};
pub(crate) use function::{Closure, Function};
pub(crate) use node::{Node, compile};
use node::{NodeKind, Path, Stage, Step};
pub(crate) use operator::{are_numbers, is_number, truth};
pub(crate) use sort::merge_sort;
pub(crate) use transform::endless;

use crate::random::Random;
use crate::value::{Array, Flags, Key, MAX_DEPTH};
use crate::{Failure, Limits, Value};

/// What an evaluation comes to.
pub(crate) type Outcome<T = Value> = Result<T, Box<Failure>>;

/// Turns between two looks at the clock.
const LOOK: u64 = 1024;

/// What evaluations of one expression share.
pub(crate) struct Evaluator {
    depth: usize,
    max_depth: usize,
    /// Calls at the ends of functions that are within each other.
    tail_calls: usize,
    pub(crate) max_sequence: usize,
    time: Option<Duration>,
    deadline: Option<Instant>,
    /// Turns of JavaScript's queue so far: which of the reference's items fails first hangs on them.
    pub(crate) turns: u64,
    /// The turn at which the clock is looked at next, or at which something else has failed already.
    alarm: u64,
    /// The turn at which something else has failed.
    overtaken: u64,
    /// Whether an object was put into itself.
    has_endless: bool,
    pub(crate) now_ms: f64,
    pub(crate) random: Random,
    /// Expressions of `$eval`, compiled.
    evaluated: HashMap<Rc<str>, Rc<Node>>,
    /// Makes one function of two.
    chain: Option<Rc<Node>>,
    /// Places whose functions outlive them.
    left: Vec<Environment>,
    /// Places that were left and can be used again.
    spare: Vec<Environment>,
    /// Room for a text that is put together.
    text: String,
    /// The variable that holds the input, `$$`.
    root: Key,
}

/// Places that are kept for use again.
const SPARE: usize = 64;

/// Expressions of `$eval` that are kept compiled.
const EVALUATED: usize = 256;

impl Evaluator {
    pub(crate) fn new(limits: &Limits, now_ms: i64, seed: u64) -> Self {
        let Limits { depth, time_ms, sequence } = *limits;
        let random = Random::default();
        random.seed(seed);
        Self {
            depth: 0,
            max_depth: depth,
            tail_calls: 0,
            max_sequence: sequence,
            time: time_ms.map(Duration::from_millis),
            deadline: None,
            turns: 0,
            alarm: LOOK,
            overtaken: u64::MAX,
            has_endless: false,
            now_ms: now_ms as f64,
            random,
            evaluated: HashMap::new(),
            chain: None,
            left: Vec::new(),
            spare: Vec::new(),
            text: String::new(),
            root: Key::of("$"),
        }
    }

    /// Evaluates a tree on an input with the variables of a frame.
    pub(crate) fn run(&mut self, node: &Node, input: &Value, bindings: &[(Key, Value)]) -> Outcome {
        self.depth = 0;
        self.deadline = self.time.map(|time| Instant::now() + time);
        (self.turns, self.alarm, self.overtaken, self.has_endless) = (0, LOOK, u64::MAX, false);
        let mut variables = Vec::with_capacity(bindings.len() + 1);
        variables.extend_from_slice(bindings);
        let frame = Frame::new(None, variables);
        frame.bind(self.root, input.clone());
        let value = match input {
            Value::Array(_) => {
                let outer = Value::Array(Rc::new(Array::new(vec![input.clone()], Flags::SEQUENCE | Flags::OUTER)));
                self.evaluate(node, &outer, &frame)
            }
            input => self.evaluate(node, input, &frame),
        };
        frame.clear();
        self.left.drain(..).for_each(|frame| frame.clear());
        if let (true, Ok(value)) = (self.has_endless, &value) {
            transform::finite(value)?;
        }
        value
    }

    /// Goes one level deeper.
    #[inline]
    fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        self.turns += 1;
        if self.depth > self.max_depth || self.turns >= self.alarm { self.check() } else { Ok(()) }
    }

    #[cold]
    fn check(&mut self) -> Outcome<()> {
        if self.depth > self.max_depth {
            return Err(self.too_deep());
        }
        if self.turns >= self.overtaken {
            return Err(Failure::new("D1012", "something else failed before").into());
        }
        self.alarm = (self.turns + LOOK).min(self.overtaken);
        match (self.deadline, self.time) {
            (Some(deadline), Some(time)) if Instant::now() > deadline => {
                Err(Failure::new("D1012", format!("evaluation takes longer than {} ms: is a loop without end?", time.as_millis())).into())
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn too_deep(&self) -> Box<Failure> {
        let message = format!("more than {} evaluations within each other: is a recursion without end?", self.max_depth);
        Failure::new("D1011", message).into()
    }

    /// Checks that a sequence of so many items may be.
    #[inline]
    pub(crate) fn check_length(&self, length: usize) -> Outcome<()> {
        if length <= self.max_sequence {
            return Ok(());
        }
        Err(Failure::new("D2015", format!("a sequence of more than {} items", self.max_sequence)).into())
    }

    /// Evaluates a piece of an expression.
    #[inline]
    pub(crate) fn evaluate(&mut self, node: &Node, input: &Value, env: &Environment) -> Outcome {
        match &node.kind {
            NodeKind::Literal(value) if node.more.is_none() => {
                self.turns += 1;
                Ok(value.clone())
            }
            NodeKind::Field(name) if self.depth + 2 <= self.max_depth => {
                self.turns += 4;
                Ok(path::field(name, input))
            }
            _ => self.evaluate_node(node, input, env),
        }
    }

    fn evaluate_node(&mut self, node: &Node, input: &Value, env: &Environment) -> Outcome {
        self.enter()?;
        let mut value = self.dispatch(node, input, env)?;
        if let Some(more) = &node.more {
            value = self.more(more, value, env)?;
        }
        self.depth -= 1;
        match &value {
            Value::Array(array) if array.is(Flags::SEQUENCE) => Ok(settle(array, node.keep_array)),
            _ => Ok(value),
        }
    }

    #[inline(never)]
    fn more(&mut self, more: &node::More, mut value: Value, env: &Environment) -> Outcome {
        for predicate in &more.predicates {
            value = self.filter(predicate, value, env)?;
        }
        match &more.group {
            Some(group) => self.group(group, &value, env),
            None => Ok(value),
        }
    }

    fn dispatch(&mut self, node: &Node, input: &Value, env: &Environment) -> Outcome {
        match &node.kind {
            NodeKind::Path(path) => self.path(path, input, env),
            NodeKind::Field(name) => Ok(path::field(name, input)),
            NodeKind::Concatenate(parts) => self.concatenate(parts, input, env),
            NodeKind::Binary(operator, sides) => self.binary(*operator, sides, node.position, input, env),
            NodeKind::Call(call) => self.call(call, None, input, env),
            NodeKind::Variable(key) => Ok(self.variable(*key, env)),
            NodeKind::Context => Ok(match input {
                Value::Array(array) if array.is(Flags::OUTER) => array[0].clone(),
                input => input.clone(),
            }),
            NodeKind::Literal(value) => Ok(value.clone()),
            NodeKind::Name(name) => Ok(path::named(name, input)),
            NodeKind::Builtin(_, function) => Ok(function.clone()),
            NodeKind::Object(group) => self.group(group, input, env),
            NodeKind::Array(items, is_constructed) => self.array(items, *is_constructed, input, env),
            NodeKind::Condition(parts) => self.condition(parts, input, env),
            NodeKind::Block(parts, binds) => self.block(parts, *binds, input, env),
            NodeKind::Bind(key, value) => {
                self.turns += 1;
                let value = self.evaluate(value, input, env)?;
                env.bind(*key, value.clone());
                Ok(value)
            }
            NodeKind::Lambda(lambda) => Ok(closure(lambda, input, env)),
            NodeKind::Thunk(call) => Ok(Value::function(Function::Thunk(call.clone(), input.clone(), env.clone()))),
            _ => self.dispatch_rare(node, input, env),
        }
    }

    #[inline(never)]
    fn dispatch_rare(&mut self, node: &Node, input: &Value, env: &Environment) -> Outcome {
        match &node.kind {
            NodeKind::Wildcard => self.wildcard(input),
            NodeKind::Descendant => self.descendants(input),
            NodeKind::Parent(key) => Ok(env.lookup(*key).unwrap_or_default()),
            NodeKind::Negate(inner) => self.negate(inner, node.position, input, env),
            NodeKind::Apply(sides) => self.chained(sides, node.position, input, env),
            NodeKind::Partial(call) => self.partial(call, input, env),
            NodeKind::Transform(transform) => Ok(Value::function(Function::Transform(transform.clone(), env.clone()))),
            // A `?` that is no argument of a partial application; a sort is a step and nothing else.
            _ => Ok(Value::Undefined),
        }
    }

    /// The value of a variable, or a function of the language.
    #[inline]
    pub(crate) fn variable(&self, key: Key, env: &Environment) -> Value {
        match env.lookup(key) {
            Some(value) => value,
            None => builtin_of(key),
        }
    }

    #[inline(never)]
    fn condition(&mut self, parts: &(Node, Node, Option<Node>), input: &Value, env: &Environment) -> Outcome {
        let (condition, then, other) = parts;
        self.turns += 1;
        let holds = self.evaluate(condition, input, env)?;
        match (operator::truth(&holds)?, other) {
            (Some(true), _) => self.evaluate(then, input, env),
            (_, Some(other)) => self.evaluate(other, input, env),
            (_, None) => Ok(Value::Undefined),
        }
    }

    #[inline(never)]
    fn block(&mut self, parts: &[Node], binds: bool, input: &Value, env: &Environment) -> Outcome {
        self.turns += 1;
        if !binds {
            let mut last = Value::Undefined;
            for part in parts {
                last = self.evaluate(part, input, env)?;
            }
            return Ok(last);
        }
        let frame = Frame::within(env);
        let mut last = Ok(Value::Undefined);
        for part in parts {
            last = self.evaluate(part, input, &frame);
            if last.is_err() {
                break;
            }
        }
        self.leave(frame);
        last
    }

    /// Leaves a place; its functions must not hold it for ever.
    #[inline]
    fn leave(&mut self, mut frame: Environment) {
        if let Some(own) = Rc::get_mut(&mut frame) {
            if self.spare.len() < SPARE {
                own.empty();
                self.spare.push(frame);
            }
            return;
        }
        if !frame.has_function() {
            return;
        }
        if frame.is_only_held_by_itself() {
            frame.clear();
        } else {
            self.left.push(frame);
        }
    }

    #[inline(never)]
    fn array(&mut self, items: &[Node], is_constructed: bool, input: &Value, env: &Environment) -> Outcome {
        let mut values = Vec::with_capacity(items.len());
        let made = self.side_by_side(1, items, |evaluator, item| {
            match evaluator.evaluate(item, input, env)? {
                Value::Undefined => {}
                Value::Array(list) if !matches!(item.kind, NodeKind::Array(..)) => match Rc::try_unwrap(list) {
                    Ok(list) if values.is_empty() => values = list.into_items(),
                    Ok(list) => values.extend(list.into_items()),
                    Err(list) => values.extend_from_slice(&list),
                },
                value => values.push(value),
            }
            Ok(())
        });
        made?;
        self.check_length(values.len())?;
        let flags = if is_constructed { Flags::CONSTRUCTED } else { Flags::NONE };
        checked(Value::Array(Rc::new(Array::new(values, flags))))
    }

    /// Does something with each of several, which the reference begins all at once: where several fail, the one that takes the fewest turns
    /// is what it tells of.
    fn side_by_side<T>(
        &mut self,
        turns: u64,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Outcome<()>,
    ) -> Outcome<()> {
        let (depth, overtaken) = (self.depth, self.overtaken);
        self.turns += 2 + turns;
        let start = self.turns;
        let mut last = start;
        let mut failed: Option<(u64, Box<Failure>)> = None;
        for item in items {
            self.turns = start;
            let done = each(self, item);
            match (done, &failed) {
                (Ok(()), _) => last = last.max(self.turns),
                (Err(failure), None) => {
                    failed = Some((self.turns, failure));
                    self.depth = depth;
                    self.overtaken = overtaken.min(self.turns);
                    self.alarm = self.alarm.min(self.overtaken);
                }
                (Err(failure), Some((turns, _))) => {
                    self.depth = depth;
                    if self.turns < *turns {
                        self.overtaken = overtaken.min(self.turns);
                        self.alarm = self.alarm.min(self.overtaken);
                        failed = Some((self.turns, failure));
                    }
                }
            }
        }
        self.overtaken = overtaken;
        match failed {
            None => {
                self.turns = last;
                Ok(())
            }
            Some((turns, failure)) => {
                self.turns = turns;
                Err(failure)
            }
        }
    }

    /// The expression of `$eval`, compiled.
    pub(crate) fn compiled(&mut self, text: &Rc<str>) -> Result<Rc<Node>, Failure> {
        if let Some(node) = self.evaluated.get(text) {
            return Ok(node.clone());
        }
        let node = Rc::new(compile(crate::syntax::parse(text)?, false));
        if self.evaluated.len() == EVALUATED {
            self.evaluated.clear();
        }
        self.evaluated.insert(text.clone(), node.clone());
        Ok(node)
    }
}

/// A function of an expression.
fn closure(lambda: &Rc<node::Lambda>, input: &Value, env: &Environment) -> Value {
    Value::function(Function::Closure(Closure { lambda: lambda.clone(), left: None, input: input.clone(), environment: env.clone() }))
}

fn builtin_of(key: Key) -> Value {
    match crate::builtin::of_key(key) {
        Some(builtin) => Value::function(Function::Builtin(builtin)),
        None => Value::Undefined,
    }
}

/// What a sequence is as the value of an expression: nothing for no item, and the item where there is one.
fn settle(array: &Rc<Array>, keep_array: bool) -> Value {
    match &***array {
        _ if array.is(Flags::TUPLES) => Value::Array(array.clone()),
        [] => Value::Undefined,
        [item] if !keep_array && !array.is(Flags::KEEP_SINGLETON) => item.clone(),
        [item] if !array.is(Flags::KEEP_SINGLETON) => {
            Value::Array(Rc::new(Array::new(vec![item.clone()], array.flags | Flags::KEEP_SINGLETON)))
        }
        _ => Value::Array(array.clone()),
    }
}

/// A value that does not nest too deep.
#[inline]
pub(crate) fn checked(value: Value) -> Outcome {
    if value.depth() <= MAX_DEPTH {
        return Ok(value);
    }
    Err(Failure::new("D1011", format!("a value nests deeper than {MAX_DEPTH} levels")).into())
}
