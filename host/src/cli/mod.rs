//! The command line: a file a subcommand; only `terminal` prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

mod add;
mod build;
mod change;
mod check;
mod checkpoints;
mod contract;
mod dlq;
mod history;
mod inspect;
mod list;
mod lock;
mod new;
mod plan;
mod preview;
mod pull;
mod push;
mod run;
mod run_many;
mod schema;
mod sets;
mod setup;
mod show;
mod stats;
mod table;
mod terminal;
mod test;
mod transformers;

use crate::config::local;
use crate::error::{Error, Fault};
use crate::sandbox::{AllowedHost, Network, PrivateHost};

/// Runs extract, transform, load pipelines; every transform is a sandboxed WebAssembly component.
///
/// Exit codes: 0 done · 1 rows or a transform failed the run · 2 the command line or a configuration file is wrong ·
/// 3 something outside failed (file missing, disk full) · 4 done, but a transform crashed on rows, which are in the
/// dead letters · 5 stopped by a signal; with checkpoints it can be gone on with · 70 a fault of etl-host itself.
#[derive(Debug, Parser)]
#[command(name = "etl-host", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the pipeline of a contract directory
    Run(run::RunArgs),
    /// Run the pipeline of a contract directory once for each of many parameters
    RunMany(run_many::RunManyArgs),
    /// List the pipelines below a folder, and how each ran last
    List(list::ListArgs),
    /// List the last runs
    History(history::HistoryArgs),
    /// Show the record of one run
    Show(show::ShowArgs),
    /// Show what the runs of each pipeline come to: how many succeeded, how long they took, how many rows
    Stats(stats::StatsArgs),
    /// Look after the rows that went no further
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// Find every mistake in the configuration of contract directories, without touching data
    Check(check::CheckArgs),
    /// Run the cases of a contract directory: rows in, rows expected; without source, sink and network
    Test(test::TestArgs),
    /// Show the first rows after each step, and what each step changed; writes nothing
    Preview(preview::PreviewArgs),
    /// Show what would run: source, stages, sink, limits, schemas
    Plan(plan::PlanArgs),
    /// Make components of what a contract directory holds as source: Python and JavaScript modules, a Rust crate
    Build(build::BuildArgs),
    /// Start a project of your own
    #[command(subcommand)]
    New(new::NewCommand),
    /// Show what a component is, offers and would reach
    Inspect(inspect::InspectArgs),
    /// Pin the components of a pipeline to the bytes that they have now, in its lock file
    Lock(lock::LockArgs),
    /// Put components into the store of this machine and print their digests
    Add(add::AddArgs),
    /// Pull a component from a registry into the store and print its digest
    Pull(pull::PullArgs),
    /// Push a component to a registry and print the reference that names it for ever
    Push(push::PushArgs),
    /// Print the JSON Schema of a configuration file, for editors
    Schema(schema::SchemaArgs),
    /// Compile a component from stdin into a file (used by etl-host itself)
    #[command(hide = true)]
    CompileComponent {
        /// The file to write.
        output: PathBuf,
    },
}

/// What names a pipeline.
#[derive(Clone, Debug, Args)]
struct ContractArgs {
    /// Contract directory: extract.yaml, load.yaml and, where rows are changed, transform.yaml; or one pipeline.yaml
    directory: PathBuf,
    /// Use this file in place of the directory's extract.yaml
    #[arg(long, value_name = "FILE")]
    extract: Option<PathBuf>,
    /// Use this file in place of the directory's transform.yaml
    #[arg(long, value_name = "FILE")]
    transform: Option<PathBuf>,
    /// Use this file in place of the directory's load.yaml
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Set a variable that the files use as ${NAME}; wins over the environment
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    vars: Vec<(String, String)>,
    /// Set a parameter that the pipeline takes (`input_params`)
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    params: Vec<(String, String)>,
    /// Read at most so many rows
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
}

/// Where compiled components are kept.
#[derive(Debug, Args)]
struct CacheArgs {
    /// Folder for compiled components [default: etl-host in the user's cache folder]
    #[arg(long, value_name = "FOLDER", env = "ETL_HOST_CACHE", value_parser = local_path())]
    cache_dir: Option<PathBuf>,
}

/// Where components come from that are named by digest or by a registry.
#[derive(Debug, Args)]
struct LibraryArgs {
    /// Folder with the store of components [default: etl-host/store in the user's data folder]
    #[arg(long, value_name = "FOLDER", env = "ETL_HOST_STORE", value_parser = local_path())]
    store_dir: Option<PathBuf>,
    /// Talk to registries without encryption; those on this machine are talked to so anyway, unless --ca-file is given
    #[arg(long)]
    plain_http: bool,
    /// Trust the certificates in this file (PEM), too, where registries, sources, storages and transforms are talked to by HTTPS: those of an
    /// authority of your own
    #[arg(long, value_name = "FILE", env = "ETL_HOST_CA_FILE", value_delimiter = ',')]
    ca_file: Vec<PathBuf>,
    /// Give up a registry that is silent for so long
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u16).range(1..))]
    registry_timeout: u16,
}

