//! The only module that prints: stdout is data, stderr is talk.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use etl_steps::validate::OnInvalid;

use super::transformers;
use crate::config::variables::Secrets;
use crate::error::{Error, Fault, near};
use crate::report::{
    PhaseName, Progress, ProgressEvent, Quality, Rows, RunReport, StageLetters, Status, StepQuality, TableReport, Verdict, figure,
};
use crate::sandbox::amount;

/// Time between two looks at a run: on a terminal, and in a log.
const LIVE: Duration = Duration::from_millis(100);
const LOGGED: Duration = Duration::from_secs(10);
/// Files of an output that a summary names.
const FILES: usize = 5;

/// Values that are not printed, of the pipelines read so far.
static SECRETS: Mutex<Option<Secrets>> = Mutex::new(None);

/// Has `***` printed in place of secrets from now on.
pub(super) fn hide(secrets: &Secrets) {
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().extend(secrets);
}

/// A text without secrets, whatever they came in by: a path made of a variable, or what a server says.
fn masked(text: &str) -> Cow<'_, str> {
    match &*SECRETS.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(secrets) => secrets.mask(text).into(),
        None => text.into(),
    }
}

/// Prints data.
pub(super) fn data(text: &str) {
    let text = masked(text);
    let mut stdout = io::stdout().lock();
    let ended = |stdout: &mut io::StdoutLock<'_>| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") };
    match stdout.write_all(text.as_bytes()).and_then(|()| ended(&mut stdout)).and_then(|()| stdout.flush()) {
        // A reader that has gone away (`| head`) is no failure of ours.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            talk(&format!("error: the result cannot be written to stdout: {error}"));
            std::process::exit(3);
        }
        _ => {}
    }
}

/// Prints talk. Text of files and guests may hold control characters, which could rewrite the screen: they are shown as `\u{1b}`.
pub(super) fn talk(text: &str) {
    writeln!(io::stderr().lock(), "{}", printable(&masked(text))).ok();
}

/// A text whose control characters are shown, line ends and tabs aside.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

/// A colour of data on a terminal; what it says stands in the text too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Green,
    Red,
    Yellow,
    Bold,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Green => "\u{1b}[32m",
            Self::Red => "\u{1b}[31m",
            Self::Yellow => "\u{1b}[33m",
            Self::Bold => "\u{1b}[1m",
        }
    }
}

/// A text in a colour, where stdout takes colours.
pub(super) fn paint(colour: Colour, text: &str) -> String {
    if colours(false) { format!("{}{text}\u{1b}[0m", colour.code()) } else { text.to_owned() }
}

/// Whether colours are wanted: on a terminal, unless `NO_COLOR` is set.
pub(super) fn colours(stderr: bool) -> bool {
    let terminal = if stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of the terminal that data goes to: what `COLUMNS` says, else the terminal, else 120.
pub(super) fn columns() -> usize {
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    given.or_else(terminal).filter(|columns| *columns > 0).unwrap_or(120)
}

/// Where logs go.
pub(super) fn writer() -> impl Write {
    struct Masked;
    impl Write for Masked {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            io::stderr().write_all(masked(&String::from_utf8_lossy(line)).as_bytes())?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            io::stderr().flush()
        }
    }
    Masked
}

/// Prints an error with its levels, place and hint.
pub(super) fn error(error: &Error) {
    talk(&render(error));
}

/// An error as text.
pub(super) fn render(error: &Error) -> String {
    let mut text = String::new();
    if let Some(place) = error.place() {
        text.push_str(&format!("{place}: "));
    }
    text.push_str("error: ");
    if let Some(place) = error.place().filter(|place| !place.key.is_empty()) {
        text.push_str(&format!("`{}`: ", place.key));
    }
    let mut levels = error.chain().into_iter();
    text.push_str(&levels.next().unwrap_or_default());
    for level in levels {
        text.push_str("\n  because: ");
        text.push_str(&level);
    }
    if let Some(hint) = error.find_hint() {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    if error.fault() == Fault::Bug {
        text.push_str("\n  this is a fault of etl-host itself; please report it with the command and its output");
    }
    // Paths as one would write them from here.
    match std::env::current_dir() {
        Ok(here) if here.parent().is_some() => {
            let here = format!("{}/", here.display());
            text.strip_prefix(&here).unwrap_or(&text).replace(&format!("`{here}"), "`")
        }
        _ => text,
    }
}

/// How a run says how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Telling {
    /// For a person: one live line on a terminal, plain lines elsewhere.
    Text,
    /// For a program: one JSON object a line, so often.
    Json(Duration),
}

