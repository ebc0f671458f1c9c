//! Components by path, digest and registry: found, pinned, shipped.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Answer, Pipeline, answer, program};

mod liar;
mod lies;
mod registry;

use registry::{Registry, USER};

/// A component that ships, as a file to name.
const WASM: &str = env!("ETL_OPS_WASM");
const KWARGS: &str = "kwargs: {steps: [{add: [[greeting, hello]]}]}";

/// The program with a store of its own, and no credentials but those that a test gives.
fn etl_host(store: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments).env("ETL_HOST_STORE", store).env("DOCKER_CONFIG", store.join("no-docker"));
    for name in ["ETL_HOST_REGISTRY", "ETL_HOST_REGISTRY_USERNAME", "ETL_HOST_REGISTRY_PASSWORD", "SOURCE_DATE_EPOCH"] {
        command.env_remove(name);
    }
    command
}

/// A folder for a store.
fn store() -> TempDir {
    TempDir::with_prefix("store").unwrap()
}

/// A pipeline whose one stage is a component.
fn pipeline(component: &str) -> Pipeline {
    let step = format!("- custom_function: {{component: \"{component}\", function: ops, {KWARGS}}}\n");
    Pipeline::of(("in.jsonl", "{\"id\": 1}\n"), &step, "out.jsonl")
}

/// The program on a pipeline.
fn on(pipeline: &Pipeline, store: &Path, arguments: &[&str]) -> Answer {
    let mut command = etl_host(store, &arguments[..1]);
    answer(command.current_dir(pipeline.path("")).arg(".").args(&arguments[1..]))
}

/// Runs to success and answers what it prints.
fn prints(command: &mut Command) -> String {
    let done = answer(command);
    assert_eq!(done.code, 0, "{done:?}");
    done.stdout.trim_end().to_owned()
}

fn digest_of(path: &str) -> String {
    prints(Command::new("sha256sum").arg(path)).split(' ').next().unwrap().to_owned()
}

