//! What can be told from an expression before a row is there: the columns that it reads, and those that it gives.
//!
//! An expression reads no other column than it names, unless a row as a whole gets somewhere: into the result, into a function, under
//! a wildcard. So each value is followed as one bit, whether it may be a row or a list of rows; and a use of such a value that is
//! none of the few that look at named columns only ends the search.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::Expression;
use crate::syntax::{Group, Kind, Part, Stage};

impl Expression {
    /// Names of the columns that it reads, evaluated on a row or a list of rows; `None` where it may read any.
    pub fn reads(&self) -> Option<Vec<String>> {
        let mut search = Search { names: BTreeSet::new(), variables: Vec::new() };
        match search.value(self.tree(), true) {
            Some(false) => Some(search.names.iter().map(|name| name.to_string()).collect()),
            _ => None,
        }
    }

    /// Names of the columns that every row has which it gives, in order; none where that cannot be told.
    pub fn gives(&self) -> Vec<String> {
        gives(self.tree()).unwrap_or_default()
    }
}

fn gives(part: &Part) -> Option<Vec<String>> {
    let names = |group: &Group| {
        group.pairs.iter().map(|(name, _)| if let Kind::String(name) = &name.kind { Some(name.to_string()) } else { None }).collect()
    };
    match (&part.kind, &part.group) {
        (_, Some(group)) => names(group),
        (Kind::Object(group), None) => names(group),
        (Kind::Block(parts), None) => gives(parts.last()?),
        (Kind::Path(steps), None) => gives(steps.last()?),
        (Kind::Thunk(call), None) => gives(call),
        _ => None,
    }
}

/// Follows rows through an expression. An answer `None` means that a row as a whole is used.
struct Search {
    names: BTreeSet<Rc<str>>,
    /// Variables, and whether they may be rows; the last of a name counts.
    variables: Vec<(Rc<str>, bool)>,
}

impl Search {
    /// Whether the value of a piece may be a row, where its context may be one.
    fn value(&mut self, part: &Part, context: bool) -> Option<bool> {
        let mut row = self.bare(part, context)?;
        for predicate in &part.predicates {
            self.stage(predicate, row)?;
        }
        if let Some(group) = &part.group {
            row = self.pairs(group, row)?;
        }
        Some(row)
    }

    /// As [`Self::value`], without what follows the piece.
    fn bare(&mut self, part: &Part, context: bool) -> Option<bool> {
        Some(match &part.kind {
            Kind::String(_) | Kind::Number(_) | Kind::Bool(_) | Kind::Null | Kind::Placeholder | Kind::Regex(_) => false,
            Kind::Name(name) => {
                if context {
                    self.names.insert(name.clone());
                }
                false
            }
            Kind::Variable(name) if name.is_empty() => context,
            Kind::Variable(name) if &**name == "$" => true,
            Kind::Variable(name) => self.variables.iter().rev().find(|(known, _)| known == name).is_some_and(|(_, row)| *row),
            Kind::Path(steps) => self.path(steps, context)?,
            Kind::Bind(name, value) => {
                let row = self.value(value, context)?;
                self.variables.push((name.clone(), row));
                row
            }
            Kind::Binary(_, left, right) => self.no_row(left, context)? | self.no_row(right, context)?,
            Kind::Negate(inner) => self.no_row(inner, context)?,
            Kind::Call(procedure, arguments) => match &procedure.kind {
                Kind::Variable(name) if procedure.predicates.is_empty() => self.function(name, arguments, context)?,
                _ => {
                    self.no_row(procedure, context)?;
                    for argument in arguments {
                        self.no_row(argument, context)?;
                    }
                    false
                }
            },
            Kind::Thunk(call) => self.value(call, context)?,
            Kind::Lambda(parameters, _, body) => match self.lambda(parameters, body, false, context)? {
                // A function that gives rows could be called anywhere.
                true => return None,
                false => false,
            },
            Kind::Array(items) => {
                let mut row = false;
                for item in items {
                    row |= self.value(item, context)?;
                }
                row
            }
            Kind::Object(group) => self.pairs(group, context)?,
            Kind::Block(parts) => {
                let outer = self.variables.len();
                let mut last = false;
                for part in parts {
                    last = self.value(part, context)?;
                }
                self.variables.truncate(outer);
                last
            }
            Kind::Condition(condition, then, other) => {
                self.no_row(condition, context)?;
                let row = self.value(then, context)?;
                match other {
                    Some(branch) => row | self.value(branch, context)?,
                    None => row,
                }
            }
            Kind::Sort(terms) => {
                for term in terms {
                    self.no_row(&term.part, context)?;
                }
                context
            }
            // What is within a column may be looked at in any way; a row may not.
            Kind::Wildcard | Kind::Descendant if !context => false,
            Kind::Wildcard | Kind::Descendant | Kind::Parent(_) | Kind::Apply(..) | Kind::Partial(..) | Kind::Transform(..) => return None,
        })
    }

    /// A value that is no row, or the end.
    fn no_row(&mut self, part: &Part, context: bool) -> Option<bool> {
        self.value(part, context).filter(|row| !row)
    }

    fn path(&mut self, steps: &[Part], context: bool) -> Option<bool> {
        let mut row = context;
        for part in steps {
            let step = &part.step;
            if step.focus.is_some() || step.index.is_some() || step.ancestor.is_some() || step.is_tuple {
                return None;
            }
            row = self.value(part, row)?;
            for stage in &step.stages {
                self.stage(stage, row)?;
            }
        }
        Some(row)
    }

