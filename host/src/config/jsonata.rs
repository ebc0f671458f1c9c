//! JSONata expressions in `transform.yaml`: compiled once here, so that what is wrong is found where it stands.

use etl_jsonata_engine::{Expression, Failure};

use super::de::typed;
use super::lower::Lowering;
use super::problem::Findings;
use super::sections::check_limits;
use super::transform::{Jsonata, Mode, Scope, Step};
use super::yaml::{Node, shorten};
use crate::error::Place;

impl Lowering<'_> {
    /// Lowers `jsonata`.
    pub(super) fn jsonata(&mut self, node: &Node) {
        let Some(jsonata) = typed::<Jsonata>(node.clone(), self.findings) else { return };
        check_limits(node.get("limits"), &jsonata.limits, self.findings);
        if (jsonata.mode, jsonata.scope) == (Mode::Record, Scope::Dataset) {
            let at = node.get("scope").unwrap_or(node);
            self.findings.wrong(at, "`scope: dataset` is for `mode: batch`, but `mode` is `record`, which gets one row at a time").hint =
                Some("leave `scope` out, or write `mode: batch`".into());
        }
        if self.expression(node.get("expression").unwrap_or(node)).is_some() {
            self.push(node, Step::Jsonata(jsonata));
        }
    }

    /// The expression at a node, where it is one.
    pub(super) fn expression(&mut self, node: &Node) -> Option<String> {
        expression(node, self.findings)
    }
}

/// The expression at a node, where it is one.
pub(super) fn expression(node: &Node, findings: &mut Findings) -> Option<String> {
    let text = node.text()?;
    if text.trim().is_empty() {
        findings.wrong(node, format!("{} is empty, but must be a JSONata expression", node.quoted()));
        return None;
    }
    match Expression::compile(text) {
        Ok(_) => Some(text.to_owned()),
        Err(failure) => {
            not_an_expression(node, text, failure, findings);
            None
        }
    }
}

fn not_an_expression(node: &Node, text: &str, failure: Failure, findings: &mut Findings) {
    let Failure { code, message, token, position } = failure;
    let mut place = findings.place(node);
    let at = position.map(|position| line_and_column(text, position));
    let mut within = String::new();
    if let Some((line, column)) = at
        && !find(node, line, column, &mut place)
    {
        within = format!(", line {line}, column {column}");
    }
    let near = token.filter(|token| !token.is_empty() && !message.contains(token.as_str()));
    let near = near.map(|token| format!(" (at `{}`)", shorten(&token))).unwrap_or_default();
    findings.wrong_at(place, format!("this is not JSONata{within}: {message}{near} [{code}]"));
}

/// Line and column, from 1, of a position in characters.
fn line_and_column(text: &str, position: usize) -> (usize, usize) {
    let before: String = text.chars().take(position).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    (line, column)
}

/// Finds a line and column of a text in the file, where the text stands there as it is.
fn find(node: &Node, line: usize, column: usize, place: &mut Place) -> bool {
    match (node.block, node.text()) {
        (Some((first, before)), _) => (place.line, place.column) = (first + line - 1, before + column),
        // What is in quotes begins behind the first of them.
        (None, Some(text)) if !text.contains('\n') => place.column += column - 1 + usize::from(node.raw.is_none()),
        _ => return false,
    }
    true
}
