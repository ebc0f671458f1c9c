//! The tree as it was read to one whose paths are lists of steps, whose parents are found and whose last calls are thunks.

use super::failure;
use super::tree::{Group, Kind, Operator, Part, Raw, RawKind, Stage, Term};
use crate::Failure;

/// What `%` looks for: how many steps up, and the variable that will hold it.
struct Slot {
    label: usize,
    level: i32,
}

#[derive(Default)]
struct Process {
    slots: Vec<Slot>,
}

/// Works a tree out. The label of a slot is the number of the variable that the step binds.
pub(super) fn process(raw: Raw) -> Result<Part, Failure> {
    let mut process = Process::default();
    let mut part = process.part(raw)?;
    if matches!(part.kind, Kind::Parent(_)) || part.seeking.is_some() {
        return Err(no_parent(&part));
    }
    process.label(&mut part);
    Ok(part)
}

fn no_parent(part: &Part) -> Failure {
    let message = "the object representing the parent (`%`) cannot be derived from this expression";
    failure("S0217", message, Some(part.noun()), part.position)
}

impl Process {
    fn part(&mut self, raw: Raw) -> Result<Part, Failure> {
        let Raw { kind, position, keep_array, height: _ } = raw;
        let mut part = match kind {
            RawKind::Binary(operator, left, right) => self.binary(operator, *left, *right, position, keep_array)?,
            RawKind::GroupBy(left, members) => self.group_by(*left, members, position)?,
            RawKind::OrderBy(left, terms) => self.order_by(*left, terms, position)?,
            RawKind::Name(name) => name_path(name, position, keep_array),
            RawKind::Word(name) => name_path(name.into(), position, keep_array),
            RawKind::Variable(name) => Part::new(Kind::Variable(name), position),
            RawKind::String(text) => Part::new(Kind::String(text), position),
            RawKind::Number(number) => Part::new(Kind::Number(number), position),
            RawKind::Bool(value) => Part::new(Kind::Bool(value), position),
            RawKind::Null => Part::new(Kind::Null, position),
            RawKind::Regex(pattern) => Part::new(Kind::Regex(pattern), position),
            RawKind::Placeholder => Part::new(Kind::Placeholder, position),
            RawKind::Wildcard => Part::new(Kind::Wildcard, position),
            RawKind::Descendant => Part::new(Kind::Descendant, position),
            RawKind::Parent => {
                self.slots.push(Slot { label: self.slots.len(), level: 1 });
                Part::new(Kind::Parent(self.slots.len() - 1), position)
            }
            RawKind::End => return Err(failure("S0207", "unexpected end of expression", Some("(end)"), position)),
            kind => self.nested(kind, position)?,
        };
        part.keep_array |= keep_array;
        Ok(part)
    }

    /// Brackets, calls and words of the language.
    fn nested(&mut self, kind: RawKind, position: usize) -> Result<Part, Failure> {
        let mut seeking = None;
        let kind = match kind {
            RawKind::Negate(inner) => {
                let mut inner = self.part(*inner)?;
                if let Kind::Number(number) = &mut inner.kind {
                    *number = -*number;
                    return Ok(inner);
                }
                push_ancestry(&mut seeking, &inner);
                Kind::Negate(Box::new(inner))
            }
            RawKind::Array(items) => Kind::Array(self.parts(items, &mut seeking)?),
            RawKind::Object(members) => {
                let pairs = members.into_iter().map(|(name, value)| {
                    let name = self.part(name)?;
                    push_ancestry(&mut seeking, &name);
                    let value = self.part(value)?;
                    push_ancestry(&mut seeking, &value);
                    Ok((name, value))
                });
                Kind::Object(Group { pairs: pairs.collect::<Result<_, Failure>>()?, position })
            }
            RawKind::Call(procedure, arguments) => {
                let arguments = self.parts(arguments, &mut seeking)?;
                Kind::Call(Box::new(self.part(*procedure)?), arguments)
            }
            RawKind::Partial(procedure, arguments) => {
                let arguments = self.parts(arguments, &mut seeking)?;
                Kind::Partial(Box::new(self.part(*procedure)?), arguments)
            }
            RawKind::Lambda(parameters, signature, body) => {
                let body = tail_call(self.part(*body)?);
                Kind::Lambda(parameters, signature, Box::new(body))
            }
            RawKind::Condition(condition, then, other) => {
                let mut part = |raw: Raw| {
                    let part = self.part(raw)?;
                    push_ancestry(&mut seeking, &part);
                    Ok::<_, Failure>(Box::new(part))
                };
                Kind::Condition(part(*condition)?, part(*then)?, other.map(|other| part(*other)).transpose()?)
            }
            RawKind::Transform(pattern, update, delete) => {
                let mut part = |raw: Raw| self.part(raw).map(Box::new);
                Kind::Transform(part(*pattern)?, part(*update)?, delete.map(|delete| part(*delete)).transpose()?)
            }
            RawKind::Block(parts) => {
                let parts = self.parts(parts, &mut seeking)?;
                let is_constructed = parts
                    .iter()
                    .any(|part| part.step.is_constructed || matches!(&part.kind, Kind::Path(steps) if steps[0].step.is_constructed));
                let mut block = Part::new(Kind::Block(parts), position);
                block.step.is_constructed = is_constructed;
                block.seeking = seeking;
                return Ok(block);
            }
            _ => unreachable!("the caller takes the other kinds"),
        };
        let mut part = Part::new(kind, position);
        part.seeking = seeking;
        Ok(part)
    }

