//! What can be told from an expression before a row is there: the columns that it reads, and those that it gives.
//!
//! An expression reads no other column than it names, unless a row as a whole gets somewhere: into the result, into a function, under
//! a wildcard. So each value is followed as one bit, whether it may be a row or a list of rows; and a use of such a value that is
//! none of the few that look at named columns only ends the search.

use std::collections::BTreeSet;

use jsonata_core::ast::{AstNode, BinaryOp, PathStep, Stage};

use crate::Expression;

impl Expression {
    /// Names of the columns that it reads, evaluated on a row or a list of rows; `None` where it may read any.
    pub fn reads(&self) -> Option<Vec<String>> {
        let mut search = Search { names: BTreeSet::new(), variables: Vec::new() };
        match search.value(self.tree(), true) {
            Some(false) => Some(search.names.into_iter().collect()),
            _ => None,
        }
    }

    /// Names of the columns that every row has which it gives, in order; none where that cannot be told.
    pub fn gives(&self) -> Vec<String> {
        gives(self.tree()).unwrap_or_default()
    }
}

fn gives(node: &AstNode) -> Option<Vec<String>> {
    match node {
        AstNode::Object(pairs) => {
            pairs.iter().map(|(key, _)| if let AstNode::String(name) = key { Some(name.clone()) } else { None }).collect()
        }
        AstNode::Block(items) => gives(items.last()?),
        AstNode::Path { steps } => gives(&steps.last()?.node),
        _ => None,
    }
}

/// Follows rows through an expression. An answer `None` means that a row as a whole is used.
struct Search {
    names: BTreeSet<String>,
    /// Variables, and whether they may be rows; the last of a name counts.
    variables: Vec<(String, bool)>,
}

impl Search {
    /// Whether the value of a node may be a row, where its context may be one.
    fn value(&mut self, node: &AstNode, context: bool) -> Option<bool> {
        Some(match node {
            AstNode::String(_)
            | AstNode::Number(_)
            | AstNode::Boolean(_)
            | AstNode::Null
            | AstNode::Undefined
            | AstNode::Placeholder
            | AstNode::Regex { .. } => false,
            AstNode::Name(name) => {
                if context {
                    self.names.insert(name.clone());
                }
                false
            }
            AstNode::Variable(name) if name.is_empty() => context,
            AstNode::Variable(name) if name == "$" => true,
            AstNode::Variable(name) => self.variables.iter().rev().find(|(known, _)| known == name).is_some_and(|(_, row)| *row),
            AstNode::ParentVariable(_) => true,
            AstNode::Path { steps } => self.path(steps, context)?,
            AstNode::Binary { op: BinaryOp::ColonEqual, lhs, rhs } => {
                let AstNode::Variable(name) = &**lhs else { return None };
                let row = self.value(rhs, context)?;
                self.variables.push((name.clone(), row));
                row
            }
            AstNode::Binary { op: BinaryOp::Coalesce | BinaryOp::Default, lhs, rhs } => {
                self.value(lhs, context)? | self.value(rhs, context)?
            }
            AstNode::Binary { op: BinaryOp::FocusBind | BinaryOp::IndexBind | BinaryOp::ChainPipe, .. } => return None,
            AstNode::Binary { op: _, lhs, rhs } => self.no_row(lhs, context)? | self.no_row(rhs, context)?,
            AstNode::Unary { op: _, operand } => self.no_row(operand, context)?,
            AstNode::Function { name, args, is_builtin: _ } => self.function(name, args, context)?,
            AstNode::Call { procedure, args } => {
                self.no_row(procedure, context)?;
                for argument in args {
                    self.no_row(argument, context)?;
                }
                false
            }
            AstNode::Lambda { params, body, signature: _, thunk } => {
                let row = self.lambda(params, body, false, context)?;
                // A function that gives rows could be called anywhere.
                match (thunk, row) {
                    (true, row) => row,
                    (false, true) => return None,
                    (false, false) => false,
                }
            }
            AstNode::Array(items) | AstNode::ArrayGroup(items) => {
                let mut row = false;
                for item in items {
                    row |= self.value(item, context)?;
                }
                row
            }
            AstNode::FunctionApplication(inner) => self.value(inner, context)?,
            AstNode::Object(pairs) => self.pairs(pairs, context)?,
            AstNode::ObjectTransform { input, pattern } => {
                let rows = self.value(input, context)?;
                self.pairs(pattern, rows)?
            }
            AstNode::Block(items) => {
                let outer = self.variables.len();
                let mut last = false;
                for item in items {
                    last = self.value(item, context)?;
                }
                self.variables.truncate(outer);
                last
            }
            AstNode::Conditional { condition, then_branch, else_branch } => {
                self.no_row(condition, context)?;
                let row = self.value(then_branch, context)?;
                match else_branch {
                    Some(branch) => row | self.value(branch, context)?,
                    None => row,
                }
            }
            AstNode::Sort { input, terms } => {
                let rows = self.value(input, context)?;
                for (term, _) in terms {
                    self.no_row(term, rows)?;
                }
                rows
            }
            // What is within a column may be looked at in any way; a row may not.
            AstNode::Wildcard | AstNode::Descendant if !context => false,
            _ => return None,
        })
    }

