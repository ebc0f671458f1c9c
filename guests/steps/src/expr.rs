//! The expressions of `add`: a text, a text with fields in it, a field, or a call.
//!
//! A text is a call only where `name(…)` spans all of it: `see (1)` and `a(b) c` are texts, `lower(${a})` is a call, and
//! `lowr(${a})` is an error rather than a text that nobody wanted.

mod parse;

use std::fmt;

use serde_json::Value;

pub use parse::parse;

/// An expression as parsed; fields are resolved where the columns are known.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A text, or an argument that is a text, number, truth value or null.
    Literal(Value),
    /// A lone `${field}`: keeps the field's type.
    Field(Field),
    /// A text with fields in it: always text.
    Template(Vec<Part>),
    /// A call of a known function; the number of arguments is right.
    Call(Function, Vec<Expr>),
    /// A bare word as an argument, such as `email` in `lower(email)`: the field of that name if there is one, else a text.
    Word(String),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A text as it stands.
    Text(String),
    /// The text of a field.
    Field(Field),
}

/// A reference to a field: `${name}`, `${name:-default}`, `${a.b[0]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name as written, without the default: a column of exactly this name comes before the path.
    pub name: String,
    /// The name read as a path; one name where it does not read as one.
    pub path: Vec<Segment>,
    /// What stands in where it is missing or null.
    pub default: Option<String>,
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A column, or a member of an object.
    Name(String),
    /// An item of a list, from 0.
    Index(usize),
}

/// The text does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// Where in the text, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExprError {}

macro_rules! functions {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $least:literal $most:tt,)*) => {
        /// A function that expressions may call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function { $($(#[doc = $doc])* $variant,)* }

        impl Function {
            /// All functions, in the order of the manual.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Names it as written.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Counts the arguments that it takes: at least, at most.
            fn arity(self) -> (usize, usize) {
                match self { $(Self::$variant => ($least, $most),)* }
            }
        }
    };
}

const ANY: usize = usize::MAX;

functions! {
    /// The run's start as ISO 8601 text in UTC, or as its `strftime` format says; `now(row)` asks for a clock.
    Now "now" 0 1,
    /// A random-looking identifier, the same when the run is repeated with the same seed.
    Uuid "uuid" 0 0,
    /// A granted environment variable, else the second argument, else null.
    Env "env" 1 2,
    /// Lower case.
    Lower "lower" 1 1,
    /// Upper case.
    Upper "upper" 1 1,
    /// Without blanks at both ends.
    Trim "trim" 1 1,
    /// All arguments as one text.
    Concat "concat" 1 ANY,
    /// The first argument that is not null.
    Coalesce "coalesce" 1 ANY,
    /// The first argument, the second where it is null.
    Default "default" 2 2,
    /// Characters of a text, items of a list, members of an object.
    Len "len" 1 1,
    /// The day as ISO 8601 text: of the argument, else of the run's start.
    Date "date" 0 1,
    /// The instant as ISO 8601 text: of the argument, else of the run's start.
    Datetime "datetime" 0 1,
    /// An integer, null where it does not convert.
    Int "int" 1 1,
    /// A float, null where it does not convert.
    Float "float" 1 1,
    /// A text; null becomes the empty text.
    Str "str" 1 1,
    /// A truth value.
    Bool "bool" 1 1,
    /// Milliseconds since 1970 as ISO 8601 text in UTC.
    EpochMsToIso "epoch_ms_to_iso" 1 1,
    /// The first argument minus the second, as floats.
    Sub "sub" 2 2,
}

impl Function {
    fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name().eq_ignore_ascii_case(name))
    }
}

/// The directives that the format of `now("…")` may hold after `%`.
pub const STRFTIME_DIRECTIVES: &str = "YmdHMSfjyBbAaIpzZsFTDRuwe%";

#[cfg(test)]
mod tests {
    use super::parse::path;
    use super::*;

    fn text(text: &str) -> Expr {
        Expr::Literal(text.into())
    }

    fn field(name: &str, default: Option<&str>) -> Field {
        Field { name: name.into(), path: path(name).expect("a path"), default: default.map(Into::into) }
    }

    fn lone(name: &str) -> Expr {
        Expr::Field(field(name, None))
    }

    #[test]
    fn a_text_that_is_not_wholly_a_call_is_a_text() {
        for plain in ["", "api", "see (1)", "a (b)", "foo(bar) baz", "f(x", "1(2)", "now() or never", "(x)", "$5", "50%", " blanks stay "] {
            assert_eq!(parse(plain), Ok(text(plain)), "{plain}");
        }
        assert_eq!(parse("cost: $${x}"), Ok(text("cost: ${x}")));
    }

