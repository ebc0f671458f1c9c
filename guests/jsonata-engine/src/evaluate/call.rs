//! Calls of functions.

use std::rc::Rc;

use super::node::Call;
use super::{Arguments, Closure, Environment, Evaluator, Frame, Function, Node, NodeKind, Outcome, checked};
use crate::builtin::{self, Builtin, Context};
use crate::value::Callable;
use crate::{Failure, Value};

/// Makes one function of two.
const CHAIN: &str = "function($f, $g) { function($x){ $g($f($x)) } }";

impl Evaluator {
    /// A call; `first` is an argument that `~>` puts before the others.
    #[inline(never)]
    pub(super) fn call(&mut self, call: &Rc<Call>, first: Option<Value>, input: &Value, env: &Environment) -> Outcome {
        // For the function, its application, and that once more.
        self.turns += 3;
        if let (NodeKind::Builtin(builtin, _), None) = (&call.procedure.kind, &call.procedure.more) {
            // The depth that looking up the function would take.
            self.enter()?;
            self.depth -= 1;
            let mut arguments = Arguments::default();
            self.arguments(call, first, input, env, &mut arguments)?;
            let context = Context { input, env };
            let value = builtin.signature().validate(&mut arguments, input).map_err(Box::new);
            let value = value.and_then(|()| (builtin.call)(self, &mut arguments, &context));
            let value = value.map_err(|failure| of_builtin(failure, builtin));
            return value.and_then(|value| self.trampoline(value, input, env)).map_err(|failure| placed(failure, call));
        }
        let procedure = self.evaluate(&call.procedure, input, env)?;
        if procedure.is_undefined()
            && let Some(key) = call.misspelt
            && self.variable(key, env).is_truthy()
        {
            let name = key.name();
            let message = format!("`{name}` is not a function; did you mean `${name}`?");
            return Err(placed(Failure::new("T1005", message).into(), call));
        }
        let mut arguments = Arguments::default();
        self.arguments(call, first, input, env, &mut arguments)?;
        if let (NodeKind::Variable(key), true) = (&call.procedure.kind, procedure.is_undefined()) {
            let message = format!("`${}` is called, but no function has that name", key.name());
            return Err(placed(Failure::new("T1006", message).into(), call));
        }
        self.apply(&procedure, &mut arguments, input, env).map_err(|failure| placed(failure, call))
    }

    fn arguments(&mut self, call: &Call, first: Option<Value>, input: &Value, env: &Environment, arguments: &mut Arguments) -> Outcome<()> {
        if let Some(first) = first {
            arguments.push(first);
        }
        for argument in &call.arguments {
            arguments.push(match self.evaluate(argument, input, env)? {
                Value::Function(callable) => Value::Function(Callable { is_argument: true, ..callable }),
                value => value,
            });
        }
        Ok(())
    }

    /// Applies a function to arguments, and goes on with the calls that end it.
    pub(crate) fn apply(&mut self, procedure: &Value, arguments: &mut Arguments, input: &Value, env: &Environment) -> Outcome {
        let value = self.apply_once(procedure, arguments, input, env)?;
        self.trampoline(value, input, env)
    }

    /// Makes the calls that end a function, one after the other.
    #[inline]
    fn trampoline(&mut self, value: Value, input: &Value, env: &Environment) -> Outcome {
        if value.is_function() { self.bounce(value, input, env) } else { Ok(value) }
    }

