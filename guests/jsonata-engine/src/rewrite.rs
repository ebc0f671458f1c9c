//! Calls of built-in functions that we mend, rewritten in the tree: the mending then costs no call of a function of the language.

use jsonata_core::ast::{AstNode, Stage};

/// Rewrites the calls of those functions, which the expression only calls, with their arguments.
pub(crate) fn rewrite(node: &mut AstNode, names: &[&str]) {
    children(node, &mut |child| rewrite(child, names));
    let AstNode::Function { name, args, is_builtin: true } = node else { return };
    if !names.contains(&name.as_str()) || args.contains(&AstNode::Placeholder) {
        return;
    }
    match (name.as_str(), args.len()) {
        ("number", 1) | ("reduce", 2) | ("formatBase", 1..=2) | ("fromMillis", 1..=2) => {
            // `$reduce` with a start takes the items as they are.
            let host_name = format!("host {name} of");
            wrap(&mut args[0], host_name);
        }
        ("pad", 2..=3) => wrap(&mut args[1], "host pad of".into()),
        ("formatInteger" | "parseInteger", 2)
        | ("encodeUrl" | "encodeUrlComponent" | "base64encode" | "base64decode" | "shuffle", 1)
        | ("fromMillis", 3)
        | ("now" | "millis" | "random", 0) => *name = format!("host {name}"),
        _ => {}
    }
}

/// Puts a call of the host's around a node.
fn wrap(node: &mut AstNode, name: String) {
    let inner = std::mem::replace(node, AstNode::Null);
    *node = AstNode::Function { name, args: vec![inner], is_builtin: true };
}

/// Visits the nodes right below one.
fn children(node: &mut AstNode, visit: &mut dyn FnMut(&mut AstNode)) {
    match node {
        AstNode::Path { steps } => {
            for step in steps {
                visit(&mut step.node);
                for stage in &mut step.stages {
                    if let Stage::Filter(filter) = stage {
                        visit(filter);
                    }
                }
            }
        }
        AstNode::Binary { lhs, rhs, .. } => {
            visit(lhs);
            visit(rhs);
        }
        AstNode::Unary { operand, .. } => visit(operand),
        AstNode::Function { args, .. } => args.iter_mut().for_each(visit),
        AstNode::Call { procedure, args } => {
            visit(procedure);
            args.iter_mut().for_each(visit);
        }
        AstNode::Lambda { body, .. } | AstNode::FunctionApplication(body) => visit(body),
        AstNode::Array(items) | AstNode::ArrayGroup(items) | AstNode::Block(items) => items.iter_mut().for_each(visit),
        AstNode::Object(pairs) => both(pairs, visit),
        AstNode::ObjectTransform { input, pattern } => {
            visit(input);
            both(pattern, visit);
        }
        AstNode::Conditional { condition, then_branch, else_branch } => {
            visit(condition);
            visit(then_branch);
            else_branch.iter_mut().for_each(|branch| visit(branch));
        }
        AstNode::Sort { input, terms } => {
            visit(input);
            terms.iter_mut().for_each(|(term, _)| visit(term));
        }
        AstNode::Transform { location, update, delete } => {
            visit(location);
            visit(update);
            delete.iter_mut().for_each(|delete| visit(delete));
        }
        AstNode::String(_)
        | AstNode::Name(_)
        | AstNode::Number(_)
        | AstNode::Boolean(_)
        | AstNode::Null
        | AstNode::Undefined
        | AstNode::Placeholder
        | AstNode::Regex { .. }
        | AstNode::Variable(_)
        | AstNode::ParentVariable(_)
        | AstNode::Wildcard
        | AstNode::Descendant
        | AstNode::Parent(_) => {}
    }
}

fn both(pairs: &mut [(AstNode, AstNode)], visit: &mut dyn FnMut(&mut AstNode)) {
    for (key, value) in pairs {
        visit(key);
        visit(value);
    }
}

/// Whether an expression names a function only to call it with arguments: not as a value, not in a chain, not by another meaning.
pub(crate) fn only_called(text: &str, name: &str) -> bool {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let bare = matches!(name, "now" | "millis" | "random");
    text.match_indices(name).all(|(place, _)| {
        let (before, after) = (&text[..place], &text[place + name.len()..]);
        let Some(before) = before.strip_suffix('$') else { return true };
        if after.starts_with(word) {
            return true;
        }
        let arguments = after.strip_prefix('(').map(str::trim_start);
        let called = arguments.is_some_and(|arguments| arguments.starts_with(')') == bare);
        called && !before.trim_end().ends_with("~>")
    })
}

#[cfg(test)]
mod tests {
    use super::only_called;

    #[test]
    fn a_function_that_is_passed_on_or_named_anew_is_not_only_called() {
        assert!(only_called("$number(a) + $numbers + number", "number"));
        assert!(only_called("$millis()", "millis"));
        for text in ["$map(a, $number)", "$number := 1", "a ~> $number(1)", "$number()", "function($number){ $number(1) }"] {
            assert!(!only_called(text, "number"), "{text}");
        }
    }
}