    fn parts(&mut self, parts: Vec<Raw>, seeking: &mut Option<Vec<usize>>) -> Result<Vec<Part>, Failure> {
        let made = parts.into_iter().map(|raw| {
            let part = self.part(raw)?;
            push_ancestry(seeking, &part);
            Ok(part)
        });
        made.collect()
    }

    fn binary(&mut self, operator: &str, left: Raw, right: Raw, position: usize, keep_array: bool) -> Result<Part, Failure> {
        match operator {
            "." => self.map(left, right),
            "[" => self.filter(left, right, position),
            ":=" => {
                let RawKind::Variable(name) = left.kind else { unreachable!("the parser saw to it") };
                let value = self.part(right)?;
                let mut seeking = None;
                push_ancestry(&mut seeking, &value);
                let mut part = Part::new(Kind::Bind(name, Box::new(value)), position);
                part.seeking = seeking;
                Ok(part)
            }
            "@" => self.focus(left, right, position, keep_array),
            "#" => self.index(left, right),
            "~>" => {
                let left = self.part(left)?;
                let right = self.part(right)?;
                let keep_array = left.keep_array || right.keep_array;
                let mut part = Part::new(Kind::Apply(Box::new(left), Box::new(right)), position);
                part.keep_array = keep_array;
                Ok(part)
            }
            operator => {
                let Some(operator) = Operator::of(operator) else { unreachable!("the parser gives no other operator") };
                let left = self.part(left)?;
                let right = self.part(right)?;
                let mut seeking = None;
                push_ancestry(&mut seeking, &left);
                push_ancestry(&mut seeking, &right);
                let mut part = Part::new(Kind::Binary(operator, Box::new(left), Box::new(right)), position);
                part.seeking = seeking;
                Ok(part)
            }
        }
    }

    /// `left.right`: steps one after the other.
    fn map(&mut self, left: Raw, right: Raw) -> Result<Part, Failure> {
        let first = self.part(left)?;
        let mut path = match first.kind {
            Kind::Path(_) => first,
            Kind::Parent(slot) => {
                let mut path = Part::path(vec![first]);
                path.seeking = Some(vec![slot]);
                path
            }
            _ => Part::path(vec![first]),
        };
        let mut rest = self.part(right)?;
        let Kind::Path(steps) = &mut path.kind else { unreachable!("it was made one") };
        match rest.kind {
            Kind::Path(more) => steps.extend(more),
            _ => {
                if !rest.predicates.is_empty() {
                    rest.step.stages = std::mem::take(&mut rest.predicates);
                }
                steps.push(rest);
            }
        }
        for step in steps.iter() {
            let value = match &step.kind {
                Kind::Number(number) => number.to_string(),
                Kind::Bool(value) => value.to_string(),
                Kind::Null => "null".into(),
                _ => continue,
            };
            let message = format!("the literal value `{value}` cannot be used as a step within a path expression");
            return Err(failure("S0213", message, Some(&value), step.position));
        }
        for step in steps.iter_mut() {
            if let Kind::String(name) = &step.kind {
                step.kind = Kind::Name(name.clone());
            }
        }
        path.keep_singleton |= steps.iter().any(|step| step.keep_array);
        let last = steps.len() - 1;
        for end in [0, last] {
            if let Kind::Array(_) = steps[end].kind {
                steps[end].step.is_constructed = true;
            }
        }
        self.resolve(&mut path)?;
        Ok(path)
    }