    #[inline(never)]
    fn bounce(&mut self, mut value: Value, input: &Value, env: &Environment) -> Outcome {
        loop {
            let Value::Function(callable) = &value else { return Ok(value) };
            let Function::Thunk(call, context, environment) = &*callable.function else { return Ok(value) };
            let (call, context, environment) = (call.clone(), context.clone(), environment.clone());
            drop(value);
            let next = self.evaluate(&call.procedure, &context, &environment)?;
            let mut arguments = Arguments::default();
            for argument in &call.arguments {
                arguments.push(self.evaluate(argument, &context, &environment)?);
            }
            self.leave_shared(environment);
            // A function of ours that calls one of the language, which ends in a call of ours again, takes the stack, but not the depth.
            self.tail_calls += 1;
            let result = match self.tail_calls > self.max_depth {
                true => Err(self.too_deep()),
                false => self.apply_once(&next, &mut arguments, input, env).map_err(|failure| placed(failure, &call)),
            };
            self.tail_calls -= 1;
            value = result?;
        }
    }

    /// Leaves a frame that others may hold.
    fn leave_shared(&mut self, frame: Environment) {
        if Rc::strong_count(&frame) > 1 && frame.is_only_held_by_itself() {
            frame.clear();
        }
    }

    fn apply_once(&mut self, procedure: &Value, arguments: &mut Arguments, input: &Value, env: &Environment) -> Outcome {
        let Value::Function(callable) = procedure else {
            return Err(Failure::new("T1006", format!("{} is called, but is no function", crate::describe(procedure))).into());
        };
        let input = if callable.is_argument { &Value::Null } else { input };
        match &*callable.function {
            Function::Builtin(builtin) => {
                let value = builtin.signature().validate(arguments, input).map_err(Box::new);
                value
                    .and_then(|()| (builtin.call)(self, arguments, &Context { input, env }))
                    .map_err(|failure| of_builtin(failure, builtin))
            }
            Function::Closure(closure) => {
                if let (Some(signature), None) = (&closure.lambda.signature, &closure.left) {
                    signature.validate(arguments, input)?;
                }
                self.apply_closure(closure, arguments)
            }
            Function::Transform(transform, environment) => {
                builtin::TRANSFORM.validate(arguments, input)?;
                self.transform(transform, arguments.take(0), environment)
            }
            function => self.apply_native(function, arguments, env),
        }
    }

    #[inline(never)]
    fn apply_closure(&mut self, closure: &Closure, arguments: &mut Arguments) -> Outcome {
        let parameters = closure.parameters();
        // Of parameters of one name the last counts, which is found first.
        let given = parameters.iter().enumerate().rev().map(|(index, key)| (*key, arguments.take(index)));
        let frame = self.frame(&closure.environment, given);
        self.turns += 1;
        let value = self.evaluate(&closure.lambda.body, &closure.input, &frame);
        self.leave(frame);
        value
    }

    /// A function that is none of the expression, without a check of its arguments.
    pub(super) fn apply_native(&mut self, function: &Function, arguments: &mut Arguments, env: &Environment) -> Outcome {
        match function {
            Function::Builtin(builtin) => (builtin.call)(self, arguments, &Context { input: &Value::Undefined, env }),
            Function::Transform(transform, environment) => self.transform(transform, arguments.take(0), environment),
            Function::Pattern(pattern) => builtin::find_match(pattern, arguments),
            Function::Next(pattern, text, from) => builtin::find_next(pattern, text, *from),
            Function::Partial(function, given) => {
                let mut all = Arguments::default();
                let mut index = 0;
                for argument in given {
                    all.push(match argument {
                        Some(value) => value.clone(),
                        None => {
                            index += 1;
                            arguments.take(index - 1)
                        }
                    });
                }
                self.apply_native(function, &mut all, env)
            }
            Function::Closure(closure) => self.apply_closure(closure, arguments),
            Function::Thunk(..) | Function::Endless => Err(Failure::new("T1006", "an object is called, but is no function").into()),
        }
    }