    /// A value that is no row, or the end.
    fn no_row(&mut self, node: &AstNode, context: bool) -> Option<bool> {
        self.value(node, context).filter(|row| !row)
    }

    fn path(&mut self, steps: &[PathStep], context: bool) -> Option<bool> {
        let mut row = context;
        for step in steps {
            let PathStep { node, stages, focus, index_var, ancestor_label, is_tuple, inner_tuple, .. } = step;
            if focus.is_some() || index_var.is_some() || ancestor_label.is_some() || *is_tuple || *inner_tuple {
                return None;
            }
            row = match node {
                AstNode::String(name) if row => {
                    self.names.insert(name.clone());
                    false
                }
                node => self.value(node, row)?,
            };
            for stage in stages {
                match stage {
                    Stage::Filter(condition) => drop(self.no_row(condition, row)?),
                    Stage::KeepArray => {}
                    Stage::Index(_) => return None,
                }
            }
        }
        Some(row)
    }

    fn pairs(&mut self, pairs: &[(AstNode, AstNode)], context: bool) -> Option<bool> {
        for (key, value) in pairs {
            self.no_row(key, context)?;
            self.no_row(value, context)?;
        }
        Some(false)
    }

    fn lambda(&mut self, params: &[String], body: &AstNode, rows: bool, context: bool) -> Option<bool> {
        let outer = self.variables.len();
        self.variables.extend(params.iter().map(|name| (name.clone(), rows)));
        let row = self.value(body, context);
        self.variables.truncate(outer);
        row
    }

    fn function(&mut self, name: &str, args: &[AstNode], context: bool) -> Option<bool> {
        let own = self.variables.iter().any(|(known, _)| known == name);
        // With fewer arguments a function may take its context for one.
        if context && !own && args.len() < arguments(name)? {
            return None;
        }
        if own || name == "eval" {
            for argument in args {
                self.no_row(argument, context)?;
            }
            return if own { Some(false) } else { None };
        }
        match (name, args) {
            ("count" | "exists", [only]) => self.value(only, context).map(|_| false),
            ("reverse", [only]) => self.value(only, context),
            ("append", [a, b]) => Some(self.value(a, context)? | self.value(b, context)?),
            ("map" | "filter" | "single" | "sort", [list, AstNode::Lambda { params, body, .. }]) => {
                let rows = self.value(list, context)?;
                let made = self.lambda(params, body, rows, context)?;
                if name == "map" {
                    return Some(made);
                }
                if made { None } else { Some(rows) }
            }
            _ => {
                for argument in args {
                    self.no_row(argument, context)?;
                }
                Some(false)
            }
        }
    }
}

/// How many arguments a function must have so that it does not look at its context; `None` = not known.
fn arguments(name: &str) -> Option<usize> {
    // A call that was rewritten asks for what it asked for before; what is put around an argument takes that alone.
    let name = name.strip_prefix("host ").unwrap_or(name);
    if name.ends_with(" of") {
        return Some(1);
    }
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
