//! The tree of an expression, as it is read and as it is worked out.

use std::rc::Rc;

use super::Text;
use crate::library::pattern::Pattern;
use crate::signature::Signature;

/// What was read, before paths are put together.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) kind: RawKind,
    pub(super) position: usize,
    /// Whether `[]` follows it.
    pub(super) keep_array: bool,
    /// How deep it nests.
    pub(super) height: u32,
}

#[derive(Clone, Debug)]
pub(super) enum RawKind {
    Name(Text),
    Variable(Text),
    String(Text),
    Number(f64),
    Bool(bool),
    Null,
    Regex(Rc<Pattern>),
    /// `and`, `or` or `in` where a value should be: a name.
    Word(&'static str),
    /// The `?` of a partial application.
    Placeholder,
    Wildcard,
    Descendant,
    Parent,
    Binary(&'static str, Box<Raw>, Box<Raw>),
    GroupBy(Box<Raw>, Vec<(Raw, Raw)>),
    /// Terms, and whether each is descending.
    OrderBy(Box<Raw>, Vec<(bool, Raw)>),
    Negate(Box<Raw>),
    Array(Vec<Raw>),
    Object(Vec<(Raw, Raw)>),
    Call(Box<Raw>, Vec<Raw>),
    Partial(Box<Raw>, Vec<Raw>),
    Lambda(Vec<Text>, Option<Rc<Signature>>, Box<Raw>),
    Condition(Box<Raw>, Box<Raw>, Option<Box<Raw>>),
    Transform(Box<Raw>, Box<Raw>, Option<Box<Raw>>),
    Block(Vec<Raw>),
    /// The end of the text where a value should be.
    End,
}

/// A piece of an expression.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) position: usize,
    pub(crate) keep_array: bool,
    /// Filters of what is no step of a path.
    pub(crate) predicates: Vec<Stage>,
    pub(crate) group: Option<Group>,
    /// What it is as a step of a path.
    pub(crate) step: Step,
    /// Of a path: one item stays a list.
    pub(crate) keep_singleton: bool,
    /// Parents that are looked for in what stands before it.
    pub(super) seeking: Option<Vec<usize>>,
}

/// What a piece is as a step of a path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) stages: Vec<Stage>,
    pub(crate) focus: Option<Text>,
    pub(crate) index: Option<Text>,
    /// The variable that its context is bound to, for `%` behind it.
    pub(crate) ancestor: Option<usize>,
    /// Whether it binds variables.
    pub(crate) is_tuple: bool,
    /// Whether it is a list in brackets, or a block with one, at an end of the path.
    pub(crate) is_constructed: bool,
}

/// What is done with the result of a step.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Filter(Part),
    Index(Text),
}

/// An object's names and values by group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) pairs: Vec<(Part, Part)>,
    pub(crate) position: usize,
}

/// A term of `^(…)`.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) part: Part,
    pub(crate) is_descending: bool,
}

/// An operator of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Concatenate,
    Range,
    In,
    And,
    Or,
}

impl Operator {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Concatenate => "&",
            Self::Range => "..",
            Self::In => "in",
            Self::And => "and",
            Self::Or => "or",
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        Some(match text {
            "+" => Self::Add,
            "-" => Self::Subtract,
            "*" => Self::Multiply,
            "/" => Self::Divide,
            "%" => Self::Remainder,
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "&" => Self::Concatenate,
            ".." => Self::Range,
            "in" => Self::In,
            "and" => Self::And,
            "or" => Self::Or,
            _ => return None,
        })
    }
}

/// What a piece is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Path(Vec<Part>),
    Name(Text),
    Variable(Text),
    String(Text),
    Number(f64),
    Bool(bool),
    Null,
    Regex(Rc<Pattern>),
    Placeholder,
    Wildcard,
    Descendant,
    /// The number of the slot that its variable is named by.
    Parent(usize),
    Binary(Operator, Box<Part>, Box<Part>),
    Bind(Text, Box<Part>),
    Apply(Box<Part>, Box<Part>),
    Negate(Box<Part>),
    Array(Vec<Part>),
    Object(Group),
    Call(Box<Part>, Vec<Part>),
    Partial(Box<Part>, Vec<Part>),
    Lambda(Vec<Text>, Option<Rc<Signature>>, Box<Part>),
    /// A call that ends a function: it is made by who called the function.
    Thunk(Box<Part>),
    Condition(Box<Part>, Box<Part>, Option<Box<Part>>),
    Transform(Box<Part>, Box<Part>, Option<Box<Part>>),
    Block(Vec<Part>),
    /// A step that puts what comes into order.
    Sort(Vec<Term>),
}

impl Part {
    pub(super) fn new(kind: Kind, position: usize) -> Self {
        Self {
            kind,
            position,
            keep_array: false,
            predicates: Vec::new(),
            group: None,
            step: Step::default(),
            keep_singleton: false,
            seeking: None,
        }
    }

    pub(super) fn path(steps: Vec<Self>) -> Self {
        let position = steps.first().map_or(0, |step| step.position);
        Self::new(Kind::Path(steps), position)
    }

    /// The word for what it is, in messages.
    pub(super) fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Path(_) => "path",
            Kind::Name(_) => "name",
            Kind::Variable(_) => "variable",
            Kind::String(_) => "string",
            Kind::Number(_) => "number",
            Kind::Bool(_) | Kind::Null => "value",
            Kind::Regex(_) => "regex",
            Kind::Placeholder => "operator",
            Kind::Wildcard => "wildcard",
            Kind::Descendant => "descendant",
            Kind::Parent(_) => "parent",
            Kind::Binary(..) => "binary",
            Kind::Bind(..) => "bind",
            Kind::Apply(..) => "apply",
            Kind::Negate(_) | Kind::Array(_) | Kind::Object(_) => "unary",
            Kind::Call(..) => "function",
            Kind::Partial(..) => "partial",
            Kind::Lambda(..) | Kind::Thunk(_) => "lambda",
            Kind::Condition(..) => "condition",
            Kind::Transform(..) => "transform",
            Kind::Block(_) => "block",
            Kind::Sort(_) => "sort",
        }
    }
}
