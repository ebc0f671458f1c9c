//! What several transformers came to together.

use std::collections::BTreeMap;

use crate::error::{Error, Fault};
use crate::report::{
    CheckpointReport, DeadLetterReport, ErrorReport, OutputReport, Phase, PhaseStatus, Progress, Quality, Rows, RunReport, Status,
    StepQuality, TransformerReport,
};

/// Samples of refused rows that are told.
const SAMPLES: usize = super::SAMPLES;

/// How a run ended whose transformers ended so.
fn status(parts: &[TransformerReport]) -> Status {
    let all = |status: Status| parts.iter().all(|part| part.status == status);
    match () {
        () if parts.iter().any(|part| part.status == Status::Interrupted) => Status::Interrupted,
        () if all(Status::Success) => Status::Success,
        () if all(Status::Failed) => Status::Failed,
        () => Status::PartialSuccess,
    }
}

/// The rows of all: each row of the input is read once, what became of it is counted for each transformer.
pub(super) fn rows<'a>(parts: impl Iterator<Item = &'a Rows>) -> Rows {
    let mut total = Rows::default();
    let mut read = 0;
    for rows in parts {
        total.add(rows);
        read = read.max(rows.read);
    }
    Rows { read, ..total }
}

/// How far several are that were last heard of so.
pub(super) fn progress(parts: &[(String, Progress)]) -> Progress {
    let each = || parts.iter().map(|(_, progress)| progress);
    let fuel = parts.iter().flat_map(|(name, progress)| progress.fuel.iter().map(move |(stage, fuel)| (format!("{name}/{stage}"), *fuel)));
    // The slowest tells how far the whole is.
    let share = each().map(|progress| progress.share).reduce(|one, other| Some(one?.min(other?))).flatten();
    let last = each().max_by(|one, other| one.seconds.total_cmp(&other.seconds)).cloned().unwrap_or_default();
    Progress {
        stage: each().map(|progress| progress.stage).min().unwrap_or_default(),
        rows: rows(each().map(|progress| &progress.rows)),
        batches: each().map(|progress| progress.batches).max().unwrap_or_default(),
        fuel: fuel.collect(),
        share,
        ..last
    }
}

/// Puts what transformers came to into the record of their run.
pub(super) fn report(begun: RunReport, parts: Vec<TransformerReport>) -> RunReport {
    let status = status(&parts);
    let failed: Vec<&TransformerReport> = parts.iter().filter(|part| part.error.is_some()).collect();
    let error = failed.first().map(|first| {
        let why =
            |part: &&TransformerReport| format!("`{}`: {}", part.name, part.error.as_ref().map_or("", |error| error.message.as_str()));
        let first = first.error.as_ref();
        ErrorReport {
            kind: first.map_or(Fault::Bug, |error| error.kind),
            phase: first.and_then(|error| error.phase),
            message: failed.iter().map(why).collect::<Vec<_>>().join("; "),
            hint: first.and_then(|error| error.hint.clone()),
        }
    });
    RunReport {
        status,
        error,
        rows: rows(parts.iter().map(|part| &part.rows)),
        phases: phases(&parts),
        quality: quality(&parts),
        output: output(&parts),
        dead_letters: dead_letters(&parts),
        fuel: parts.iter().map(|part| part.fuel).sum(),
        batches: parts.iter().map(|part| part.batches).max().unwrap_or_default(),
        failed_batches: parts.iter().map(|part| part.failed_batches).sum(),
        checkpoint: checkpoint(&parts),
        transformers: parts,
        ..begun
    }
}