/// Shows how far a run is, on stderr.
pub(super) struct Progressing {
    telling: Telling,
    last: Progress,
    live: bool,
    quiet: bool,
    shown: Option<Instant>,
    last_rows: u64,
    width: usize,
}

impl Progressing {
    pub(super) fn new(quiet: bool) -> Self {
        Self::telling(quiet, Telling::Text)
    }

    pub(super) fn telling(quiet: bool, telling: Telling) -> Self {
        let live = telling == Telling::Text && io::stderr().is_terminal();
        Self { telling, last: Progress::default(), live, quiet, shown: None, last_rows: 0, width: 0 }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        let now = Instant::now();
        if let Telling::Json(interval) = self.telling {
            self.last.clone_from(progress);
            // The first one says at once that rows flow.
            if self.shown.is_none_or(|shown| now - shown >= interval) {
                self.shown = Some(now);
                self.event(&progress.event());
            }
            return;
        }
        let pause = if self.live { LIVE } else { LOGGED };
        let shown = *self.shown.get_or_insert(now);
        if self.quiet || now - shown < pause {
            return;
        }
        let rate = (progress.rows.read - self.last_rows) as f64 / (now - shown).as_secs_f64();
        self.shown = Some(now);
        self.last_rows = progress.rows.read;
        let fuel: String = progress.fuel.iter().map(|(stage, fuel)| format!("  {stage} {} fuel", amount(*fuel))).collect();
        let line = format!(
            "{:>7.1} s  {} rows  {} rows/s  batch {}  rejected {}  {:.0} MiB  {}{fuel}",
            progress.seconds,
            grouped(progress.rows.read),
            grouped(rate as u64),
            grouped(progress.batches),
            grouped(progress.rows.rejected),
            progress.memory_mb,
            progress.mode,
        );
        if self.live {
            let blanks = self.width.saturating_sub(line.len());
            self.width = line.len();
            write!(io::stderr().lock(), "\r{line}{:blanks$}", "").ok();
        } else {
            talk(&line);
        }
    }

    /// Prints the last event, in which everything is known.
    pub(super) fn end(&self, rows: u64) {
        if let Telling::Json(_) = self.telling {
            let event = self.last.event();
            let (batches, total) = (Some(event.batch), Some(rows));
            self.event(&ProgressEvent { batches, records: rows, total, remaining_s: Some(0.0), ..event });
        }
    }

    fn event(&self, event: &ProgressEvent) {
        if !self.quiet
            && let Ok(line) = serde_json::to_string(event)
        {
            talk(&line);
        }
    }

    /// Takes the live line away.
    pub(super) fn clear(&mut self) {
        if self.live && self.width > 0 {
            write!(io::stderr().lock(), "\r{:width$}\r", "", width = self.width).ok();
            self.width = 0;
        }
    }
}