    #[test]
    fn fields_stand_alone_or_in_a_text() {
        assert_eq!(parse("${a}"), Ok(lone("a")));
        assert_eq!(parse("${a:-x, (y) \"z}"), Ok(Expr::Field(field("a", Some("x, (y) \"z")))));
        assert_eq!(parse("${a:-}"), Ok(Expr::Field(field("a", Some("")))));
        let nested = Field {
            name: "a.b[0].c".into(),
            path: vec![Segment::Name("a".into()), Segment::Name("b".into()), Segment::Index(0), Segment::Name("c".into())],
            default: None,
        };
        assert_eq!(parse("${a.b[0].c}"), Ok(Expr::Field(nested)));
        let odd = Field { name: "a..b[x]".into(), path: vec![Segment::Name("a..b[x]".into())], default: None };
        assert_eq!(parse("${a..b[x]}"), Ok(Expr::Field(odd)));
        let parts =
            vec![Part::Field(field("first", None)), Part::Text(" ${".into()), Part::Field(field("last", None)), Part::Text("!".into())];
        assert_eq!(parse("${first} $${${last}!"), Ok(Expr::Template(parts)));
    }

    #[test]
    fn calls_take_calls_fields_quotes_numbers_and_words() {
        assert_eq!(parse("now()"), Ok(Expr::Call(Function::Now, vec![])));
        assert_eq!(parse(" UUID( ) "), Ok(Expr::Call(Function::Uuid, vec![])));
        assert_eq!(parse("env(REGION, 'eu')"), Ok(Expr::Call(Function::Env, vec![text("REGION"), text("eu")])));
        assert_eq!(parse("lower(email)"), Ok(Expr::Call(Function::Lower, vec![Expr::Word("email".into())])));
        let arguments = vec![
            Expr::Call(Function::Trim, vec![lone("a")]),
            text(", (it's) \"so\""),
            Expr::Template(vec![Part::Field(field("b", None)), Part::Text("-".into()), Part::Field(field("c", Some("d, e)")))]),
            Expr::Literal(12.into()),
            Expr::Literal((-1.5).into()),
            Expr::Literal(true.into()),
            Expr::Literal(Value::Null),
            Expr::Word("N/A".into()),
            Expr::Template(vec![Part::Text("<".into()), Part::Field(field("z", None)), Part::Text(">".into())]),
        ];
        let written = r#"concat(trim(${a}), ", (it's) \"so\"", ${b}-${c:-d, e)}, 12, -1.5, True, none, N/A, '<${z}>')"#;
        assert_eq!(parse(written), Ok(Expr::Call(Function::Concat, arguments)));
    }

    #[test]
    fn mistakes_are_told_with_their_column() {
        let functions = "now uuid env lower upper trim concat coalesce default len date datetime int float str bool epoch_ms_to_iso sub";
        let unknown =
            |meant: &str, literal: &str| format!("{meant}functions are {functions}; to have this as a text, write `concat({literal})`");
        let cases: Vec<(&str, usize, &str, Option<String>)> = vec![
            ("lowr(${a})", 1, "there is no function `lowr`", Some(unknown("did you mean `lower`? ", "\"lowr(${a})\""))),
            ("note(\"x\")", 1, "there is no function `note`", Some(unknown("", "'note(\"x\")'"))),
            ("concat(a, uper(b))", 11, "there is no function `uper`", Some(unknown("did you mean `upper`? ", "\"uper(b)\""))),
            ("lower(a, b)", 6, "`lower` takes 1 argument, not 2", None),
            ("concat()", 7, "`concat` takes at least 1 argument, not 0", None),
            ("env()", 4, "`env` takes 1 to 2 arguments, not 0", None),
            ("uuid(1)", 5, "`uuid` takes no arguments, not 1", None),
            ("sub(1)", 4, "`sub` takes 2 arguments, not 1", None),
            ("concat(a,,b)", 10, "an argument is missing here", None),
            ("concat(a", 7, "this `(` is not closed", None),
            ("concat('a)", 8, "this quote is not closed", None),
            ("concat('a' 'b')", 11, "a comma is missing after the closing quote", None),
            ("é ${a", 3, "this `${` is not closed", Some("close it with `}`, or write `$${` for a literal `${`".into())),
            ("x ${}", 5, "`${}` names no field", None),
            ("concat('é${}')", 12, "`${}` names no field", None),
            (
                "${a:?no}",
                4,
                "`:?` works for variables, not for fields",
                Some("in `add`, `${name}` is a field; `${name:-default}` gives a default".into()),
            ),
            (
                "int(${a}) + 1",
                11,
                "`+` after a call: `add` does no arithmetic",
                Some("use a `jsonata` step for arithmetic, or `concat(…)` to join texts".into()),
            ),
            ("env(${a})", 5, "`env` takes the name of a variable, such as `env(REGION)`", None),
            ("now(rows)", 5, "`now` takes a format in quotes, or `row`", Some("write for example `now(\"%Y-%m-%d\")`".into())),
        ];
        for (written, column, message, hint) in cases {
            assert_eq!(parse(written), Err(ExprError { column, message: message.into(), hint }), "{written}");
        }
        assert_eq!(parse("now('%Q')").map_err(|error| (error.column, error.message)), Err((5, "`%Q` is not a directive of `now`".into())));
    }
}
