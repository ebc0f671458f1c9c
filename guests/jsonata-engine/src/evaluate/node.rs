//! The tree that is evaluated: names are numbers, and what can be known beforehand is known.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;

use super::{Arguments, Environment, Evaluator, Function};
use crate::builtin::{self, Builtin, Context};
use crate::signature::Signature;
use crate::syntax::{self, Kind, Operator, Part};
use crate::value::{Key, Shape, is_index};
use crate::{Limits, Value};

/// A piece of an expression.
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) position: usize,
    pub(crate) keep_array: bool,
    pub(crate) more: Option<Box<More>>,
}

/// What follows a piece that is no path.
pub(crate) struct More {
    pub(crate) predicates: Vec<Node>,
    pub(crate) group: Option<Group>,
}

pub(crate) enum NodeKind {
    Literal(Value),
    Path(Path),
    Name(Name),
    /// A path of one name.
    Field(Name),
    Variable(Key),
    /// A function of the language that no variable hides.
    Builtin(&'static Builtin, Value),
    /// `$`
    Context,
    Wildcard,
    Descendant,
    /// `%`, as the variable that the step before it binds.
    Parent(Key),
    /// `a & b & c`: the parts, and where the operator before each stands.
    Concatenate(Vec<(Node, usize)>),
    Binary(Operator, Box<(Node, Node)>),
    Bind(Key, Box<Node>),
    Apply(Box<(Node, Node)>),
    Negate(Box<Node>),
    /// Items, and whether the list is not to be joined with its neighbours.
    Array(Vec<Node>, bool),
    Object(Group),
    Call(Rc<Call>),
    Partial(Rc<Call>),
    Lambda(Rc<Lambda>),
    Thunk(Rc<Call>),
    Condition(Box<(Node, Node, Option<Node>)>),
    Transform(Rc<Transform>),
    /// Parts, and whether they bind variables.
    Block(Vec<Node>, bool),
    Sort(Vec<Term>),
    Placeholder,
}

/// A name, and where the last object had it.
pub(crate) struct Name {
    pub(crate) name: Rc<str>,
    pub(crate) seen: Cell<(u64, u32)>,
}

pub(crate) struct Path {
    pub(crate) steps: Vec<Step>,
    pub(crate) keep_singleton: bool,
    /// Whether the variables that it binds go to the path that it is a step of.
    pub(crate) is_tuple: bool,
    pub(crate) group: Option<Group>,
    /// Whether all steps are names and nothing else.
    pub(crate) is_plain: bool,
    /// Whether they are, but for the first one, which is a variable.
    pub(crate) is_of_variable: bool,
}

pub(crate) struct Step {
    pub(crate) node: Node,
    pub(crate) stages: Vec<Stage>,
    pub(crate) focus: Option<Key>,
    pub(crate) index: Option<Key>,
    pub(crate) ancestor: Option<Key>,
    pub(crate) is_tuple: bool,
    pub(crate) is_constructed: bool,
}

pub(crate) enum Stage {
    Filter(Node),
    Index(Key),
}

pub(crate) struct Group {
    pub(crate) pairs: Vec<(Node, Node)>,
    pub(crate) position: usize,
    /// The names of all members, where they are texts, differ and none is an index.
    pub(crate) shape: Option<Rc<Shape>>,
}

pub(crate) struct Term {
    pub(crate) node: Node,
    pub(crate) is_descending: bool,
}

pub(crate) struct Call {
    pub(crate) procedure: Node,
    pub(crate) arguments: Vec<Node>,
    /// What is called, in words.
    pub(crate) name: Option<Rc<str>>,
    /// The variable that a name might have meant.
    pub(crate) misspelt: Option<Key>,
    pub(crate) position: usize,
}

pub(crate) struct Lambda {
    pub(crate) parameters: Vec<Key>,
    pub(crate) signature: Option<Rc<Signature>>,
    pub(crate) body: Node,
}

pub(crate) struct Transform {
    pub(crate) pattern: Node,
    pub(crate) update: Node,
    pub(crate) delete: Option<Node>,
    pub(crate) position: usize,
}

/// The variable of a parent.
fn label(slot: usize) -> Key {
    Key::of(&format!("!{slot}"))
}

/// Makes the tree of an expression. `is_alone` says that no variable of the outside hides a function of the language.
pub(crate) fn compile(part: Part, is_alone: bool) -> Node {
    let mut names = HashSet::new();
    let mut has_eval = false;
    part.each(&mut |part| match &part.kind {
        Kind::Variable(name) => has_eval |= &**name == "eval",
        Kind::Bind(name, _) => drop(names.insert(name.clone())),
        Kind::Lambda(parameters, ..) => names.extend(parameters.iter().cloned()),
        _ => {}
    });
    part.each(&mut |part| {
        let indices = part.step.stages.iter().filter_map(|stage| if let syntax::Stage::Index(name) = stage { Some(name) } else { None });
        names.extend(indices.chain(&part.step.focus).chain(&part.step.index).cloned());
    });
    Compile { names, is_alone: is_alone && !has_eval, has_eval: has_eval || !is_alone }.node(part)
}

struct Compile {
    /// Names that the expression binds somewhere.
    names: HashSet<Rc<str>>,
    is_alone: bool,
    has_eval: bool,
}

impl Compile {
    fn node(&self, part: Part) -> Node {
        let Part { kind, position, keep_array, predicates, group, step, keep_singleton, .. } = part;
        let filter = |stage| if let syntax::Stage::Filter(part) = stage { Some(self.node(part)) } else { None };
        let predicates: Vec<Node> = predicates.into_iter().filter_map(filter).collect();
        let mut group = group.map(|group| self.group(group));
        let kind = match kind {
            Kind::Path(steps) if !keep_singleton && group.is_none() && !step.is_tuple && is_field(&steps) => match steps.into_iter().next()
            {
                Some(Part { kind: Kind::Name(name), .. }) => NodeKind::Field(Name { name, seen: Cell::new((0, 0)) }),
                _ => unreachable!("it was found to be a name"),
            },
            Kind::Path(steps) => {
                let steps: Vec<Step> = steps.into_iter().map(|part| self.step(part)).collect();
                let is_name = |step: &Step| {
                    let Step { node, stages, focus, index, ancestor: _, is_tuple, is_constructed: _ } = step;
                    matches!(node.kind, NodeKind::Name(_)) && stages.is_empty() && focus.is_none() && index.is_none() && !is_tuple
                };
                let group = group.take();
                let is_plain = group.is_none() && steps.iter().all(is_name);
                let is_of_variable = group.is_none() && steps.len() > 1 && is_variable(&steps[0]) && steps[1..].iter().all(is_name);
                NodeKind::Path(Path { steps, keep_singleton, is_tuple: step.is_tuple, group, is_plain, is_of_variable })
            }
            Kind::Name(name) => NodeKind::Name(Name { name, seen: Cell::new((0, 0)) }),
            Kind::Variable(name) if name.is_empty() => NodeKind::Context,
            Kind::Variable(name) => match builtin::find(&name) {
                Some(builtin) if self.is_alone && !self.names.contains(&name) => {
                    NodeKind::Builtin(builtin, Value::function(Function::Builtin(builtin)))
                }
                _ => NodeKind::Variable(Key::of(&name)),
            },
            Kind::String(text) => NodeKind::Literal(Value::String(text)),
            Kind::Number(number) => NodeKind::Literal(Value::Number(number)),
            Kind::Bool(value) => NodeKind::Literal(Value::Bool(value)),
            Kind::Null => NodeKind::Literal(Value::Null),
            Kind::Regex(pattern) => NodeKind::Literal(Value::function(Function::Pattern(pattern))),
            Kind::Placeholder => NodeKind::Placeholder,
            Kind::Wildcard => NodeKind::Wildcard,
            Kind::Descendant => NodeKind::Descendant,
            Kind::Parent(slot) => NodeKind::Parent(label(slot)),
            Kind::Binary(Operator::Concatenate, left, right) => {
                let mut parts = match self.node(*left) {
                    Node { kind: NodeKind::Concatenate(parts), more: None, .. } => parts,
                    left => vec![(left, position)],
                };
                parts.push((self.node(*right), position));
                NodeKind::Concatenate(parts)
            }
            Kind::Binary(operator, left, right) => NodeKind::Binary(operator, Box::new((self.node(*left), self.node(*right)))),
            Kind::Bind(name, value) => NodeKind::Bind(Key::of(&name), Box::new(self.node(*value))),
            Kind::Apply(left, right) => {
                let left = self.node(*left);
                let right = match *right {
                    // It gets one argument more, so it is no constant.
                    Part { kind: Kind::Call(procedure, arguments), position, .. } => {
                        let call = self.call(*procedure, arguments, position);
                        Node { kind: NodeKind::Call(call), position, keep_array: false, more: None }
                    }
                    right => self.node(right),
                };
                NodeKind::Apply(Box::new((left, right)))
            }
            Kind::Negate(inner) => NodeKind::Negate(Box::new(self.node(*inner))),
            Kind::Array(items) => NodeKind::Array(self.nodes(items), step.is_constructed),
            Kind::Object(group) => NodeKind::Object(self.group(group)),
            Kind::Call(procedure, arguments) => {
                let call = self.call(*procedure, arguments, position);
                folded(&call).map_or(NodeKind::Call(call), NodeKind::Literal)
            }
            Kind::Partial(procedure, arguments) => NodeKind::Partial(self.call(*procedure, arguments, position)),
            Kind::Thunk(call) => match *call {
                Part { kind: Kind::Call(procedure, arguments), position, .. } => NodeKind::Thunk(self.call(*procedure, arguments, position)),
                _ => unreachable!("only calls are made thunks"),
            },
            Kind::Lambda(parameters, signature, body) => NodeKind::Lambda(Rc::new(Lambda {
                parameters: parameters.iter().map(|name| Key::of(name)).collect(),
                signature,
                body: self.node(*body),
            })),
            Kind::Condition(condition, then, other) => {
                NodeKind::Condition(Box::new((self.node(*condition), self.node(*then), other.map(|other| self.node(*other)))))
            }
            Kind::Transform(pattern, update, delete) => NodeKind::Transform(Rc::new(Transform {
                pattern: self.node(*pattern),
                update: self.node(*update),
                delete: delete.map(|delete| self.node(*delete)),
                position,
            })),
            Kind::Block(parts) => {
                let binds = self.has_eval || parts.iter().any(binds);
                NodeKind::Block(self.nodes(parts), binds)
            }
            Kind::Sort(terms) => NodeKind::Sort(
                terms.into_iter().map(|term| Term { node: self.node(term.part), is_descending: term.is_descending }).collect(),
            ),
        };
        let more = (!predicates.is_empty() || group.is_some()).then(|| Box::new(More { predicates, group }));
        Node { kind, position, keep_array, more }
    }