    fn filter(&mut self, left: Raw, right: Raw, position: usize) -> Result<Part, Failure> {
        let mut part = self.part(left)?;
        if last_step(&mut part).group.is_some() {
            return Err(failure("S0209", "a predicate cannot follow a grouping expression in a step", Some("["), position));
        }
        let mut predicate = self.part(right)?;
        let is_path = matches!(part.kind, Kind::Path(_));
        let step = last_step(&mut part);
        if let Some(slots) = predicate.seeking.take() {
            for &slot in &slots {
                if self.slots[slot].level == 1 {
                    self.seek(step, slot)?;
                } else {
                    self.slots[slot].level -= 1;
                }
            }
            step.seeking.get_or_insert_default().extend(&slots);
        }
        let stages = if is_path { &mut step.step.stages } else { &mut step.predicates };
        stages.push(Stage::Filter(predicate));
        Ok(part)
    }

    fn group_by(&mut self, left: Raw, members: Vec<(Raw, Raw)>, position: usize) -> Result<Part, Failure> {
        let mut part = self.part(left)?;
        if part.group.is_some() {
            return Err(failure("S0210", "each step can only have one grouping expression", Some("{"), position));
        }
        let pairs = members.into_iter().map(|(name, value)| Ok((self.part(name)?, self.part(value)?)));
        part.group = Some(Group { pairs: pairs.collect::<Result<_, Failure>>()?, position });
        Ok(part)
    }

    fn order_by(&mut self, left: Raw, terms: Vec<(bool, Raw)>, position: usize) -> Result<Part, Failure> {
        let part = self.part(left)?;
        let mut path = if let Kind::Path(_) = part.kind { part } else { Part::path(vec![part]) };
        let mut seeking = None;
        let terms = terms.into_iter().map(|(is_descending, term)| {
            let part = self.part(term)?;
            push_ancestry(&mut seeking, &part);
            Ok(Term { part, is_descending })
        });
        let mut sort = Part::new(Kind::Sort(terms.collect::<Result<_, Failure>>()?), position);
        sort.seeking = seeking;
        let Kind::Path(steps) = &mut path.kind else { unreachable!("it was made one") };
        steps.push(sort);
        self.resolve(&mut path)?;
        Ok(path)
    }

    fn focus(&mut self, left: Raw, right: Raw, position: usize, keep_array: bool) -> Result<Part, Failure> {
        let RawKind::Variable(name) = right.kind else { unreachable!("the parser saw to it") };
        let mut part = self.part(left)?;
        let step = last_step(&mut part);
        if !step.step.stages.is_empty() || !step.predicates.is_empty() {
            return Err(failure("S0215", "a context variable binding must precede any predicates on a step", Some("@"), position));
        }
        if let Kind::Sort(_) = step.kind {
            let message = "a context variable binding must precede the order-by clause on a step";
            return Err(failure("S0216", message, Some("@"), position));
        }
        step.keep_array |= keep_array;
        step.step.focus = Some(name);
        step.step.is_tuple = true;
        Ok(part)
    }

    fn index(&mut self, left: Raw, right: Raw) -> Result<Part, Failure> {
        let RawKind::Variable(name) = right.kind else { unreachable!("the parser saw to it") };
        let mut part = self.part(left)?;
        if !matches!(part.kind, Kind::Path(_)) {
            part.step.stages = std::mem::take(&mut part.predicates);
            part = Part::path(vec![part]);
        }
        let step = &mut last_step(&mut part).step;
        step.is_tuple = true;
        match step.stages.is_empty() {
            true => step.index = Some(name),
            false => step.stages.push(Stage::Index(name)),
        }
        Ok(part)
    }

    /// Finds what the parents that the last step looks for are, as far as the path goes.
    fn resolve(&mut self, path: &mut Part) -> Result<(), Failure> {
        let Kind::Path(steps) = &mut path.kind else { unreachable!("only paths are resolved") };
        let last = &steps[steps.len() - 1];
        let mut slots = last.seeking.clone().unwrap_or_default();
        if let Kind::Parent(slot) = last.kind {
            slots.push(slot);
        }
        for slot in slots {
            let mut index = steps.len() - 1;
            while self.slots[slot].level > 0 {
                if index == 0 {
                    path.seeking.get_or_insert_default().push(slot);
                    break;
                }
                index -= 1;
                // Steps next to each other that bind the focus are one step.
                while index > 0 && steps[index].step.focus.is_some() && steps[index - 1].step.focus.is_some() {
                    index -= 1;
                }
                self.seek(&mut steps[index], slot)?;
            }
        }
        Ok(())
    }

