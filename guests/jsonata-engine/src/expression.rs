//! An expression: compiled once, evaluated on many inputs.

use std::rc::Rc;

use crate::evaluate::{Evaluator, Node, compile};
use crate::syntax::{self, Part};
use crate::value::Key;
use crate::{Failure, Limits, Run, Value, builtin};

/// A compiled expression; cheap to clone.
#[derive(Clone)]
pub struct Expression {
    tree: Rc<Part>,
    node: Rc<Node>,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Where it is not well formed, with the reference's code (`S…`).
    pub fn compile(text: &str) -> Result<Self, Failure> {
        let tree = syntax::parse(text)?;
        let node = compile(tree.clone(), true);
        Ok(Self { tree: Rc::new(tree), node: Rc::new(node) })
    }

    /// Its tree.
    pub(crate) fn tree(&self) -> &Part {
        &self.tree
    }

    /// Makes it ready to be evaluated on many inputs with the same variables, run and limits.
    pub fn prepare(&self, bindings: &[(String, Value)], run: &Run, limits: &Limits) -> Prepared {
        let hides = bindings.iter().any(|(name, _)| builtin::find(name).is_some());
        let node = if hides { Rc::new(compile((*self.tree).clone(), false)) } else { self.node.clone() };
        let bindings = bindings.iter().map(|(name, value)| (Key::of(name), value.clone())).collect();
        Prepared { node, bindings, evaluator: Evaluator::new(limits, run.now_ms, run.seed) }
    }

    /// Evaluates the expression once; `None` is the language's undefined.
    ///
    /// # Errors
    /// What the expression raises, or the limit that it passes.
    pub fn evaluate(
        &self,
        input: Option<&Value>,
        bindings: &[(String, Value)],
        run: &Run,
        limits: &Limits,
    ) -> Result<Option<Value>, Failure> {
        self.prepare(bindings, run, limits).evaluate(input)
    }
}

/// An expression with its variables, run and limits.
pub struct Prepared {
    node: Rc<Node>,
    bindings: Vec<(Key, Value)>,
    evaluator: Evaluator,
}

impl Prepared {
    /// Starts `$random()` and `$shuffle()` anew, so that what a row gives does not hang on the rows before it.
    pub fn reseed(&self, seed: u64) {
        self.evaluator.random.seed(seed);
    }