/// Text without what differs from machine to machine.
fn mask(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.trim_end().to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn a_registry_with_a_certificate_of_ones_own_is_trusted_only_where_its_authority_is_named() {
    let Some(folder) = crate::tls::certificates() else { return };
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let http = format!(", tls: {{certificate: {}, key: {}}}", file("cert.pem"), file("key.pem"));
    let Some(registry) = Registry::start_with(&http, |_| String::new()) else { return };
    let (_, port) = registry.address.rsplit_once(':').unwrap();
    let tag = format!("oci://localhost:{port}/ops:1");
    let (ours, other) = (file("ca.pem"), file("other.pem"));

    let here = store();
    let refused = answer(&mut etl_host(here.path(), &["push", WASM, &tag, "--ca-file", &other]));
    assert_eq!(refused.code, 3, "{refused:?}");
    let said = format!("registry `localhost:{port}` is not trusted: its certificate is not from an authority that this machine trusts");
    assert!(refused.stderr.contains(&said) && refused.stderr.contains("`--ca-file`"), "{refused:?}");

    let pushed = prints(&mut etl_host(here.path(), &["push", WASM, &tag, "--ca-file", &ours]));
    let digest = format!("sha256:{}", digest_of(WASM));
    assert_eq!(prints(etl_host(here.path(), &["pull", &tag]).env("ETL_HOST_CA_FILE", &ours)), digest);
    let tagged = pipeline(&tag);
    assert_eq!(on(&tagged, here.path(), &["lock", "--ca-file", &ours]).code, 0);
    for pipeline in [&tagged, &pipeline(&pushed)] {
        // A store that has it not.
        let fresh = store();
        let run = on(pipeline, fresh.path(), &["run", "--ca-file", &ours]);
        assert_eq!((run.code, pipeline.read("out.jsonl").as_str()), (0, "{\"id\":1,\"greeting\":\"hello\"}\n"), "{run:?}");
    }
    let none = answer(&mut etl_host(here.path(), &["pull", &tag, "--ca-file", WASM]));
    assert!(none.code == 2 && none.stderr.contains("holds no certificate"), "{none:?}");
}

#[test]
fn a_component_is_found_by_digest_in_the_store_and_beside_its_lock_file() {
    let store = store();
    let digest = format!("sha256:{}", digest_of(WASM));
    let pipeline = pipeline(&digest);
    let gone = on(&pipeline, store.path(), &["run"]);
    let words = [(store.path().to_str().unwrap(), "STORE"), (digest.as_str(), "DIGEST")];
    insta::assert_snapshot!(format!("{}\n{}", gone.code, mask(&gone.stderr, &words)), @r"
    3
    ./transform.yaml:1:20: error: `[0].custom_function`: stage `ops`
      because: component `DIGEST` is not in the store `STORE`
      hint: bring it there with `etl-host add FILE` or `etl-host pull oci://…`
    ");
    assert_eq!(prints(&mut etl_host(store.path(), &["add", WASM, WASM])), format!("{digest}\n{digest}"));
    assert_eq!(on(&pipeline, store.path(), &["run"]).code, 0);
    assert_eq!(pipeline.read("out.jsonl"), "{\"id\":1,\"greeting\":\"hello\"}\n");
    assert!(prints(&mut etl_host(store.path(), &["inspect", &digest])).contains(&digest));
    // Damaged, it is not taken for what it was, and adding it mends it.
    let file = store.path().join("sha256").join(&digest[7..]);
    fs::write(&file, "something else").unwrap();
    let damaged = on(&pipeline, store.path(), &["run"]);
    assert!(damaged.code == 3 && damaged.stderr.contains("damaged"), "{damaged:?}");
    prints(&mut etl_host(store.path(), &["add", WASM]));
    assert_eq!(on(&pipeline, store.path(), &["run"]).code, 0);
    // Without a store: the lock file tells where the directory itself has it.
    let pin = format!("version: 1\ncomponents:\n- {{name: x.wasm, kind: path, component: x.wasm, digest: '{digest}'}}\n");
    let brought = pipeline.with("x.wasm", fs::read(WASM).unwrap()).with("etl-host.lock", pin);
    assert_eq!(on(&brought, &store.path().join("empty"), &["run"]).code, 0);
}

#[test]
fn a_component_that_is_not_what_the_lock_file_says_stops_the_run() {
    let store = store();
    let pipeline = pipeline("./mine.wasm").with("mine.wasm", fs::read(WASM).unwrap());
    assert!(on(&pipeline, store.path(), &["plan"]).stdout.contains("from     mine.wasm (not pinned)"));
    let locked = on(&pipeline, store.path(), &["lock"]);
    let digest = digest_of(WASM);
    assert_eq!((locked.code, mask(&locked.stderr, &[(&digest, "HEX")]).as_str()), (0, "pinned     mine.wasm to sha256:HEX"));
    assert!(on(&pipeline, store.path(), &["plan"]).stdout.contains("from     mine.wasm (pinned by etl-host.lock)"));
    assert_eq!(on(&pipeline, store.path(), &["run"]).code, 0);
    // Another build of it: the same but for a custom section.
    let mut other = fs::read(WASM).unwrap();
    other.extend([0, 2, 1, b'x']);
    let pipeline = pipeline.with("mine.wasm", other);
    let found = digest_of(pipeline.path("mine.wasm").to_str().unwrap());
    let before = pipeline.read("out.jsonl");
    for command in ["run", "plan"] {
        let stopped = on(&pipeline, store.path(), &[command]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(format!("{}\n{}", stopped.code, mask(&stopped.stderr, &[(&digest, "PINNED"), (&found, "FOUND")])), @r"
            2
            ./transform.yaml:1:20: error: `[0].custom_function`: stage `ops`
              because: component `mine.wasm` is not what it is pinned to: `etl-host.lock` has sha256:PINNED, found sha256:FOUND
              hint: if that is meant, pin it anew with `etl-host lock .`
            ");
        }
    }
    assert_eq!(pipeline.read("out.jsonl"), before);
    assert!(on(&pipeline, store.path(), &["lock"]).stderr.starts_with("changed "));
    assert_eq!(on(&pipeline, store.path(), &["run"]).code, 0);
    // What the pipeline no longer names is dropped.
    let step = format!("- custom_function: {{component: {WASM}, function: ops, {KWARGS}}}\n");
    let moved = on(&pipeline.with("transform.yaml", step), store.path(), &["lock"]);
    assert!(moved.stderr.contains("dropped  mine.wasm") && moved.stderr.contains(WASM), "{moved:?}");
}

#[test]
fn a_lock_file_that_is_broken_stops_the_run() {
    let store = store();
    let pipeline = pipeline(WASM).with("etl-host.lock", "version: 1\n<<<<<<< mine\n");
    let answer = on(&pipeline, store.path(), &["run"]);
    assert!(answer.code == 2 && answer.stderr.starts_with("etl-host.lock:"), "{answer:?}");
}

#[test]
fn what_is_pushed_is_pulled_pinned_and_run_without_the_registry() {
    let Some(registry) = Registry::start() else { return };
    let (here, there) = (store(), store());
    let tag = format!("oci://{}/team/ops:1.0", registry.address);
    let pushed = prints(&mut etl_host(here.path(), &["push", WASM, &tag]));
    let (name, manifest) = pushed.split_once('@').unwrap();
    assert_eq!(name, tag);
    let again: serde_json::Value = serde_json::from_str(&prints(&mut etl_host(here.path(), &["push", WASM, &tag, "--json"]))).unwrap();
    assert_eq!((again["reference"].as_str().unwrap(), again["sent"].as_bool()), (pushed.as_str(), Some(false)));
    // Pulled by tag and by digest, into the store and a file.
    let digest = format!("sha256:{}", digest_of(WASM));
    assert_eq!(prints(&mut etl_host(here.path(), &["pull", &tag])), digest);
    let file = here.path().join("pulled.wasm");
    assert_eq!(prints(&mut etl_host(here.path(), &["pull", &pushed, "-o", file.to_str().unwrap()])), digest);
    assert_eq!(fs::read(&file).unwrap(), fs::read(WASM).unwrap());
    assert!(prints(&mut etl_host(here.path(), &["inspect", &tag])).contains(&digest));
    // A tag alone does not run, until it is locked.
    let pipeline = pipeline(&tag);
    let words = [(registry.address.as_str(), "REGISTRY"), (manifest, "sha256:MANIFEST"), (digest.as_str(), "sha256:DIGEST")];
    let refused = on(&pipeline, there.path(), &["run"]);
    insta::assert_snapshot!(format!("{}\n{}", refused.code, mask(&refused.stderr, &words)), @r"
    2
    ./transform.yaml:1:20: error: `[0].custom_function`: stage `ops`
      because: component `oci://REGISTRY/team/ops:1.0` is not pinned: its tag may name something else tomorrow
      hint: pin it with `etl-host lock .`, or write `oci://REGISTRY/team/ops:1.0@sha256:…`
    ");
    assert_eq!(on(&pipeline, there.path(), &["lock"]).code, 0);
    insta::assert_snapshot!(mask(&pipeline.read("etl-host.lock"), &words), @r"
    # Written by `etl-host build` and `etl-host lock`. Keep it beside the pipeline: `run` holds every component to it.
    version: 1
    components:
    - name: oci://REGISTRY/team/ops:1.0
      kind: oci
      component: oci://REGISTRY/team/ops:1.0@sha256:MANIFEST
      digest: sha256:DIGEST
    ");
    // The tag moves: nothing that is pinned moves with it, unless that is asked for.
    let mut other = fs::read(WASM).unwrap();
    other.extend([0, 2, 1, b'x']);
    let moved = here.path().join("ops.wasm");
    fs::write(&moved, other).unwrap();
    prints(&mut etl_host(here.path(), &["push", moved.to_str().unwrap(), &tag]));
    let before = pipeline.read("etl-host.lock");
    assert_eq!(on(&pipeline, there.path(), &["lock"]).code, 0);
    assert_eq!(pipeline.read("etl-host.lock"), before);
    let shown = on(&pipeline, there.path(), &["plan"]).stdout;
    assert!(shown.contains("(from the store, pinned by etl-host.lock)") && shown.contains(&digest), "{shown}");
    // On a machine that never saw it, `run` pulls the pinned one; from then on the store does.
    let fresh = store();
    assert_eq!(on(&pipeline, fresh.path(), &["run"]).code, 0);
    let by_digest = crate::artifact::pipeline(&pushed);
    let pulled = store();
    assert!(on(&by_digest, pulled.path(), &["plan"]).stdout.contains("(pulled just now, pinned by its name)"));
    assert_eq!(on(&pipeline, there.path(), &["lock", "--update"]).code, 0);
    assert_ne!(pipeline.read("etl-host.lock"), before);
    let pipeline = pipeline.with("etl-host.lock", before);
    let address = registry.address.clone();
    drop(registry);
    for (pipeline, store) in [(&pipeline, &fresh), (&by_digest, &pulled)] {
        let offline = on(pipeline, store.path(), &["run"]);
        assert_eq!((offline.code, pipeline.read("out.jsonl").as_str()), (0, "{\"id\":1,\"greeting\":\"hello\"}\n"), "{offline:?}");
    }
    // Cases are tried without any registry, with what the store has.
    let cases = "cases: [{input: [{id: 1}], expect: {rows: [{id: 1, greeting: hello}]}}]\n";
    for (pipeline, store) in [(pipeline.with("tests/a.yaml", cases), &fresh), (by_digest.with("tests/a.yaml", cases), &pulled)] {
        let tested = on(&pipeline, store.path(), &["test"]);
        assert_eq!(tested.code, 0, "{tested:?}");
        let empty = crate::artifact::store();
        let missing = on(&pipeline, empty.path(), &["test"]);
        let words = [(empty.path().to_str().unwrap(), "STORE"), (address.as_str(), "REGISTRY"), (manifest, "sha256:MANIFEST")];
        let said = mask(&missing.stdout, &words);
        let expected = "component `oci://REGISTRY/team/ops:1.0@sha256:MANIFEST` is not in the store `STORE`, and no registry is asked here\n      \
                        hint: bring it there with `etl-host pull oci://REGISTRY/team/ops:1.0@sha256:MANIFEST`";
        assert!(missing.code == 1 && said.contains(expected), "{} {said}", missing.code);
    }
    let nowhere = on(&crate::artifact::pipeline(&pushed), store().path(), &["run"]);
    assert_eq!(nowhere.code, 3);
    assert!(nowhere.stderr.contains(&format!("registry `{address}` cannot be reached")), "{nowhere:?}");
}

#[test]
fn a_tag_that_is_not_there_is_answered_with_those_that_are() {
    let Some(registry) = Registry::start() else { return };
    let store = store();
    let name = format!("oci://{}/ops", registry.address);
    prints(&mut etl_host(store.path(), &["push", WASM, &format!("{name}:stable")]));
    prints(&mut etl_host(store.path(), &["push", WASM, &format!("{name}:1.0")]));
    let shown = |reference: &str| {
        let done = answer(&mut etl_host(store.path(), &["pull", reference]));
        format!("{}\n{}", done.code, mask(&done.stderr, &[(&registry.address, "REGISTRY")]))
    };
    insta::assert_snapshot!(shown(&format!("{name}:stabel")), @r"
    2
    error: pulling `oci://REGISTRY/ops:stabel`
      because: registry `REGISTRY` has no `stabel` in `ops`
      hint: did you mean `stable`? its tags are `1.0`, `stable`
    ");
    insta::assert_snapshot!(shown(&format!("oci://{}/other:1", registry.address)), @r"
    2
    error: pulling `oci://REGISTRY/other:1`
      because: registry `REGISTRY` has no repository `other`, or does not show it to us
    ");
}

#[test]
fn credentials_come_from_docker_the_environment_or_stdin_and_show_nowhere() {
    let Some(registry) = Registry::start_with_credentials() else { return };
    let store = store();
    let tag = format!("oci://{}/private/ops:1", registry.address);
    let (name, password) = USER;
    let encoded = base64(&format!("{name}:{password}"));
    let secret_free = |done: &Answer| {
        let text = format!("{}{}", done.stdout, done.stderr);
        assert!(!text.contains(password) && !text.contains(&encoded) && !text.contains("wr0ng-s3cret"), "{text}");
    };
    let docker = |auth: &str| {
        let folder = store.path().join("docker");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{auth}\"}}}}}}", registry.address)).unwrap();
        folder
    };
    let push = |with: &dyn Fn(&mut Command)| {
        let mut command = etl_host(store.path(), &["push", WASM, &tag]);
        // All that libraries would log, if they were let.
        with(command.env("ETL_HOST_LOG", "trace"));
        let done = answer(&mut command);
        secret_free(&done);
        done
    };
    let shown = |done: Answer| {
        let error = done.stderr.lines().skip_while(|line| !line.starts_with("error:")).collect::<Vec<_>>().join("\n");
        mask(&format!("{}\n{error}", done.code), &[(&registry.address, "REGISTRY"), (store.path().to_str().unwrap(), "STORE")])
    };
    insta::assert_snapshot!(shown(push(&|_| {})), @r"
    2
    error: pushing `oci://REGISTRY/private/ops:1`
      because: registry `REGISTRY` wants credentials to push to `private/ops`, and there are none
      because: UNAUTHORIZED: authentication required
      hint: `docker login REGISTRY`, or `--username NAME --password-stdin`, or set ETL_HOST_REGISTRY, ETL_HOST_REGISTRY_USERNAME and ETL_HOST_REGISTRY_PASSWORD
    ");
    insta::assert_snapshot!(shown(push(&|command| {
        command.env("DOCKER_CONFIG", docker(&base64("ada:wr0ng-s3cret")));
    })), @r"
    2
    error: pushing `oci://REGISTRY/private/ops:1`
      because: registry `REGISTRY` does not take the credentials from `STORE/docker/config.json`
      because: UNAUTHORIZED: authentication required
      hint: `docker login REGISTRY`, or `--username NAME --password-stdin`, or set ETL_HOST_REGISTRY, ETL_HOST_REGISTRY_USERNAME and ETL_HOST_REGISTRY_PASSWORD
    ");
    // Those of another registry are not for this one.
    let other = push(&|command| {
        command.env("ETL_HOST_REGISTRY", "ghcr.io").env("ETL_HOST_REGISTRY_USERNAME", name).env("ETL_HOST_REGISTRY_PASSWORD", password);
    });
    assert_eq!(other.code, 2, "{}", other.stderr);
    let logged_in = push(&|command| {
        command.env("DOCKER_CONFIG", docker(&encoded));
    });
    assert_eq!(logged_in.code, 0, "{}", logged_in.stderr);
    let variables = push(&|command| {
        command
            .env("ETL_HOST_REGISTRY", &registry.address)
            .env("ETL_HOST_REGISTRY_USERNAME", name)
            .env("ETL_HOST_REGISTRY_PASSWORD", password);
    });
    assert_eq!(variables.code, 0, "{}", variables.stderr);
    let stdin = store.path().join("password");
    fs::write(&stdin, format!("{password}\n")).unwrap();
    let given = push(&|command| {
        command.args(["--username", name, "--password-stdin"]).stdin(fs::File::open(&stdin).unwrap());
    });
    assert_eq!(given.code, 0, "{}", given.stderr);
    // A run that must pull has them from the environment.
    let pipeline = pipeline(&tag);
    let mut lock = etl_host(store.path(), &["lock", "."]);
    lock.current_dir(pipeline.path("")).env("DOCKER_CONFIG", docker(&encoded));
    prints(&mut lock);
    let mut run = etl_host(&store.path().join("fresh"), &["run", "."]);
    let done = answer(run.current_dir(pipeline.path("")).env("DOCKER_CONFIG", docker(&encoded)).env("ETL_HOST_LOG", "trace"));
    secret_free(&done);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn two_that_pull_the_same_at_once_both_have_it() {
    let Some(registry) = Registry::start() else { return };
    let store = store();
    let tag = format!("oci://{}/ops:1", registry.address);
    prints(&mut etl_host(store.path(), &["push", WASM, &tag]));
    let pulls: Vec<_> = (0..4).map(|_| etl_host(store.path(), &["pull", &tag]).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let digest = format!("sha256:{}\n", digest_of(WASM));
    for pull in pulls {
        let done = pull.wait_with_output().unwrap();
        assert!(done.status.success() && done.stdout == digest.as_bytes());
    }
    // The component and its manifest, and no leftovers.
    assert_eq!(fs::read_dir(store.path().join("sha256")).unwrap().count(), 2);
}

#[test]
fn what_is_no_transform_is_not_pushed_or_added() {
    let store = store();
    let core = store.path().join("core.wasm");
    fs::write(&core, b"\0asm\x01\0\0\0").unwrap();
    let empty = store.path().join("empty.wasm");
    fs::write(&empty, b"\0asm\x0d\0\x01\0").unwrap();
    let refused = |arguments: &[&str]| {
        let done = answer(&mut etl_host(store.path(), arguments));
        assert_eq!(done.code, 2, "{done:?}");
        done.stderr
    };
    // Nobody listens there: it is refused before anybody is asked.
    let nowhere = "oci://127.0.0.1:1/ops:1";
    assert!(refused(&["push", core.to_str().unwrap(), nowhere]).contains("core WebAssembly module"));
    assert!(refused(&["add", core.to_str().unwrap()]).contains("core WebAssembly module"));
    assert!(refused(&["push", empty.to_str().unwrap(), nowhere]).contains("is no transform"));
    let digest = format!("oci://127.0.0.1:1/ops:1@sha256:{}", "0".repeat(64));
    assert!(refused(&["push", WASM, &digest]).contains("push to a tag"));
    assert!(refused(&["push", WASM, "ghcr.io/ops:1"]).contains("is not a registry's address"));
    assert!(refused(&["push", WASM, nowhere, "--username", "ada"]).contains("--password-stdin"));
}

/// As HTTP's basic authentication writes a name and a password.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * index) & 63) as usize]);
            encoded.push(if index <= chunk.len() { letter } else { '=' });
        }
    }
    encoded
}