/// What a run did, for a person.
pub(super) fn summary(report: &RunReport) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let unpublished = report.output.published.iter().any(|done| done.error.is_some());
    let status = match report.status {
        _ if !report.transformers.is_empty() => &transformers::word(report),
        Status::Success => "success",
        Status::PartialSuccess if report.rows.crashed == 0 && unpublished => {
            "partial success: the rows are loaded, but not all that depends on them is up to date"
        }
        Status::PartialSuccess => "partial success: transforms crashed on rows, see the dead letters",
        Status::Failed if report.quality.as_ref().is_some_and(|quality| quality.verdict == Verdict::Fail) => {
            "failed: the data is not good enough, nothing was written"
        }
        // Whoever took this for a load that failed would load the rows twice.
        Status::Failed if unpublished => "failed: the rows are loaded, but what depends on them is not up to date",
        Status::Failed => "failed: nothing was written",
        Status::Running => "running",
        Status::Interrupted => "interrupted: it can be gone on with",
    };
    let dry = if report.dry_run { " (dry run: nothing was written)" } else { "" };
    line(format!("{}: {status}{dry}", report.pipeline));
    // What the rules found stands below; the others have nothing to tell yet.
    let told = |name| matches!(name, PhaseName::Extract | PhaseName::Transform | PhaseName::Load);
    for phase in report.phases.iter().filter(|phase| told(phase.name)) {
        let share = format!("{} -> {} rows", grouped(phase.rows_in), grouped(phase.rows_out));
        // Each of several transformers tells its own below.
        let detail = if report.transformers.is_empty() || phase.name == PhaseName::Extract { phase.detail.as_str() } else { "" };
        line(format!("  {:<10} {share:<28} {:>7.2} s cpu  {detail}", phase.name.name(), phase.seconds).trim_end().to_owned());
    }
    let Rows { read, loaded, filtered, rejected, skipped, expanded, withheld, crashed } = report.rows;
    if !report.transformers.is_empty() {
        line(format!("  rows       {} read once", grouped(read)));
        transformers::lines(report).into_iter().for_each(&mut line);
        if let Some(path) = &report.dead_letters.path {
            line(format!("  rejects    {}", path.display()));
            report.dead_letters.samples.iter().for_each(|sample| line(format!("             {sample}")));
        }
        ends(report).into_iter().for_each(line);
        return text;
    }
    let mut balance = format!("{} read", grouped(read));
    if expanded > 0 {
        balance.push_str(&format!(" + {} expanded", grouped(expanded)));
    }
    let loaded_word = if report.dry_run { "would be loaded" } else { "loaded" };
    balance.push_str(&format!(" = {} {loaded_word} + {} filtered + {} rejected", grouped(loaded), grouped(filtered), grouped(rejected)));
    if withheld > 0 {
        balance.push_str(&format!(" + {} withheld", grouped(withheld)));
    }
    if skipped > 0 {
        balance.push_str(&format!(" + {} skipped", grouped(skipped)));
    }
    line(format!("  rows       {balance}"));
    if crashed > 0 {
        line(format!("  crashed    {} of the rejected rows, on which a transform crashed or ran into a limit", grouped(crashed)));
    }
    for text in report.quality.iter().flat_map(quality) {
        line(text);
    }
    for TableReport { table, inserted, updated, deleted, left_out } in &report.output.tables {
        let counts = [(inserted, "inserted"), (updated, "updated"), (deleted, "deleted"), (left_out, "left out, since their key is null")];
        let told: Vec<String> =
            counts.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{} {word}", grouped(**count))).collect();
        let told = if told.is_empty() { "no row changed".to_owned() } else { told.join(", ") };
        line(format!("  table      {table}: {told}"));
    }
    for done in &report.output.published {
        let how = done.error.as_ref().map_or_else(|| format!("done in {:.2} s", done.seconds), |error| format!("failed: {error}"));
        line(format!("  publish    {}: {how}", done.what));
    }
    for file in report.output.files.iter().take(FILES) {
        line(format!("  output     {}", near(file)));
    }
    if report.output.files.len() > FILES {
        line(format!("             and {} more files", grouped((report.output.files.len() - FILES) as u64)));
    }
    if report.output.files.len() > 1 || report.output.bytes > 0 {
        line(format!("  size       {}", size(report.output.bytes)));
    }
    if rejected > 0 {
        let codes: Vec<String> = report.dead_letters.by_code.iter().map(|(code, count)| format!("{} {code}", grouped(*count))).collect();
        let shown = |path: &Option<PathBuf>| path.as_ref().map_or_else(|| "not written".into(), |path| near(path));
        let apart = report.dead_letters.apart.iter();
        let all_apart = apart.clone().map(|letters| letters.count).sum::<u64>() == rejected;
        let path = match &report.dead_letters.table {
            _ if all_apart => "kept apart".into(),
            Some(table) => format!("{}, table `{table}`", shown(&report.dead_letters.path)),
            None => shown(&report.dead_letters.path),
        };
        line(format!("  rejects    {path} ({})", codes.join(", ")));
        for StageLetters { stage, count, path } in apart {
            line(format!("             {} of `{stage}`: {}", grouped(*count), shown(path)));
        }
        for sample in &report.dead_letters.samples {
            line(format!("             {sample}"));
        }
    }
    for stage in &report.stages {
        line(format!(
            "  stage      {}: {} fuel (at most {:.1} % of a batch's budget), {:.1} MiB, {} instance{}",
            stage.name,
            amount(stage.fuel),
            stage.fuel_share * 100.0,
            stage.memory_mb,
            stage.instances,
            if stage.instances == 1 { "" } else { "s" },
        ));
        for (counter, count) in &stage.counters {
            line(format!("             {counter}: {}", grouped(*count)));
        }
    }
    ends(report).into_iter().for_each(line);
    text
}