    fn nodes(&self, parts: Vec<Part>) -> Vec<Node> {
        parts.into_iter().map(|part| self.node(part)).collect()
    }

    fn step(&self, mut part: Part) -> Step {
        let syntax::Step { stages, focus, index, ancestor, is_tuple, is_constructed } = part.step.clone();
        part.step.stages.clear();
        let stage = |stage| match stage {
            syntax::Stage::Filter(part) => Stage::Filter(self.node(part)),
            syntax::Stage::Index(name) => Stage::Index(Key::of(&name)),
        };
        Step {
            stages: stages.into_iter().map(stage).collect(),
            focus: focus.filter(|name| !name.is_empty()).map(|name| Key::of(&name)),
            index: index.filter(|name| !name.is_empty()).map(|name| Key::of(&name)),
            ancestor: ancestor.map(label),
            is_tuple,
            is_constructed,
            node: self.node(part),
        }
    }

    fn group(&self, group: syntax::Group) -> Group {
        let names: Option<Vec<Rc<str>>> =
            group.pairs.iter().map(|(name, _)| if let Kind::String(name) = &name.kind { Some(name.clone()) } else { None }).collect();
        let plain = |name: &Rc<str>| !is_index(name) && !builtin::is_reserved(name);
        let names = names.filter(|names| names.iter().all(plain) && names.iter().collect::<HashSet<_>>().len() == names.len());
        Group {
            pairs: group.pairs.into_iter().map(|(name, value)| (self.node(name), self.node(value))).collect(),
            position: group.position,
            shape: names.map(Shape::new),
        }
    }

