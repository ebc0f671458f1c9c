//! Whether a regular expression may match at all, told in time that grows with the text only.
//!
//! The crate's search takes time without end where repetitions are within repetitions and the text almost matches, as `(a+)+$` on `aaaa!`.
//! Such expressions are tried here first, all ways at once (K. Thompson, "Regular expression search algorithm", 1968). What has no such
//! form (look-around, back-references, properties) counts as matching anything, so that a "no" is always right.

/// Copies of a counted repetition; of more, any number counts.
const COPIES: u32 = 16;
/// Steps that an expression may have here.
const MAX_STEPS: usize = 4096;

#[derive(Debug)]
enum Step {
    /// A character of some, or of all others.
    Set {
        ranges: Vec<(char, char)>,
        is_negated: bool,
    },
    Any,
    Start,
    End,
    Split(usize, usize),
    Found,
}

/// An expression whose search may take for ever.
#[derive(Debug)]
pub(super) struct Possible {
    steps: Vec<Step>,
    ignores_case: bool,
    by_lines: bool,
}

enum Tree {
    Empty,
    Step(Step),
    Sequence(Vec<Tree>),
    Choice(Vec<Tree>),
    /// How often at least, and at most; whether that is often.
    Repeat(Box<Tree>, u32, Option<u32>),
}

impl Tree {
    fn is_variable(&self) -> bool {
        match self {
            Self::Repeat(_, least, most) => *most != Some(*least),
            Self::Choice(_) => true,
            Self::Sequence(parts) => parts.iter().any(Self::is_variable),
            Self::Empty | Self::Step(_) => false,
        }
    }

    /// Whether something is repeated that can be read in several ways.
    fn is_risky(&self) -> bool {
        match self {
            Self::Repeat(inner, _, most) => most.is_none_or(|most| most > 1) && inner.is_variable() || inner.is_risky(),
            Self::Choice(parts) | Self::Sequence(parts) => parts.iter().any(Self::is_risky),
            Self::Empty | Self::Step(_) => false,
        }
    }
}

impl Possible {
    /// What can be told of an expression; `None` where its search needs no help, or nothing can be told.
    pub(super) fn new(source: &str, flags: &str) -> Option<Self> {
        let mut reader = Reader { text: source.chars().collect(), place: 0, depth: 0 };
        let tree = reader.choice()?;
        if reader.place < reader.text.len() || !tree.is_risky() {
            return None;
        }
        let mut steps = Vec::new();
        emit(&tree, &mut steps)?;
        steps.push(Step::Found);
        Some(Self { steps, ignores_case: flags.contains('i'), by_lines: flags.contains('m') })
    }

    /// Whether there may be a match that begins at a byte or behind it.
    pub(super) fn may_match(&self, text: &str, from: usize) -> bool {
        let is_line_end = |character: char| matches!(character, '\n' | '\r' | '\u{2028}' | '\u{2029}');
        let mut before = text[..from].chars().next_back();
        let mut characters = text[from..].chars();
        let (mut now, mut next) = (Vec::new(), Vec::new());
        // In which round a step was reached last.
        let mut seen = vec![0_usize; self.steps.len()];
        let mut round = 0;
        loop {
            let after = characters.clone().next();
            let at_start = before.is_none() || self.by_lines && before.is_some_and(is_line_end);
            let at_end = after.is_none() || self.by_lines && after.is_some_and(is_line_end);
            round += 1;
            now.push(0);
            next.clear();
            while let Some(step) = now.pop() {
                if std::mem::replace(&mut seen[step], round) == round {
                    continue;
                }
                match &self.steps[step] {
                    Step::Found => return true,
                    Step::Split(one, other) => now.extend([*one, *other]),
                    Step::Start if at_start => now.push(step + 1),
                    Step::End if at_end => now.push(step + 1),
                    Step::Start | Step::End => {}
                    Step::Any => next.push(step + 1),
                    Step::Set { ranges, is_negated } => {
                        if after.is_some_and(|character| self.is_in(character, ranges, *is_negated)) {
                            next.push(step + 1);
                        }
                    }
                }
            }
            let Some(character) = characters.next() else { return false };
            before = Some(character);
            std::mem::swap(&mut now, &mut next);
        }
    }

