//! S3, in this process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::kept;

/// The user's key and secret, of which the secret must never be seen.
pub(crate) const KEY: &str = "AKIATESTTESTTEST";
pub(crate) const SECRET: &str = "s3-s3cret-word";

/// What a server is asked to do wrong, and what it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Front {
    /// Requests: method, path with query, and range.
    seen: Mutex<Vec<String>>,
    /// Requests that are answered with `503 SlowDown` from now on.
    pub(crate) overloaded: AtomicU32,
    /// Whether uploads that are begun are answered so: their parts, and that they are given up.
    pub(crate) uploads_overloaded: AtomicBool,
    /// Requests that get no answer: the connection breaks.
    pub(crate) broken: AtomicU32,
    /// Answers with a body that are cut off behind so many bytes, and how many answers.
    pub(crate) cut: AtomicU32,
    /// Whether nobody may list.
    pub(crate) listing_forbidden: AtomicBool,
    /// Writes of the note of a commit that wait until as many are there.
    pub(crate) meeting: AtomicU32,
    met: AtomicU32,
    all_met: tokio::sync::Notify,
    /// Held by a write with a condition, which looks and writes as one.
    conditional: tokio::sync::Mutex<()>,
    pub(crate) cut_behind: AtomicU64,
}

/// A server.
pub(crate) struct Server {
    pub(crate) front: Arc<Front>,
    port: u16,
    /// Whether it speaks TLS.
    tls: bool,
    folder: TempDir,
}

/// A bucket of the server that all tests share.
pub(crate) struct Bucket {
    pub(crate) name: String,
    server: &'static Server,
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

impl Server {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::serve(Some(SimpleAuth::from_single(KEY, SECRET)), None)
    }

    /// Starts one that speaks TLS, with `cert.pem` and `key.pem` of a folder, which are of `localhost`.
    pub(crate) fn start_tls(folder: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self::serve(Some(SimpleAuth::from_single(KEY, SECRET)), Some(Arc::new(config).into()))
    }

    /// Starts one that asks for no key.
    pub(crate) fn start_open() -> Self {
        Self::serve(None, None)
    }

    fn serve(keys: Option<SimpleAuth>, tls: Option<TlsAcceptor>) -> Self {
        let folder = kept("s3");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        if let Some(keys) = keys {
            builder.set_auth(keys);
        }
        let (service, front) = (builder.build(), Arc::new(Front::default()));
        let listener = RUNTIME.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let has_tls = tls.is_some();
        RUNTIME.spawn(serve(listener, tls, service, front.clone()));
        Self { front, port, tls: has_tls, folder }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        if self.tls { format!("https://localhost:{}", self.port) } else { format!("http://127.0.0.1:{}", self.port) }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes a bucket.
    pub(crate) fn make_bucket(&self, name: &str) {
        fs::create_dir(self.folder.path().join(name)).unwrap();
    }

    /// What stands under `credentials` to reach it.
    pub(crate) fn credentials(&self) -> String {
        format!("{{access_key_id: {KEY}, secret_access_key: {SECRET}, region: us-east-1, endpoint: '{}'}}", self.url())
    }

    /// Uploads to a bucket that were begun and neither completed nor given up.
    pub(crate) fn uploads(&self, bucket: &str) -> usize {
        let start = format!(".bucket-{}.", URL_SAFE_NO_PAD.encode(bucket));
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&start) && name.contains(".upload-")).count()
    }

    /// The objects of a bucket, with their bytes.
    pub(crate) fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let root = self.folder.path().join(bucket);
        walk(&root, &root, &mut found);
        found
    }

    /// Puts an object there, past the server.
    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.path().join(bucket).join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Front {
    /// Waits until all are there who are to meet; later ones go on.
    async fn meet(&self) {
        let met = self.all_met.notified();
        let (here, wanted) = (self.met.fetch_add(1, Ordering::SeqCst) + 1, self.meeting.load(Ordering::SeqCst));
        match here.cmp(&wanted) {
            std::cmp::Ordering::Less => met.await,
            std::cmp::Ordering::Equal => self.all_met.notify_waiters(),
            std::cmp::Ordering::Greater => {}
        }
    }

    /// What was asked for since this was asked last.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Bucket {
    /// A new one.
    pub(crate) fn new() -> Self {
        static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let name = format!("bucket-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        SERVER.make_bucket(&name);
        Self { name, server: &SERVER }
    }

    /// `storage` of an extract or a load, with the path in the bucket.
    pub(crate) fn storage(&self, path: &str) -> String {
        format!("storage: {{provider: s3, bucket: {}, path: '{path}', credentials: {}}}\n", self.name, self.server.credentials())
    }

    /// The port of the server.
    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// What stands under `credentials` to reach it.
    pub(crate) fn credentials(&self) -> String {
        self.server.credentials()
    }

    /// What the environment says to reach it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ENDPOINT_URL", self.server.url()),
            ("AWS_ALLOW_HTTP", "true".into()),
        ]
    }

    /// The objects, with their bytes.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.server.objects(&self.name)
    }

    /// Where the objects stand on the server's disk.
    pub(crate) fn folder(&self) -> PathBuf {
        self.server.folder.path().join(&self.name)
    }

    /// Names of the objects.
    pub(crate) fn names(&self) -> Vec<String> {
        self.objects().into_keys().collect()
    }

    /// An object's text.
    pub(crate) fn text(&self, key: &str) -> String {
        String::from_utf8(self.objects().remove(key).unwrap_or_else(|| panic!("no `{key}` in {:?}", self.names()))).unwrap()
    }

    /// Uploads to it that were begun and neither completed nor given up.
    pub(crate) fn uploads(&self) -> usize {
        self.server.uploads(&self.name)
    }

    /// Puts an object there, past the server.
    pub(crate) fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        self.server.put(&self.name, key, bytes);
    }
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, service: S3Service, front: Arc<Front>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let (service, front, tls) = (service.clone(), front.clone(), tls.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(request, service.clone(), front.clone()));
            let http = http1::Builder::new();
            match tls {
                None => drop(http.serve_connection(TokioIo::new(socket), answer).await),
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        let _ = http.serve_connection(TokioIo::new(socket), answer).await;
                    }
                }
            }
        });
    }
}