    fn call(&self, procedure: Part, arguments: Vec<Part>, position: usize) -> Rc<Call> {
        let (name, misspelt) = match &procedure.kind {
            Kind::Variable(name) => (Some(name.clone()), None),
            Kind::Path(steps) => match &steps[0].kind {
                Kind::Name(name) => (Some(name.clone()), Some(Key::of(name))),
                Kind::Variable(name) => (Some(name.clone()), (!name.is_empty()).then(|| Key::of(name))),
                _ => (None, None),
            },
            _ => (None, None),
        };
        Rc::new(Call { procedure: self.node(procedure), arguments: self.nodes(arguments), name, misspelt, position })
    }
}

/// The value of a call that is the same whenever it is made.
fn folded(call: &Call) -> Option<Value> {
    let NodeKind::Builtin(builtin, _) = &call.procedure.kind else { return None };
    let mut arguments = Arguments::default();
    for argument in &call.arguments {
        match (&argument.kind, &argument.more) {
            (NodeKind::Literal(value), None) if !value.is_function() => arguments.push(value.clone()),
            _ => return None,
        }
    }
    let is_pure = call.procedure.more.is_none() && builtin.is_constant(arguments.len());
    if !is_pure || !builtin.signature().fits(&arguments) {
        return None;
    }
    builtin.signature().validate(&mut arguments, &Value::Undefined).ok()?;
    let mut evaluator = Evaluator::new(&Limits::default(), 0, 0);
    let context = Context { input: &Value::Undefined, env: &Environment::default() };
    (builtin.call)(&mut evaluator, &mut arguments, &context).ok().filter(|value| !matches!(value, Value::Array(_)))
}

/// Whether a step is a variable and nothing else.
fn is_variable(step: &Step) -> bool {
    let Step { node, stages, focus, index, ancestor: _, is_tuple, is_constructed: _ } = step;
    matches!(node.kind, NodeKind::Variable(_) | NodeKind::Context)
        && node.more.is_none()
        && stages.is_empty()
        && focus.is_none()
        && index.is_none()
        && !is_tuple
}

/// Whether a path is one name and nothing else.
fn is_field(steps: &[Part]) -> bool {
    let [part] = steps else { return false };
    let syntax::Step { stages, focus, index, ancestor: _, is_tuple, is_constructed: _ } = &part.step;
    matches!(part.kind, Kind::Name(_)) && stages.is_empty() && focus.is_none() && index.is_none() && !is_tuple
}

/// Whether a piece binds variables in the place around it.
fn binds(part: &Part) -> bool {
    match part.kind {
        Kind::Bind(..) => true,
        Kind::Lambda(..) => false,
        Kind::Block(_) if part.predicates.is_empty() && part.step.stages.is_empty() && part.group.is_none() => false,
        _ => {
            let mut found = false;
            part.each_below(&mut |part| found |= binds(part));
            found
        }
    }
}

impl Part {
    /// Visits a piece and all below it.
    fn each(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        self.each_below(&mut |part| part.each(visit));
    }