    fn is_in(&self, character: char, ranges: &[(char, char)], is_negated: bool) -> bool {
        let is_in = |character: char| ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != is_negated;
        // Beyond Latin letters cases are too many to be told here.
        is_in(character)
            || self.ignores_case
                && (!character.is_ascii() || is_in(character.to_ascii_lowercase()) || is_in(character.to_ascii_uppercase()))
    }
}

/// Writes the steps of a tree; `None` where they are too many.
fn emit(tree: &Tree, steps: &mut Vec<Step>) -> Option<()> {
    if steps.len() > MAX_STEPS {
        return None;
    }
    match tree {
        Tree::Empty => {}
        Tree::Step(step) => steps.push(match step {
            Step::Set { ranges, is_negated } => Step::Set { ranges: ranges.clone(), is_negated: *is_negated },
            Step::Start => Step::Start,
            Step::End => Step::End,
            _ => Step::Any,
        }),
        Tree::Sequence(parts) => parts.iter().try_for_each(|part| emit(part, steps))?,
        Tree::Choice(parts) => {
            let mut ends = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                if index + 1 == parts.len() {
                    emit(part, steps)?;
                    break;
                }
                let split = steps.len();
                steps.push(Step::Split(split + 1, 0));
                emit(part, steps)?;
                ends.push(steps.len());
                steps.push(Step::Split(0, 0));
                steps[split] = Step::Split(split + 1, steps.len());
            }
            let end = steps.len();
            ends.into_iter().for_each(|place| steps[place] = Step::Split(end, end));
        }
        Tree::Repeat(inner, least, most) => {
            for _ in 0..(*least).min(COPIES) {
                emit(inner, steps)?;
            }
            match most.filter(|most| most - least <= COPIES && *least <= COPIES) {
                Some(most) => {
                    for _ in *least..most {
                        let split = steps.len();
                        steps.push(Step::Split(split + 1, 0));
                        emit(inner, steps)?;
                        steps[split] = Step::Split(split + 1, steps.len());
                    }
                }
                None => {
                    let split = steps.len();
                    steps.push(Step::Split(split + 1, 0));
                    emit(inner, steps)?;
                    steps.push(Step::Split(split, split));
                    steps[split] = Step::Split(split + 1, steps.len());
                }
            }
        }
    }
    Some(())
}