    /// `f(?, x)`
    pub(super) fn partial(&mut self, call: &Call, input: &Value, env: &Environment) -> Outcome {
        let mut given = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            given.push(match argument.kind {
                NodeKind::Placeholder => None,
                _ => Some(self.evaluate(argument, input, env)?),
            });
        }
        let procedure = self.evaluate(&call.procedure, input, env)?;
        let Value::Function(callable) = &procedure else {
            if let Some(key) = call.misspelt.filter(|key| procedure.is_undefined() && self.variable(*key, env).is_truthy()) {
                let name = key.name();
                let message = format!("`{name}` is not a function; did you mean `${name}`?");
                return Err(placed(Failure::new("T1007", message).into(), call));
            }
            let message = format!("{} is applied to arguments, but is no function", crate::describe(&procedure));
            return Err(placed(Failure::new("T1008", message).into(), call));
        };
        // Arguments are told by their names, which the reference reads from the function's own text.
        let unreadable = |code: &str| placed(Failure::new(code, "this function cannot be applied to some of its arguments").into(), call);
        if callable.is_argument {
            return Err(unreadable("S0202"));
        }
        match &*callable.function {
            Function::Closure(closure) => {
                let mut left = Vec::new();
                let mut variables = Vec::new();
                let mut given = given.into_iter();
                for &key in closure.parameters() {
                    match given.next() {
                        Some(None) => left.push(key),
                        Some(Some(value)) => variables.push((key, value)),
                        None => variables.push((key, Value::Undefined)),
                    }
                }
                Ok(Value::function(Function::Closure(Closure {
                    lambda: closure.lambda.clone(),
                    left: Some(left),
                    input: closure.input.clone(),
                    environment: Frame::new(Some(closure.environment.clone()), variables),
                })))
            }
            function => {
                let parameters = function.parameters().ok_or_else(|| unreadable("S0208"))?;
                given.resize(parameters, Some(Value::Undefined));
                Ok(Value::function(Function::Partial(callable.function.clone(), given)))
            }
        }
    }

    /// `left ~> right`
    pub(super) fn chained(&mut self, sides: &(Node, Node), position: usize, input: &Value, env: &Environment) -> Outcome {
        self.turns += 1;
        let left = self.evaluate(&sides.0, input, env)?;
        if let NodeKind::Call(call) = &sides.1.kind {
            return self.call(call, Some(left), input, env);
        }
        let right = self.evaluate(&sides.1, input, env)?;
        if !right.is_function() {
            let message = format!("the right side of `~>` must be a function, not {}", crate::describe(&right));
            return Err(Failure { position: Some(position), token: Some("~>".into()), ..Failure::new("T2006", message) }.into());
        }
        if left.is_function() {
            let chain = self.chain()?;
            let chain = self.evaluate(&chain, &Value::Null, env)?;
            return self.apply(&chain, &mut Arguments::from([left, right]), &Value::Null, env);
        }
        self.apply(&right, &mut Arguments::from([left]), &Value::Null, env)
    }

    fn chain(&mut self) -> Outcome<Rc<Node>> {
        if self.chain.is_none() {
            self.chain = Some(Rc::new(super::compile(crate::syntax::parse(CHAIN)?, true)));
        }
        Ok(self.chain.clone().expect("it was just made"))
    }

    /// Calls a function that is an argument, with as many arguments as it takes.
    #[inline]
    pub(crate) fn call_back(&mut self, function: &Value, arguments: &mut Arguments, env: &Environment) -> Outcome {
        self.turns += 4;
        let value = self.apply_once(function, arguments, &Value::Null, env)?;
        checked(self.trampoline(value, &Value::Null, env)?)
    }
}

/// A failure of arguments with the name of the function that they are not for, where it has none.
fn of_builtin(mut failure: Box<Failure>, builtin: &Builtin) -> Box<Failure> {
    if failure.code.starts_with("T041") && !failure.message.starts_with('`') {
        failure.message = format!("`${}`: {}", builtin.name, failure.message);
    }
    failure
}

/// A failure with the place of the call that it happened in, where it has none.
fn placed(mut failure: Box<Failure>, call: &Call) -> Box<Failure> {
    failure.position.get_or_insert(call.position);
    if failure.token.is_none() {
        failure.token = call.name.as_deref().map(str::to_owned);
    }
    failure
}
