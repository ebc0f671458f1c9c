//! `aggregate`: rows of the same key become one row.

use arrow_schema::SchemaRef;
use etl_sdk::{Columns, Input, Output, Plan, StageError, State};
use etl_steps::aggregate::Aggregate as Options;

use crate::columns::Lookup;
use crate::groups::{Groups, Layout, ROWS_OUT, batch, schema};
use crate::memory::{Memory, thousands};
use crate::remember::{self, Head, Remember};
use crate::state::{Reader, Writer};

/// Groups rows and measures each group.
pub struct Aggregate {
    layout: Layout,
    groups: Groups,
    output: SchemaRef,
    memory: Memory,
    head: Head<Options>,
}

impl Columns for Aggregate {
    const NAME: &'static str = "aggregate";
    const SUMMARY: &'static str = "groups rows and measures each group";
    const STATE: State = State::Stream;
    type Options = Options;

    fn configure(options: Options, input: &SchemaRef) -> Result<(Self, Plan), Vec<StageError>> {
        let Options { group_by, metrics, memory_bytes, late } = &options;
        let mut lookup = Lookup::new(input, *late);
        let layout = Layout::new(group_by, metrics, &mut lookup);
        let Lookup { read, problems, missing, .. } = lookup;
        let Some(layout) = layout.filter(|_| problems.is_empty()) else { return Err(problems) };
        let output = schema(layout.fields());
        let groups = layout.groups();
        let head = Head::new(Self::NAME, &options, &(group_by, metrics), input, &read, missing);
        let plan = Plan::aggregate(output.clone()).reading(read);
        Ok((Self { layout, groups, output, memory: Memory::new(*memory_bytes), head }, plan))
    }

    fn process(&mut self, input: &Input<'_>, _output: &mut Output<'_>) -> Result<(), StageError> {
        let rows = input.num_rows();
        let read = self.layout.read(&input.read()?, rows)?;
        let all: Vec<u32> = (0..rows as u32).collect();
        self.groups.update(&self.layout, &read, &all, None)?;
        let groups = &self.groups;
        self.memory.check(
            groups.held(),
            || format!("{} groups", thousands(groups.len())),
            "group by columns with fewer values, or leave rows out before it",
        )
    }

    fn finish(&mut self, output: &mut Output<'_>) -> Result<(), StageError> {
        self.head.complete()?;
        if self.layout.is_whole() {
            self.groups.ensure_whole();
        }
        self.groups.close();
        let count = self.groups.len();
        for start in (0..count).step_by(ROWS_OUT) {
            let range = start..(start + ROWS_OUT).min(count);
            let rows = range.len();
            output.emit(&batch(&self.output, self.groups.columns(&self.layout, range)?, rows)?, None)?;
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        remember::snapshot(self)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StageError> {
        remember::restore(self, state)
    }
}

impl Remember for Aggregate {
    fn head(&self) -> &Head<Options> {
        &self.head
    }

    fn size(&self) -> usize {
        self.groups.held()
    }

    fn save(&self, writer: &mut Writer) -> Result<(), StageError> {
        self.groups.save(writer);
        Ok(())
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), StageError> {
        self.groups = Groups::load(&self.layout, reader)?;
        Ok(())
    }

    fn widen(&mut self, old: Self) -> Result<(), StageError> {
        self.groups = old.groups.widen(&old.layout, &mut self.layout, 1)?;
        Ok(())
    }
}