/// Counts one off.
fn takes(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

async fn answer(mut request: Request<Incoming>, service: S3Service, front: Arc<Front>) -> Result<Response<s3s::Body>, std::io::Error> {
    let range = request.headers().get("range").map(|range| format!(" {}", range.to_str().unwrap())).unwrap_or_default();
    let is_get = request.method() == http::Method::GET;
    front.seen.lock().unwrap().push(format!("{} {}{range}", request.method(), request.uri()));
    if takes(&front.broken) {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    }
    let of_upload = request.uri().query().is_some_and(|query| query.contains("uploadId="));
    if takes(&front.overloaded) || of_upload && front.uploads_overloaded.load(Ordering::SeqCst) {
        let text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
        let mut response = Response::new(s3s::Body::from(text.to_owned()));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    }
    if front.listing_forbidden.load(Ordering::SeqCst) && request.uri().query().is_some_and(|query| query.contains("list-type=")) {
        let text = "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>";
        let mut response = Response::new(s3s::Body::from(text.to_owned()));
        *response.status_mut() = StatusCode::FORBIDDEN;
        return Ok(response);
    }
    if front.meeting.load(Ordering::SeqCst) > 0 && request.method() == http::Method::PUT && request.uri().path().ends_with(".etl/commit") {
        front.meet().await;
    }
    // Who needs no key may come with an empty one.
    if request.headers().get("authorization").is_some_and(|authorization| authorization.as_bytes().trim_ascii_end() == b"Bearer") {
        request.headers_mut().remove("authorization");
    }
    // What Google calls a precondition; all else of its XML interface is as Amazon has it.
    if request.headers().get("x-goog-if-generation-match").is_some_and(|generation| generation == "0") {
        request.headers_mut().insert("if-none-match", http::HeaderValue::from_static("*"));
    }
    // A storage does not stop half-way where who has asked is gone, as hyper would.
    let front_of_asked = front.clone();
    let asked = tokio::spawn(async move {
        let conditional = ["if-match", "if-none-match"].iter().any(|name| request.headers().contains_key(*name));
        let _alone = if conditional { Some(front_of_asked.conditional.lock().await) } else { None };
        service.call(request.map(s3s::Body::from)).await
    });
    let response = asked.await.map_err(std::io::Error::other)?.unwrap_or_else(|error| {
        let mut response = Response::new(s3s::Body::from(format!("{error:?}")));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    });
    let cuts = is_get && response.status().is_success();
    if !cuts || !takes(&front.cut) {
        return Ok(response);
    }
    // The length is as promised, the bytes end before it: the connection breaks.
    let mut left = front.cut_behind.load(Ordering::SeqCst);
    Ok(response.map(|body| {
        let cut = body.map_frame(move |frame| match frame.into_data() {
            Ok(data) => {
                let keep = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                left -= keep as u64;
                Frame::data(data.slice(..keep))
            }
            Err(_) => Frame::data(bytes::Bytes::new()),
        });
        s3s::Body::http_body_unsync(cut)
    }))
}

#[test]
fn a_server_keeps_what_is_put_and_wants_the_right_key() {
    let bucket = Bucket::new();
    bucket.put("a/b.txt", "hello");
    assert_eq!(bucket.text("a/b.txt"), "hello");
    assert_eq!(bucket.names(), ["a/b.txt"]);
}