/// Who we are at a registry, where neither `docker login` nor the environment says it.
#[derive(Debug, Args)]
struct LoginArgs {
    /// The user's name at the registry; ETL_HOST_REGISTRY, ETL_HOST_REGISTRY_USERNAME and ETL_HOST_REGISTRY_PASSWORD say it too
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read the password or access token from stdin
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

/// What the operator allows on the network, to sources and to stages that were granted it.
#[derive(Debug, Args)]
struct NetworkArgs {
    /// Let sources, and transforms that were granted this host, call it though its address is not public (this machine, a private network)
    #[arg(long, value_name = "HOST[:PORT]", env = "ETL_HOST_ALLOW_PRIVATE_NETWORK", value_delimiter = ',')]
    allow_private_network: Vec<PrivateHost>,
    /// Let sources that ask by HTTP, transforms that were granted it, and connections to databases and through SSH reach this host and no
    /// other; `*.example.com` is all below a name. Given several times, these hosts. Those of --allow-private-network are let, too. Object
    /// storages, registries and `metadata_store` are not held to it [default: every public host, and any database]
    #[arg(long, value_name = "HOST[:PORT]", env = "ETL_HOST_ALLOW_HOST", value_delimiter = ',')]
    allow_host: Vec<AllowedHost>,
}

impl NetworkArgs {
    fn network(&self, library: &LibraryArgs) -> Network {
        Network {
            private_hosts: self.allow_private_network.clone(),
            allowed_hosts: self.allow_host.clone(),
            authority_files: library.ca_file.clone(),
            closed: false,
        }
    }
}

/// Where the host keeps what it must know from one call to the next.
#[derive(Debug, Args)]
struct StateArgs {
    /// Folder for what is kept from call to call [default: etl-host in the user's state folder]
    #[arg(long, value_name = "FOLDER", env = "ETL_HOST_STATE_DIR", value_parser = local_path())]
    state_dir: Option<PathBuf>,
    /// PostgreSQL that servers share, which keeps the records of runs, dead letters without a database of their own and the marks of
    /// incremental runs in place of the folder, in its schema `etl_host`: postgresql://user:password@host/name. Best set by the variable,
    /// since other users of this machine see arguments
    #[arg(long, value_name = "URL", env = "ETL_HOST_STATE_URL", hide_env_values = true)]
    state_url: Option<String>,
}

/// Reads a path that must be of this machine: where files are written and locked.
fn local_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| local::check(&path).map(|()| path))
}

/// Errors of one command: one, or every one of a configuration.
struct Failures(Vec<Error>);

impl From<Error> for Failures {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl From<Vec<Error>> for Failures {
    fn from(errors: Vec<Error>) -> Self {
        Self(errors)
    }
}

type Outcome = Result<ExitCode, Failures>;

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let rendered = error.render();
            let text = if terminal::colours(error.use_stderr()) { rendered.ansi().to_string() } else { rendered.to_string() };
            return if error.use_stderr() {
                terminal::talk(text.trim_end());
                ExitCode::from(2)
            } else {
                terminal::data(&text);
                ExitCode::SUCCESS
            };
        }
    };
    setup::small_pages();
    setup::logging();
    let outcome = match cli.command {
        Command::Run(args) => run::run(args),
        Command::RunMany(args) => run_many::run_many(&args),
        Command::List(args) => list::list(&args),
        Command::History(args) => history::history(&args),
        Command::Show(args) => show::show(&args),
        Command::Stats(args) => stats::stats(&args),
        Command::Dlq(command) => dlq::dlq(&command),
        Command::Check(args) => check::check(&args),
        Command::Test(args) => test::test(&args),
        Command::Preview(args) => preview::preview(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Build(args) => build::build(&args),
        Command::New(command) => new::new(&command),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Lock(args) => lock::lock(&args),
        Command::Add(args) => add::add(&args),
        Command::Pull(args) => pull::pull(&args),
        Command::Push(args) => push::push(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::CompileComponent { output } => {
            crate::sandbox::compile_component(&output).map(|()| ExitCode::SUCCESS).map_err(Failures::from)
        }
    };
    outcome.unwrap_or_else(|Failures(errors)| {
        for error in &errors {
            terminal::error(error);
        }
        exit_code(errors.iter().map(Error::fault))
    })
}

/// The exit code for errors: that of the worst.
fn exit_code(faults: impl Iterator<Item = Fault>) -> ExitCode {
    ExitCode::from(worst(faults))
}

fn worst(faults: impl Iterator<Item = Fault>) -> u8 {
    let code = |fault| match fault {
        Fault::Data | Fault::Guest => 1,
        Fault::Config => 2,
        Fault::Outside => 3,
        Fault::Bug => 70,
    };
    faults.map(code).max().unwrap_or(70)
}

/// Reads `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must read NAME=VALUE".into()),
    }
}
