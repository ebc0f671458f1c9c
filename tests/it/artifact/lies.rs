//! Registries that lie, hang, leak or flood: each ends in an error that says so, and nothing is kept.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::liar::{Asked, Liar, Reply};
use super::{WASM, base64, etl_host, mask, prints, store};
use crate::support::{Answer, answer};

/// What a registry answers in place of the truth.
type Lie = dyn Fn(&Honest, &Asked) -> Option<Reply> + Send + Sync;

/// What an honest registry has, with one component `ops:1`.
struct Honest {
    wasm: Vec<u8>,
    digest: String,
    manifest: Vec<u8>,
}

impl Honest {
    fn new() -> Self {
        let wasm = fs::read(WASM).unwrap();
        let digest = format!("sha256:{}", super::digest_of(WASM));
        let manifest = manifest("application/wasm", &digest, wasm.len() as u64, 1);
        Self { wasm, digest, manifest }
    }

    fn reply(&self, asked: &Asked) -> Reply {
        match asked.path.strip_prefix("/v2/ops/") {
            Some("manifests/1") => Reply::ok(self.manifest.clone()),
            Some(path) if path == format!("blobs/{}", self.digest) => Reply::ok(self.wasm.clone()),
            Some("tags/list?n=100") => Reply::ok(r#"{"name": "ops", "tags": null}"#),
            _ => Reply::status(404),
        }
    }
}

fn manifest(media: &str, digest: &str, size: u64, layers: usize) -> Vec<u8> {
    let layer = format!(r#"{{"mediaType": "{media}", "digest": "{digest}", "size": {size}}}"#);
    let config = r#"{"mediaType": "application/vnd.wasm.config.v0+json", "digest": "sha256:00", "size": 2}"#;
    format!(r#"{{"schemaVersion": 2, "config": {config}, "layers": [{}]}}"#, vec![layer; layers].join(", ")).into_bytes()
}

/// A registry that is honest but for what `lie` answers.
fn registry(lie: impl Fn(&Honest, &Asked) -> Option<Reply> + Send + Sync + 'static) -> Liar {
    let honest = Honest::new();
    Liar::start(move |asked| lie(&honest, asked).unwrap_or_else(|| honest.reply(asked)))
}

/// Pulls from it, in a second or two; nothing may be kept of what is refused.
fn pull(liar: &Liar) -> Answer {
    let store = store();
    let reference = format!("oci://{}/ops:1", liar.address);
    let started = Instant::now();
    let done = answer(&mut etl_host(store.path(), &["pull", &reference, "--registry-timeout", "1"]));
    assert!(started.elapsed() < Duration::from_secs(40), "it took {:?}", started.elapsed());
    if done.code != 0 {
        assert!(!store.path().join("sha256").exists(), "something was kept: {done:?}");
    }
    done
}

/// What a pull says that fails, below the line that says what was pulled.
fn refusal(liar: &Liar) -> String {
    let done = pull(liar);
    assert_ne!(done.code, 0, "{done:?}");
    let text = mask(&done.stderr, &[(&liar.address, "REGISTRY"), (&super::digest_of(WASM), "DIGEST")]);
    format!("{} {}", done.code, text.split_once("because: ").map_or(text.as_str(), |(_, rest)| rest))
}

#[test]
fn an_honest_one_is_believed() {
    assert_eq!(pull(&registry(|_, _| None)).code, 0);
}

#[test]
fn bytes_that_are_not_those_of_their_digest_are_refused() {
    let wasm = |change: fn(&mut Vec<u8>)| {
        refusal(&registry(move |honest, asked| {
            let mut wasm = honest.wasm.clone();
            change(&mut wasm);
            asked.path.contains("/blobs/").then(|| Reply::ok(wasm))
        }))
    };
    let header = refusal(&registry(|honest, asked| {
        let digest = format!("sha256:{}", "0".repeat(64));
        let body = honest.manifest.clone();
        asked.path.contains("/manifests/").then(|| Reply::Whole(200, vec![("docker-content-digest", digest)], body))
    }));
    let manifest = Honest::new().manifest;
    let file = store();
    fs::write(file.path().join("m"), manifest).unwrap();
    let manifest = super::digest_of(file.path().join("m").to_str().unwrap());
    let clean = |text: String| {
        let found = text.find("got sha256:").map_or(text.len(), |at| at + 11);
        let rest = text[found..].get(64..).unwrap_or_default();
        format!("{}{}", text[..found].replace(&manifest, "MANIFEST"), rest)
    };
    let said =
        [wasm(|wasm| wasm[100] ^= 1), wasm(|wasm| wasm.truncate(wasm.len() - 1)), wasm(|wasm| wasm.push(0)), header].map(clean).join("\n");
    insta::assert_snapshot!(mask(&said, &[(&Honest::new().wasm.len().to_string(), "SIZE"), (&(Honest::new().wasm.len() - 1).to_string(), "SIZE-1")]), @r"
    3 registry `REGISTRY` sent something else than the component: asked for sha256:DIGEST, got sha256:
      hint: nothing was kept; the registry, or somebody between it and us, changed the bytes
    3 registry `REGISTRY` sent SIZE-1 bytes of a component that has SIZE
      hint: nothing was kept; try again
    3 registry `REGISTRY` sends more than SIZE bytes for the component
      hint: nothing was kept
    3 registry `REGISTRY` sent something else than the manifest: asked for sha256:0000000000000000000000000000000000000000000000000000000000000000, got sha256:
      hint: nothing was kept; the registry, or somebody between it and us, changed the bytes
    ");
    // By digest, the manifest itself may not be another.
    let liar = registry(|honest, asked| asked.path.contains("/manifests/").then(|| Reply::ok(honest.manifest.clone())));
    let reference = format!("oci://{}/ops@sha256:{}", liar.address, "1".repeat(64));
    let done = answer(&mut etl_host(store().path(), &["pull", &reference]));
    assert!(done.code == 3 && done.stderr.contains("sent something else than the manifest"), "{done:?}");
}

#[test]
fn what_is_no_component_is_refused() {
    let with = |change: fn(&Honest) -> Vec<u8>| {
        refusal(&registry(move |honest, asked| asked.path.contains("/manifests/").then(|| Reply::ok(change(honest)))))
    };
    let core = refusal(&registry(|_, asked| {
        let core = b"\0asm\x01\0\0\0";
        let digest = "sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";
        match asked.path.contains("/manifests/") {
            true => Some(Reply::ok(manifest("application/wasm", digest, core.len() as u64, 1))),
            false => Some(Reply::ok(core)),
        }
    }));
    let said = [
        with(|honest| manifest("application/vnd.oci.image.layer.v1.tar+gzip", &honest.digest, 5, 1)),
        with(|honest| manifest("application/wasm", &honest.digest, 5, 2)),
        with(|honest| manifest("application/wasm", &honest.digest, 65 << 20, 1)),
        with(|_| br#"{"schemaVersion": 2, "manifests": []}"#.to_vec()),
        with(|_| b"<html>".to_vec()),
        core,
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    2 `oci://REGISTRY/ops:1` is no WebAssembly: its layer is `application/vnd.oci.image.layer.v1.tar+gzip`, but must be `application/wasm` (its configuration is `application/vnd.wasm.config.v0+json`)
      hint: push the component with `etl-host push`, or with another tool that follows the Wasm OCI artefact layout
    2 `oci://REGISTRY/ops:1` has 2 layers, but a component is one
      hint: push the component with `etl-host push`, or with another tool that follows the Wasm OCI artefact layout
    2 component `oci://REGISTRY/ops:1` is 68157440 bytes, the limit is 67108864
    2 `oci://REGISTRY/ops:1` is a list of artefacts for several platforms, not a component
      hint: name one of them by digest, or push the component with `etl-host push`
    2 `oci://REGISTRY/ops:1` has no manifest of an OCI artefact
      because: expected value at line 1 column 1
    2 error: `oci://REGISTRY/ops:1` is a core WebAssembly module, not a component
      hint: build it with `cargo build --release --target wasm32-wasip2`, which gives a component
    ");
}

#[test]
fn floods_are_cut_and_silence_is_not_waited_for() {
    let on = |part: &'static str, reply: Reply| refusal(&registry(move |_, asked| asked.path.contains(part).then(|| reply.clone())));
    let size = Honest::new().wasm.len().to_string();
    let said = [
        on("/manifests/", Reply::Endless),
        on("/blobs/", Reply::Endless),
        on("/manifests/", Reply::Silence),
        on("/blobs/", Reply::Silence),
    ];
    insta::assert_snapshot!(mask(&said.join("\n"), &[(&size, "SIZE")]), @r"
    3 registry `REGISTRY` sends more than 4194304 bytes for a manifest
      hint: nothing was kept
    3 registry `REGISTRY` sends more than SIZE bytes for the component
      hint: nothing was kept
    3 registry `REGISTRY` is silent for more than 1 s
      hint: try again, or give it more time with `--registry-timeout`
    3 registry `REGISTRY` is silent for more than 1 s
      hint: try again, or give it more time with `--registry-timeout`
    ");
    let drip = on("/manifests/", Reply::Drip);
    assert!(drip.contains(" bytes of a manifest in 10 s\n  hint: try again when it is faster"), "{drip}");
    // An error without an end.
    let endless = refusal(&registry(|_, _| {
        let mut raw = b"HTTP/1.1 500 X\r\nconnection: close\r\n\r\n".to_vec();
        raw.resize(10 << 20, b'x');
        Some(Reply::Raw(raw))
    }));
    insta::assert_snapshot!(endless, @r"
    3 registry `REGISTRY` answered 500 Internal Server Error to asking for the manifest
      because: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    ");
}

#[test]
fn what_breaks_off_or_is_busy_is_tried_again_and_not_for_ever() {
    let counted = |bad: usize, reply: Reply| {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let liar =
            registry(move |_, asked| (asked.path.contains("/blobs/") && seen.fetch_add(1, Ordering::SeqCst) < bad).then(|| reply.clone()));
        (pull(&liar), count.load(Ordering::SeqCst), liar)
    };
    let cut = Reply::Raw(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n\0asm".to_vec());
    for (reply, word) in [(cut, "broke off"), (Reply::status(503), "answered 503")] {
        let (done, count, _) = counted(2, reply.clone());
        assert_eq!((done.code, count), (0, 3), "{done:?}");
        let (done, count, _) = counted(9, reply);
        assert_eq!((done.code, count), (3, 3), "{done:?}");
        assert!(done.stderr.contains(word), "{done:?}");
    }
}

/// Credentials for a registry, as a variable.
fn with_login(liar: &Liar, reference: &str) -> Answer {
    let mut command = etl_host(store().path(), &["pull", reference, "--registry-timeout", "2"]);
    command
        .env("ETL_HOST_REGISTRY", &liar.address)
        .env("ETL_HOST_REGISTRY_USERNAME", "ada")
        .env("ETL_HOST_REGISTRY_PASSWORD", "s3cret-word");
    let done = answer(command.env("ETL_HOST_LOG", "trace"));
    let text = format!("{}{}", done.stdout, done.stderr);
    assert!(!text.contains("s3cret-word") && !text.contains(&base64("ada:s3cret-word")) && !text.contains("t0ken"), "{text}");
    done
}

#[test]
fn a_token_is_fetched_from_the_realm_with_credentials_and_sent_to_the_registry_only() {
    let elsewhere = Liar::start(|asked| Honest::new().reply(asked));
    let other = elsewhere.address.clone();
    let realm = Liar::start(|_| Reply::ok(r#"{"access_token": "t0ken"}"#));
    let asks = format!("Bearer realm=\"http://{}/token\",service=\"s\",scope=\"repository:ops:pull\"", realm.address);
    let liar = registry(move |_, asked| match asked.authorization() {
        // A blob is on another machine.
        Some("Bearer t0ken") if asked.path.contains("/blobs/") => {
            Some(Reply::Whole(307, vec![("location", format!("http://{other}{}", asked.path))], Vec::new()))
        }
        Some("Bearer t0ken") => None,
        _ => Some(Reply::Whole(401, vec![("www-authenticate", asks.clone())], Vec::new())),
    });
    let done = with_login(&liar, &format!("oci://{}/ops:1", liar.address));
    assert_eq!(done.code, 0, "{}", done.stderr);
    let [asked] = &realm.asked()[..] else { panic!("{:?}", realm.asked()) };
    assert_eq!(asked.path, "/token?scope=repository%3Aops%3Apull&service=s");
    assert_eq!(asked.authorization().unwrap(), format!("Basic {}", base64("ada:s3cret-word")));
    assert!(elsewhere.asked().len() == 1 && elsewhere.asked()[0].authorization().is_none(), "{:?}", elsewhere.asked());
}

#[test]
fn registries_that_refuse_or_lead_astray_are_told_apart() {
    let said = |lie: Box<Lie>| {
        let liar = registry(lie);
        let done = with_login(&liar, &format!("oci://{}/ops:1", liar.address));
        let error = done.stderr.split_once("because: ").map_or(done.stderr.as_str(), |(_, rest)| rest);
        let shown = mask(error, &[(&liar.address, "REGISTRY")]);
        format!("{} {shown}", done.code)
    };
    let challenge =
        |text: &'static str| move |_: &Honest, _: &Asked| Some(Reply::Whole(401, vec![("www-authenticate", text.to_owned())], Vec::new()));
    let moved = |to: &'static str| {
        move |_: &Honest, asked: &Asked| {
            asked.path.contains("/blobs/").then(|| Reply::Whole(302, vec![("location", to.to_owned())], Vec::new()))
        }
    };
    let all = [
        said(Box::new(challenge("Basic realm=\"x\""))),
        said(Box::new(challenge("Bearer realm=\"http://tokens.example/token\""))),
        said(Box::new(challenge("Bearer realm=\"file:///etc/passwd\""))),
        said(Box::new(challenge("Bearer realm=\"not an address\""))),
        said(Box::new(challenge("Negotiate"))),
        said(Box::new(|_, asked| {
            // It says what it heard.
            let heard = asked.authorization().unwrap_or_default();
            let body = format!(r#"{{"errors": [{{"code": "DENIED", "message": "not for {heard}"}}]}}"#);
            let headers = vec![("www-authenticate", "Basic".to_owned())];
            Some(if heard.is_empty() { Reply::Whole(401, headers, Vec::new()) } else { Reply::Whole(403, Vec::new(), body.into_bytes()) })
        })),
        said(Box::new(moved("http://files.example/x"))),
        said(Box::new(moved("/v2/ops/blobs/round"))),
        said(Box::new(moved("gopher://x"))),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    2 registry `REGISTRY` does not take the credentials from the variable ETL_HOST_REGISTRY_PASSWORD
      hint: `docker login REGISTRY`, or `--username NAME --password-stdin`, or set ETL_HOST_REGISTRY, ETL_HOST_REGISTRY_USERNAME and ETL_HOST_REGISTRY_PASSWORD
    3 registry `REGISTRY` sends us to `http://tokens.example`, which is not encrypted
      hint: that is the registry's mistake; nothing was sent there
    3 registry `REGISTRY` sends us to `file://`, which is not encrypted
      hint: that is the registry's mistake; nothing was sent there
    3 registry `REGISTRY` names no address that gives tokens
      because: relative URL without a base
    2 registry `REGISTRY` does not take the credentials from the variable ETL_HOST_REGISTRY_PASSWORD
      hint: `docker login REGISTRY`, or `--username NAME --password-stdin`, or set ETL_HOST_REGISTRY, ETL_HOST_REGISTRY_USERNAME and ETL_HOST_REGISTRY_PASSWORD
    2 registry `REGISTRY` does not let us pull from `ops` with the credentials from the variable ETL_HOST_REGISTRY_PASSWORD
      because: DENIED: not for Basic …
    3 registry `REGISTRY` sends us to `http://files.example`, which is not encrypted
      hint: that is the registry's mistake; nothing was sent there
    3 registry `REGISTRY` redirects more than 5 times
    3 registry `REGISTRY` sends us to `gopher://x`, which is not encrypted
      hint: that is the registry's mistake; nothing was sent there
    ");
}

#[test]
fn a_registry_without_encryption_must_be_asked_for() {
    // Not on this machine by its name, so that it would be encrypted; nothing is sent.
    let done = answer(&mut etl_host(store().path(), &["pull", "oci://registry.invalid/ops:1", "--registry-timeout", "5"]));
    assert!(done.code == 3 && done.stderr.contains("--plain-http"), "{done:?}");
}

#[test]
fn an_upload_that_goes_elsewhere_takes_no_credentials_along() {
    let elsewhere = Liar::start(|_| Reply::status(201));
    let to = format!("http://{}/upload?state=1", elsewhere.address);
    let liar = Liar::start(move |asked| match (asked.authorization(), asked.method.as_str()) {
        (None, _) => Reply::Whole(401, vec![("www-authenticate", "Basic".into())], Vec::new()),
        (_, "HEAD") => Reply::status(404),
        (_, "POST") => Reply::Whole(202, vec![("location", to.clone())], Vec::new()),
        (_, _) => Reply::status(201),
    });
    let mut command = etl_host(store().path(), &["push", WASM, &format!("oci://{}/ops:1", liar.address)]);
    command.env("ETL_HOST_REGISTRY", &liar.address).env("ETL_HOST_REGISTRY_USERNAME", "ada").env("ETL_HOST_REGISTRY_PASSWORD", "pw");
    prints(&mut command);
    let uploads = elsewhere.asked();
    assert_eq!(uploads.len(), 2);
    assert!(
        uploads.iter().all(|asked| asked.authorization().is_none() && asked.path.starts_with("/upload?state=1&digest=sha256%3A")),
        "{uploads:?}"
    );
}