    /// Looks for a parent in a step.
    fn seek(&mut self, part: &mut Part, slot: usize) -> Result<(), Failure> {
        match &mut part.kind {
            Kind::Name(_) | Kind::Wildcard => {
                self.slots[slot].level -= 1;
                if self.slots[slot].level == 0 {
                    if let Some(known) = part.step.ancestor {
                        self.slots[slot].label = self.slots[known].label;
                    }
                    part.step.ancestor = Some(slot);
                    part.step.is_tuple = true;
                }
            }
            Kind::Parent(_) => self.slots[slot].level += 1,
            Kind::Block(parts) => {
                if let Some(last) = parts.last_mut() {
                    part.step.is_tuple = true;
                    self.seek(last, slot)?;
                }
            }
            Kind::Path(steps) => {
                part.step.is_tuple = true;
                let mut steps = steps.iter_mut().rev();
                if let Some(last) = steps.next() {
                    self.seek(last, slot)?;
                }
                for step in steps {
                    if self.slots[slot].level <= 0 {
                        break;
                    }
                    self.seek(step, slot)?;
                }
            }
            _ => return Err(no_parent(part)),
        }
        Ok(())
    }

    /// Puts labels in place of slots, which are all known now.
    fn label(&self, part: &mut Part) {
        if let Kind::Parent(slot) = &mut part.kind {
            *slot = self.slots[*slot].label;
        }
        if let Some(slot) = &mut part.step.ancestor {
            *slot = self.slots[*slot].label;
        }
        part.each_mut(&mut |part| self.label(part));
    }
}

impl Part {
    /// Visits the pieces right below.
    fn each_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        let pairs = |group: &mut Group, visit: &mut dyn FnMut(&mut Self)| {
            for (name, value) in &mut group.pairs {
                visit(name);
                visit(value);
            }
        };
        match &mut self.kind {
            Kind::Path(parts) | Kind::Array(parts) | Kind::Block(parts) => parts.iter_mut().for_each(&mut *visit),
            Kind::Binary(_, left, right) | Kind::Apply(left, right) => {
                visit(left);
                visit(right);
            }
            Kind::Bind(_, inner) | Kind::Negate(inner) | Kind::Lambda(_, _, inner) | Kind::Thunk(inner) => visit(inner),
            Kind::Object(group) => pairs(group, visit),
            Kind::Call(procedure, arguments) | Kind::Partial(procedure, arguments) => {
                visit(procedure);
                arguments.iter_mut().for_each(&mut *visit);
            }
            Kind::Condition(one, two, three) | Kind::Transform(one, two, three) => {
                visit(one);
                visit(two);
                three.iter_mut().for_each(|three| visit(three));
            }
            Kind::Sort(terms) => terms.iter_mut().for_each(|term| visit(&mut term.part)),
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
        for stage in self.predicates.iter_mut().chain(&mut self.step.stages) {
            if let Stage::Filter(part) = stage {
                visit(part);
            }
        }
        if let Some(group) = &mut self.group {
            pairs(group, visit);
        }
    }
}

fn name_path(name: super::Text, position: usize, keep_array: bool) -> Part {
    let mut step = Part::new(Kind::Name(name), position);
    step.keep_array = keep_array;
    let mut path = Part::path(vec![step]);
    path.keep_singleton = keep_array;
    path
}

/// The step that what follows belongs to.
fn last_step(part: &mut Part) -> &mut Part {
    if !matches!(part.kind, Kind::Path(_)) {
        return part;
    }
    let Kind::Path(steps) = &mut part.kind else { unreachable!("it was just seen") };
    steps.last_mut().expect("a path has a step")
}

/// Passes on the parents that a piece looks for.
fn push_ancestry(seeking: &mut Option<Vec<usize>>, part: &Part) {
    let own = if let Kind::Parent(slot) = part.kind { Some(slot) } else { None };
    if part.seeking.is_some() || own.is_some() {
        seeking.get_or_insert_default().extend(part.seeking.iter().flatten().copied().chain(own));
    }
}

/// Makes a call that ends a function a thunk, so that recursion in that place needs no stack.
fn tail_call(mut part: Part) -> Part {
    match &mut part.kind {
        Kind::Call(..) if part.predicates.is_empty() => {
            let position = part.position;
            return Part::new(Kind::Thunk(Box::new(part)), position);
        }
        Kind::Condition(_, then, other) => {
            for branch in [Some(then), other.as_mut()].into_iter().flatten() {
                replace(branch);
            }
        }
        Kind::Block(parts) => parts.last_mut().into_iter().for_each(replace),
        _ => {}
    }
    part
}

fn replace(place: &mut Part) {
    let part = std::mem::replace(place, Part::new(Kind::Null, 0));
    *place = tail_call(part);
}