    fn stage(&mut self, stage: &Stage, row: bool) -> Option<()> {
        match stage {
            Stage::Filter(condition) => self.no_row(condition, row).map(drop),
            Stage::Index(_) => None,
        }
    }

    fn pairs(&mut self, group: &Group, context: bool) -> Option<bool> {
        for (name, value) in &group.pairs {
            self.no_row(name, context)?;
            self.no_row(value, context)?;
        }
        Some(false)
    }

    fn lambda(&mut self, parameters: &[Rc<str>], body: &Part, rows: bool, context: bool) -> Option<bool> {
        let outer = self.variables.len();
        self.variables.extend(parameters.iter().map(|name| (name.clone(), rows)));
        let row = self.value(body, context);
        self.variables.truncate(outer);
        row
    }

    fn function(&mut self, name: &str, arguments: &[Part], context: bool) -> Option<bool> {
        let own = self.variables.iter().any(|(known, _)| &**known == name);
        // With fewer arguments a function may take its context for one.
        if context && !own && arguments.len() < needed(name)? {
            return None;
        }
        if own || name == "eval" {
            for argument in arguments {
                self.no_row(argument, context)?;
            }
            return if own { Some(false) } else { None };
        }
        if let ("map" | "filter" | "single" | "sort", [list, function]) = (name, arguments)
            && let Kind::Lambda(parameters, _, body) = &function.kind
        {
            let rows = self.value(list, context)?;
            let made = self.lambda(parameters, body, rows, context)?;
            return match name {
                "map" => Some(made),
                _ if made => None,
                _ => Some(rows),
            };
        }
        match (name, arguments) {
            ("count" | "exists", [only]) => self.value(only, context).map(|_| false),
            ("reverse", [only]) => self.value(only, context),
            ("append", [one, other]) => Some(self.value(one, context)? | self.value(other, context)?),
            _ => {
                for argument in arguments {
                    self.no_row(argument, context)?;
                }
                Some(false)
            }
        }
    }
}

/// How many arguments a function must have so that it does not look at its context; `None` = not known.
fn needed(name: &str) -> Option<usize> {
    Some(match name {
        "now" | "millis" | "random" | "error" => 0,
        "count" | "exists" | "sum" | "max" | "min" | "average" | "string" | "number" | "boolean" | "not" | "uppercase" | "lowercase"
        | "trim" | "length" | "abs" | "floor" | "ceil" | "round" | "sqrt" | "distinct" | "reverse" | "join" | "sort" | "zip" | "keys"
        | "merge" | "spread" | "type" | "toMillis" | "fromMillis" | "shuffle" | "assert" | "formatBase" | "base64encode"
        | "base64decode" | "encodeUrl" | "encodeUrlComponent" | "decodeUrl" | "decodeUrlComponent" => 1,
        "append" | "lookup" | "each" | "sift" | "map" | "filter" | "single" | "reduce" | "substring" | "substringBefore"
        | "substringAfter" | "contains" | "split" | "match" | "pad" | "power" | "formatNumber" | "formatInteger" | "parseInteger" => 2,
        "replace" => 3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> String {
        let expression = Expression::compile(text).expect("it is an expression");
        expression.reads().map_or_else(|| "any".into(), |names| names.join(" "))
    }

    #[test]
    fn an_expression_reads_the_columns_that_it_names() {
        let cases = [
            ("{'id': id, 'total': $sum(items.(price * qty))}", "id items"),
            ("$[status = 'active'].{'id': id, 'half': score / 2}", "id score status"),
            ("$sum($.amount)", "amount"),
            ("$count($)", ""),
            ("$map($, function($r) { $r.a & $r.b })", "a b"),
            ("$filter($, function($r) { $r.a > 1 }).b", "a b"),
            ("$sort($, function($l, $r) { $l.n > $r.n }).{'n': n}", "n"),
            ("($x := $; $y := a; $x.b + $y)", "a b"),
            ("$$.a.*", "a"),
            ("$^(>n).{'m': m}", "m n"),
            ("${name: $sum(n)}", "n name"),
            ("a ? b : c", "a b c"),
            ("`a b`.**", "a b"),
            ("$now() & a", "a"),
            ("(  $f := function($v) { $v * 2 }; $f(a) )", "a"),
            // Here a row as a whole gets somewhere.
            ("$", "any"),
            ("{'all': $}", "any"),
            ("$keys($)", "any"),
            ("*", "any"),
            ("**.price", "any"),
            ("$string()", "any"),
            ("a ~> $uppercase", "any"),
            ("$contains('x')", "any"),
            ("$ ~> |$|{'b': 1}|", "any"),
            ("( $f := function($v) { $v.a }; $f($) )", "any"),
            ("$map($, $string)", "any"),
            ("$eval('a')", "any"),
            ("a@$x.b", "any"),
            ("$reduce($, function($i, $j) { $i.n > $j.n ? $i : $j }).n", "any"),
        ];
        for (text, expected) in cases {
            let tree = Expression::compile(text).expect("it is an expression");
            assert_eq!(reads(text), expected, "{text}: {:?}", tree.tree());
        }
    }

    #[test]
    fn an_object_with_plain_keys_gives_their_columns() {
        let gives = |text| Expression::compile(text).expect("it is an expression").gives().join(" ");
        assert_eq!(gives("{'a': 1, 'b': x}"), "a b");
        assert_eq!(gives("($x := 1; $[a > 1].{'n': n})"), "n");
        assert_eq!(gives("{a: 1, 'b': x}"), "");
        assert_eq!(gives("a ? {'b': 1}"), "");
    }
}