/// A phase failed where it failed in all; where it failed in some, its error says in which.
fn phases(parts: &[TransformerReport]) -> Vec<Phase> {
    let Some(first) = parts.first() else { return Vec::new() };
    let merged = first.phases.iter().map(|phase| {
        let each: Vec<(&str, &Phase)> = parts
            .iter()
            .filter_map(|part| Some((part.name.as_str(), part.phases.iter().find(|other| other.name == phase.name)?)))
            .collect();
        let any = |status: PhaseStatus| each.iter().any(|(_, phase)| phase.status == status);
        let of_status = [PhaseStatus::Running, PhaseStatus::Pending, PhaseStatus::Success, PhaseStatus::Failed, PhaseStatus::Skipped];
        let status = of_status.into_iter().find(|status| any(*status)).unwrap_or(PhaseStatus::Skipped);
        let reads = phase.name == crate::error::PhaseName::Extract;
        let count = |of: fn(&Phase) -> u64| {
            let counts = each.iter().map(|(_, phase)| of(phase));
            if reads { counts.max().unwrap_or_default() } else { counts.sum() }
        };
        let told = |of: &dyn Fn(&Phase) -> Option<String>| {
            let each = each.iter().filter_map(|(name, phase)| Some(format!("{name}: {}", of(phase).filter(|text| !text.is_empty())?)));
            each.collect::<Vec<_>>().join("; ")
        };
        let errors = told(&|phase| phase.error.clone());
        Phase {
            name: phase.name,
            status,
            detail: if reads { phase.detail.clone() } else { told(&|phase| Some(phase.detail.clone())) },
            rows_in: count(|phase| phase.rows_in),
            rows_out: count(|phase| phase.rows_out),
            seconds: each.iter().map(|(_, phase)| phase.seconds).sum(),
            error: (!errors.is_empty()).then_some(errors),
        }
    });
    merged.collect()
}

/// The lowest score and the worst verdict of all.
fn quality(parts: &[TransformerReport]) -> Option<Quality> {
    let named = |part: &TransformerReport| {
        let steps = part.quality.iter().flat_map(|quality| quality.steps.clone());
        steps.map(|step| StepQuality { name: format!("{}/{}", part.name, step.name), ..step }).collect::<Vec<_>>()
    };
    Quality::of(parts.iter().flat_map(named).collect())
}

fn output(parts: &[TransformerReport]) -> OutputReport {
    let each = || parts.iter().map(|part| &part.output);
    OutputReport {
        files: each().flat_map(|output| output.files.clone()).collect(),
        bytes: each().map(|output| output.bytes).sum(),
        nulled: each().map(|output| output.nulled).sum(),
        tables: each().flat_map(|output| output.tables.clone()).collect(),
        published: each().flat_map(|output| output.published.clone()).collect(),
    }
}

fn dead_letters(parts: &[TransformerReport]) -> DeadLetterReport {
    fn sum<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
        from.iter().for_each(|(key, count)| *into.entry(key.clone()).or_default() += count);
    }
    let mut total = DeadLetterReport::default();
    for TransformerReport { name, dead_letters, .. } in parts {
        let DeadLetterReport { by_reason, by_code, by_stage, apart, path, table, samples } = dead_letters;
        sum(&mut total.by_reason, by_reason);
        sum(&mut total.by_code, by_code);
        sum(&mut total.by_stage, by_stage);
        total.apart.extend(apart.iter().cloned());
        total.path = total.path.or_else(|| path.clone());
        total.table = total.table.or_else(|| table.clone());
        total.samples.extend(samples.iter().map(|sample| format!("{name}: {sample}")));
    }
    total.samples.truncate(SAMPLES);
    total
}

/// One name for the checkpoints of all.
fn checkpoint(parts: &[TransformerReport]) -> Option<CheckpointReport> {
    let each = || parts.iter().filter_map(|part| Some((part, part.checkpoint.as_ref()?)));
    let (part, first) = each().next()?;
    Some(CheckpointReport {
        id: first.id.strip_suffix(&format!(".{}", part.name)).unwrap_or(&first.id).to_owned(),
        folder: first.folder.parent().unwrap_or(&first.folder).to_owned(),
        resumed: each().map(|(_, checkpoint)| checkpoint.resumed).max().unwrap_or_default(),
        written: each().map(|(_, checkpoint)| checkpoint.written).sum(),
        already_complete: each().all(|(_, checkpoint)| checkpoint.already_complete),
    })
}

/// The one error where all ended with the same, as where the source could not be read.
pub(super) fn same_error(errors: &[Option<Error>]) -> Option<Error> {
    let first = errors.first()?.as_ref()?;
    let same = |error: &Option<Error>| error.as_ref().is_some_and(|error| error.chain() == first.chain());
    errors.iter().all(same).then(|| first.again())
}
