//! One whole pipeline in this process, its stages in the sandbox or not.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use etl_host::config::{Files, Text, parse};
use etl_host::plan::{ComponentName, Overrides, Plan};
use etl_host::report::StageReport;
use etl_host::run::{OpenStage, RunOptions, Stages, run_with};
use etl_host::sandbox::{Options, Sandbox};

use crate::native::NativeStage;

/// Runs the pipeline of a contract directory once.
pub(crate) fn run(kind: &str, directory: &Path, cache: &Path) -> Result<()> {
    let plan = plan(directory)?;
    let options = RunOptions::default();
    let (stop, mut on_progress) = (AtomicBool::new(false), |_: &_| {});
    if kind == "native" {
        let configure = |schema| native_stages(&plan, &options, schema);
        run_with(&plan, &options, false, &configure, &stop, &mut on_progress)?;
        return Ok(());
    }
    let metered = match kind {
        "sandboxed" => true,
        "unmetered" => false,
        _ => bail!("`{kind}` is none of `sandboxed`, `native` and `unmetered`"),
    };
    let runtime = runtime()?;
    let sandbox =
        Sandbox::open(Options { cache: Some(cache.to_owned()), compiler: None, metered, ..Options::default() }, runtime.handle().clone())?;
    etl_host::run::run(&plan, &options, &sandbox, &stop, &mut on_progress)?;
    Ok(())
}

/// Starts what drives the time-outs, as the program does.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

fn plan(directory: &Path) -> Result<Plan> {
    let text = |name: &str| -> Result<Option<Text>> {
        let path = directory.join(format!("{name}.yaml"));
        let shown = path.display().to_string();
        match path.exists() {
            true => Ok(Some(Text { text: std::fs::read_to_string(&path).with_context(|| format!("reading `{shown}`"))?, name: shown })),
            false => Ok(None),
        }
    };
    let files = Files {
        name: "bench".into(),
        directory: directory.display().to_string(),
        pipeline: text("pipeline")?,
        extract: text("extract")?,
        transform: text("transform")?,
        load: text("load")?,
        settings: text("settings")?,
        ..Files::default()
    };
    let variable = |name: &str| std::env::var(name).ok();
    let pipeline = parse(&files, &variable).map_err(|problems| anyhow::anyhow!("{problems:#?}"))?;
    Plan::new(&pipeline, directory, &Overrides::default(), &variable).map_err(|errors| anyhow::anyhow!("{errors:#?}"))
}

/// The plan's stages without a sandbox, each configured on the schema that reaches it.
fn native_stages(plan: &Plan, options: &RunOptions, mut schema: arrow_schema::SchemaRef) -> etl_host::error::Result<Stages> {
    let mut stages = Stages { open: Vec::new(), reports: Vec::new(), outputs: Vec::new(), remembers: false };
    for stage in &plan.stages {
        if stage.component != ComponentName::Ops {
            return Err(etl_host::error::Error::config(format!("stage `{}` is a component, which does not run natively", stage.name)));
        }
        let native = NativeStage::open(&stage.options, &schema, options.started.timestamp_millis())?;
        schema = native.output();
        stages.outputs.push(Some(schema.clone()));
        stages.reports.push(StageReport { name: stage.name.clone(), ..StageReport::default() });
        let open: OpenStage = Box::new(move || Ok(Box::new(native.clone())));
        stages.open.push(open);
    }
    Ok(stages)
}
