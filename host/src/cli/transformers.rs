//! What a run says of several transformers.

use super::terminal::{self, grouped};
use crate::error::Error;
use crate::report::{RunReport, Status, TableReport, TransformerReport};

/// What each transformer did, for a person.
pub(super) fn lines(report: &RunReport) -> Vec<String> {
    report.transformers.iter().flat_map(|part| of(part, report.dry_run)).collect()
}

fn of(part: &TransformerReport, is_dry: bool) -> Vec<String> {
    let TransformerReport { name, status, error, processed, succeeded, failed, rows, stages, quality, output, dead_letters, .. } = part;
    let what = match status {
        Status::Failed => "failed, nothing of it was written".to_owned(),
        Status::PartialSuccess => "partial success: transforms crashed on rows, or not all was published".into(),
        status => status.name().to_owned(),
    };
    let mut lines = vec![format!("  transformer {name}: {what}")];
    let mut line = |what: &str, text: String| lines.push(format!("    {what:<10} {text}"));
    if let Some(error) = error {
        line("error", error.message.clone());
    }
    line("records", format!("{} processed, {} succeeded, {} failed", grouped(*processed), grouped(*succeeded), grouped(*failed)));
    let loaded = if is_dry { "would be loaded" } else { "loaded" };
    let mut balance =
        format!("{} {loaded} + {} filtered + {} rejected", grouped(rows.loaded), grouped(rows.filtered), grouped(rows.rejected));
    let others = [(rows.withheld, "withheld"), (rows.skipped, "skipped"), (rows.expanded, "expanded")];
    others.iter().filter(|(count, _)| *count > 0).for_each(|(count, word)| balance.push_str(&format!(" + {} {word}", grouped(*count))));
    line("rows", balance);
    if let Some(quality) = quality {
        line("quality", format!("{}, score {}", quality.verdict.name(), crate::report::figure(quality.score)));
    }
    output.files.iter().for_each(|file| line("output", file.display().to_string()));
    for table in &output.tables {
        let left_out = if table.left_out > 0 { format!(", {} left out, since their key is null", table.left_out) } else { String::new() };
        let TableReport { table, inserted, updated, deleted, left_out: _ } = table;
        line("table", format!("{table}: {inserted} inserted, {updated} updated, {deleted} deleted{left_out}"));
    }
    if rows.rejected > 0 {
        let codes = dead_letters.by_code.iter().map(|(code, count)| format!("{} {code}", grouped(*count)));
        line("rejects", codes.collect::<Vec<_>>().join(", "));
    }
    for stage in stages {
        line("stage", format!("{}: {} fuel, {:.1} MiB", stage.name, crate::sandbox::amount(stage.fuel), stage.memory_mb));
    }
    lines
}

/// Why transformers failed, and what of the others could not be published.
pub(super) fn errors(report: &RunReport) -> Vec<Error> {
    let mut errors = Vec::new();
    for part in &report.transformers {
        if let Some(error) = &part.error {
            let told =
                Error::new(error.kind, format!("transformer `{}`", part.name)).because(Error::new(error.kind, error.message.clone()));
            errors.push(match &error.hint {
                Some(hint) => told.hint(hint.clone()),
                None => told,
            });
            continue;
        }
        for done in &part.output.published {
            if let Some(error) = &done.error {
                let message = format!("transformer `{}`: the rows are loaded, but `{}` failed", part.name, done.what);
                errors.push(Error::outside(message).because(anyhow::anyhow!("{error}")));
            }
        }
    }
    errors
}

/// Says in a word what became of all of them.
pub(super) fn word(report: &RunReport) -> String {
    let count = |status: Status| report.transformers.iter().filter(|part| part.status == status).count();
    let parts = [(Status::Success, "success"), (Status::PartialSuccess, "partial success"), (Status::Failed, "failed")];
    let told = parts.iter().map(|(status, word)| (count(*status), word)).filter(|(count, _)| *count > 0);
    format!(
        "{} transformers: {}",
        report.transformers.len(),
        told.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    )
}

/// What stands before what is said of one of several.
pub(super) fn head(name: &str) -> String {
    format!("transformer {}", terminal::printable(name))
}