    /// Visits the pieces right below.
    pub(crate) fn each_below(&self, visit: &mut dyn FnMut(&Self)) {
        let mut groups: Vec<&syntax::Group> = self.group.iter().collect();
        match &self.kind {
            Kind::Path(parts) | Kind::Array(parts) | Kind::Block(parts) => parts.iter().for_each(&mut *visit),
            Kind::Binary(_, left, right) | Kind::Apply(left, right) => {
                visit(left);
                visit(right);
            }
            Kind::Bind(_, inner) | Kind::Negate(inner) | Kind::Lambda(_, _, inner) | Kind::Thunk(inner) => visit(inner),
            Kind::Object(group) => groups.push(group),
            Kind::Call(procedure, arguments) | Kind::Partial(procedure, arguments) => {
                visit(procedure);
                arguments.iter().for_each(&mut *visit);
            }
            Kind::Condition(one, two, three) | Kind::Transform(one, two, three) => {
                visit(one);
                visit(two);
                three.iter().for_each(|three| visit(three));
            }
            Kind::Sort(terms) => terms.iter().for_each(|term| visit(&term.part)),
            Kind::Name(_)
            | Kind::Variable(_)
            | Kind::String(_)
            | Kind::Number(_)
            | Kind::Bool(_)
            | Kind::Null
            | Kind::Regex(_)
            | Kind::Placeholder
            | Kind::Wildcard
            | Kind::Descendant
            | Kind::Parent(_) => {}
        }
        for stage in self.predicates.iter().chain(&self.step.stages) {
            if let syntax::Stage::Filter(part) = stage {
                visit(part);
            }
        }
        for (name, value) in groups.into_iter().flat_map(|group| &group.pairs) {
            visit(name);
            visit(value);
        }
    }
}