struct Reader {
    text: Vec<char>,
    place: usize,
    depth: u32,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.text.get(self.place).copied()
    }

    fn take(&mut self, character: char) -> bool {
        let is_there = self.peek() == Some(character);
        self.place += usize::from(is_there);
        is_there
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, character)| self.text.get(self.place + index) == Some(&character))
    }

    fn choice(&mut self) -> Option<Tree> {
        self.depth += 1;
        if self.depth > 100 {
            return None;
        }
        let mut parts = vec![self.sequence()?];
        while self.take('|') {
            parts.push(self.sequence()?);
        }
        self.depth -= 1;
        Some(if parts.len() == 1 { parts.remove(0) } else { Tree::Choice(parts) })
    }

    fn sequence(&mut self) -> Option<Tree> {
        let mut parts = Vec::new();
        while self.peek().is_some_and(|character| !matches!(character, '|' | ')')) {
            let atom = self.atom()?;
            parts.push(self.repeated(atom)?);
        }
        Some(Tree::Sequence(parts))
    }

    fn repeated(&mut self, atom: Tree) -> Option<Tree> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let Some(count) = self.counted() else { return Some(atom) };
                self.take('?');
                return Some(Tree::Repeat(Box::new(atom), count.0, count.1));
            }
            _ => return Some(atom),
        };
        self.place += 1;
        self.take('?');
        Some(Tree::Repeat(Box::new(atom), least, most))
    }

    /// `{2}`, `{2,}` or `{2,3}`; anything else is text.
    fn counted(&mut self) -> Option<(u32, Option<u32>)> {
        let length = self.text[self.place..].iter().position(|character| *character == '}')?;
        let inner: String = self.text[self.place + 1..self.place + length].iter().collect();
        let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let count = match inner.split_once(',') {
            None => number(&inner).map(|count| (count, Some(count))),
            Some((least, "")) => number(least).map(|least| (least, None)),
            Some((least, most)) => number(least).zip(number(most)).map(|(least, most)| (least, Some(most.max(least)))),
        }?;
        self.place += length + 1;
        Some(count)
    }

    fn atom(&mut self) -> Option<Tree> {
        let character = self.peek()?;
        self.place += 1;
        Some(match character {
            '(' => {
                let is_around = ["?=", "?!", "?<=", "?<!"].iter().any(|around| self.starts_with(around));
                if self.take('?') && !self.take(':') {
                    if !is_around && !self.starts_with("<") {
                        return None;
                    }
                    if self.starts_with("<") && !is_around {
                        while self.peek()? != '>' {
                            self.place += 1;
                        }
                    }
                    self.place += 1;
                    if is_around && self.text[self.place - 1] == '<' {
                        self.place += 1;
                    }
                }
                let inner = self.choice()?;
                if !self.take(')') {
                    return None;
                }
                // What is looked for around a place takes no characters.
                if is_around { Tree::Empty } else { inner }
            }
            '^' => Tree::Step(Step::Start),
            '$' => Tree::Step(Step::End),
            '.' => Tree::Step(Step::Any),
            '[' => self.class()?,
            '\\' => self.escape()?,
            character => set(vec![(character, character)], false),
        })
    }

    fn escape(&mut self) -> Option<Tree> {
        let character = self.peek()?;
        self.place += 1;
        Some(match character {
            'b' | 'B' => Tree::Empty,
            // As often as it likes.
            '0'..='9' => {
                while self.peek().is_some_and(|digit| digit.is_ascii_digit()) {
                    self.place += 1;
                }
                Tree::Repeat(Box::new(Tree::Step(Step::Any)), 0, None)
            }
            'd' => set(vec![('0', '9')], false),
            'D' => set(vec![('0', '9')], true),
            'w' => set(word(), false),
            'W' => set(word(), true),
            'n' => set(vec![('\n', '\n')], false),
            'r' => set(vec![('\r', '\r')], false),
            't' => set(vec![('\t', '\t')], false),
            's' | 'S' | 'v' | 'f' => Tree::Step(Step::Any),
            character if character.is_alphanumeric() => return None,
            character => set(vec![(character, character)], false),
        })
    }

    fn class(&mut self) -> Option<Tree> {
        let is_negated = self.take('^');
        let mut ranges = Vec::new();
        let mut is_plain = true;
        while !self.take(']') {
            let first = self.peek()?;
            self.place += 1;
            if first == '\\' {
                match self.escape()? {
                    Tree::Step(Step::Set { ranges: more, is_negated: false }) => ranges.extend(more),
                    _ => is_plain = false,
                }
                is_plain &= self.peek() != Some('-');
                continue;
            }
            if self.peek() == Some('-') && self.text.get(self.place + 1).is_some_and(|last| *last != ']') {
                let last = self.text[self.place + 1];
                is_plain &= last != '\\';
                ranges.push((first, last));
                self.place += if last == '\\' { 3 } else { 2 };
            } else {
                ranges.push((first, first));
            }
        }
        Some(if is_plain { set(ranges, is_negated) } else { Tree::Step(Step::Any) })
    }
}

fn set(ranges: Vec<(char, char)>, is_negated: bool) -> Tree {
    Tree::Step(Step::Set { ranges, is_negated })
}

fn word() -> Vec<(char, char)> {
    vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_match_is_told_at_once() {
        let no = |source: &str, text: &str| Possible::new(source, "").is_some_and(|possible| !possible.may_match(text, 0));
        let text = format!("{}!", "a".repeat(5000));
        for source in ["^(a+)+$", "(a|aa)+$", "^(a|a)*$", "^(?:a*)*$", "^(\\w+\\s?)*$x", "([a-z]+)*\\d", "^(a{1,3}){2,}$"] {
            assert!(no(source, &text), "{source}");
        }
        for source in ["^(a+)+", "(a|b)+", "(?=x)(a+)+", "(a+)+\\1", "([^\\d]+)+!", "(a+){3}", "(a+)+(?<!b)!$"] {
            assert!(!no(source, &text), "{source}");
        }
        // A search that needs no help gets none.
        assert!(Possible::new("^[a-z]+@[a-z]+$", "").is_none());
    }
}