    /// Evaluates the expression; `None` is the language's undefined.
    ///
    /// # Errors
    /// What the expression raises, or the limit that it passes.
    pub fn evaluate(&mut self, input: Option<&Value>) -> Result<Option<Value>, Failure> {
        match self.evaluator.run(&self.node, input.unwrap_or(&Value::Undefined), &self.bindings) {
            Ok(Value::Undefined) => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(failure) => Err(*failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let run = Run { now_ms: 1_700_000_000_000, seed: 7 };
        let value = Expression::compile(text).and_then(|expression| expression.evaluate(None, &[], &run, &Limits::default()));
        match value {
            Ok(Some(value)) => value.to_json_string(),
            Ok(None) => "undefined".into(),
            Err(failure) => failure.code,
        }
    }

    #[test]
    fn time_is_the_time_of_the_run_wherever_it_is_asked() {
        assert_eq!(value("$millis()"), "1700000000000");
        assert_eq!(value("$now()"), "\"2023-11-14T22:13:20.000Z\"");
        assert_eq!(value("($f := $now; $f('[Y]'))"), "\"2023\"");
        assert_eq!(value("$eval('$millis()')"), "1700000000000");
        assert_eq!(value("$now(1)"), "T0410");
    }

    #[test]
    fn a_number_is_rounded_as_its_digits_stand() {
        let cases = [("449.685, 2", "449.68"), ("531.115, 2", "531.12"), ("1.005, 2", "1"), ("2.5", "2"), ("3.5", "4"), ("-2.5", "-2")];
        for (number, rounded) in cases.into_iter().chain([("-0.4", "0"), ("12350, -2", "12400"), ("1e-9, 3", "0"), ("1e21", "1e+21")]) {
            assert_eq!(value(&format!("$round({number})")), rounded, "{number}");
        }
    }

    #[test]
    fn a_zone_without_a_picture_is_for_the_usual_one_and_zeros_may_lead_a_number() {
        assert_eq!(value("$fromMillis(1540127100000, (), '-0500')"), "\"2018-10-21T08:05:00.000-05:00\"");
        assert_eq!(value("$number('0123')"), "123");
        assert_eq!(value("$number('-007')"), "-7");
    }

    #[test]
    fn chance_repeats_with_its_seed() {
        assert_eq!(value("[1..3].$random()"), value("[1..3].$random()"));
        assert_eq!(value("$shuffle([1..5])"), value("[1..5] ~> $shuffle"));
        assert_eq!(value("$sort($shuffle([1..5]))"), "[1,2,3,4,5]");
        assert_eq!(value("$random() != $random()"), "true");
    }

    #[test]
    fn names_that_are_indices_come_first() {
        assert_eq!(value("{'b': 1, '10': 2, 'a': 3, '9': 4, '01': 5}"), "{\"9\":4,\"10\":2,\"b\":1,\"a\":3,\"01\":5}");
        assert_eq!(value("$keys($eval('{\"b\": 1, \"0\": 2}'))"), "[\"0\",\"b\"]");
    }

    #[test]
    fn of_items_that_fail_the_one_is_told_that_fails_first() {
        // The reference begins all items at once, and the first takes more turns to fail.
        assert_eq!(value("[$number($uppercase('x')), $error('y')]"), "D3137");
        assert_eq!(value("[$error('y'), $number($uppercase('x'))]"), "D3137");
        assert_eq!(value("{'a': [1, [2, -'x']], 'b': $sqrt(-1)}"), "D3060");
    }

    #[test]
    fn a_function_that_calls_itself_last_needs_no_stack_and_others_meet_the_limit() {
        assert_eq!(value("($f := function($n, $a) { $n = 0 ? $a : $f($n - 1, $a + $n) }; $f(10000, 0))"), "50005000");
        assert_eq!(value("($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(100000))"), "D1011");
        assert_eq!(value("($f := function($n) { [$f($n)] }; $f(1))"), "D1011");
    }

    #[test]
    fn a_value_that_nests_without_end_is_refused() {
        assert_eq!(value("$reduce([1..5000], function($a, $i) { [[$a]] })"), "D1011");
        assert_eq!(value("{'a': 1} ~> |$|{'b': $}|"), "D1011");
        assert_eq!(value("($x := {'a': 1} ~> |$|{'b': $}|; $x.a)"), "1");
    }

    #[test]
    fn a_failure_tells_where_it_is() {
        let at = |text: &str| {
            let failure = Expression::compile(text)
                .and_then(|expression| expression.evaluate(None, &[], &Run::default(), &Limits::default()))
                .expect_err("it is wrong");
            format!("{} {:?} {:?}", failure.code, failure.position, failure.token.unwrap_or_default())
        };
        assert_eq!(at("1 + (2 - 'x')"), "T2002 Some(7) \"-\"");
        assert_eq!(at("($f := function($x) { $x * 2 }; 1 + $f('a'))"), "T2001 Some(25) \"*\"");
        assert_eq!(at("\"\u{e4}\" & $number('x')"), "D3030 Some(13) \"number\"");
        assert_eq!(at("a.b["), "S0203 Some(4) \"\"");
        assert_eq!(at("a."), "S0207 Some(2) \"\"");
        assert_eq!(at("sum(1)"), "T1005 Some(3) \"sum\"");
    }

    #[test]
    fn arguments_that_do_not_fit_are_those_of_a_function_with_a_name() {
        let message = |text: &str| {
            let expression = Expression::compile(text).expect("it is an expression");
            expression.evaluate(None, &[], &Run::default(), &Limits::default()).expect_err("it is wrong").message
        };
        assert_eq!(message("$sum([1, null])"), "`$sum`: argument 1 must be an array of numbers");
        assert_eq!(message("$map([['a'], ['b']], $sum)"), "`$sum`: argument 1 must be an array of numbers");
        assert_eq!(message("$uppercase(1)"), "`$uppercase`: argument 1 does not match the function's signature");
        assert_eq!(message("$error('argument 1 is mine')"), "argument 1 is mine");
    }

    #[test]
    fn variables_of_the_outside_hide_functions_of_the_language() {
        let expression = Expression::compile("$sum & $max").expect("it is an expression");
        let bindings = [("sum".to_owned(), Value::from("x")), ("max".to_owned(), Value::Number(1.0))];
        let value = expression.evaluate(None, &bindings, &Run::default(), &Limits::default());
        assert_eq!(value, Ok(Some(Value::from("x1"))));
    }
}