/// How it can be gone on with, and what it took.
fn ends(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(checkpoint) = &report.checkpoint {
        let times = if checkpoint.resumed == 1 { "once".to_owned() } else { format!("{} times", checkpoint.resumed) };
        let resumed = if checkpoint.resumed == 0 { String::new() } else { format!(", gone on with {times}") };
        lines.push(format!("  checkpoint {} ({} written{resumed})", checkpoint.id, grouped(checkpoint.written)));
    }
    lines.push(format!(
        "  took       {:.2} s ({:.2} s cpu, {} worker{}), {:.0} MiB at most",
        report.seconds,
        report.cpu_seconds,
        report.workers,
        if report.workers == 1 { "" } else { "s" },
        report.peak_memory_mb
    ));
    lines
}

/// Columns whose completeness is shown; those that are full are not.
const COLUMNS: usize = 12;

/// What the rules found.
fn quality(quality: &Quality) -> Vec<String> {
    let mut lines = vec![format!("  quality    {}, score {} of 100", quality.verdict.name(), figure(quality.score))];
    for step in &quality.steps {
        let StepQuality { name, verdict, score, error_rate, rows, passed, warned, skipped, quarantined, crashed, breaches, .. } = step;
        lines.push(format!(
            "    {name}: {}, score {}, error rate {} %; {} rows: {} passed, {} warned, {} skipped, {} quarantined{}",
            verdict.name(),
            figure(*score),
            figure(error_rate * 100.0),
            grouped(*rows),
            grouped(*passed),
            grouped(*warned),
            grouped(*skipped),
            grouped(*quarantined),
            if *crashed > 0 { format!(", {} crashed", grouped(*crashed)) } else { String::new() },
        ));
        lines.extend(breaches.iter().map(|breach| format!("      FAIL     {}", breach.sentence(step))));
        lines
            .extend(step.never_came.iter().map(|column| format!("      WARNING  no row had `{column}`, so that its rules judged nothing")));
        let broken: Vec<_> = step.rules.iter().filter(|rule| rule.broken + rule.undecided > 0).collect();
        let width = broken.iter().map(|rule| rule.rule.chars().count()).max().unwrap_or_default();
        for rule in &broken {
            lines.push(format!(
                "      {:<width$}  {} row{} ({})",
                rule.rule,
                grouped(rule.broken),
                plural(rule.broken),
                action(rule.on_error)
            ));
            if let Some(why) = &rule.why {
                let rows = format!("{} row{}", grouped(rule.undecided), plural(rule.undecided));
                lines.push(format!("      {:<width$}  could not be worked out in {rows}: {why}", ""));
            }
        }
        let kept = step.rules.len() - broken.len();
        if kept > 0 {
            lines.push(format!("      {kept} rule{} broken by no row", plural(kept as u64)));
        }
        let gaps: Vec<_> = step.completeness.iter().filter(|column| column.filled < *rows).collect();
        if !gaps.is_empty() {
            let shown = gaps.iter().take(COLUMNS).map(|gap| format!("{} {} %", gap.column, figure(gap.share * 100.0))).collect::<Vec<_>>();
            let more = if gaps.len() > COLUMNS { format!(" and {} more", gaps.len() - COLUMNS) } else { String::new() };
            lines.push(format!("      completeness: {}{more}; all others 100 %", shown.join(", ")));
        }
    }
    lines
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// What became of the rows that broke a rule, for a person.
fn action(on_error: OnInvalid) -> &'static str {
    match on_error {
        OnInvalid::Fail => "fail",
        OnInvalid::Warn => "warn",
        OnInvalid::Skip => "skip",
        OnInvalid::Quarantine => "quarantine",
    }
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as a person says them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
