//! Azure Blob Storage, as `azurite` serves it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Daemon, find, free_port, kept, skipped};

/// The account that azurite has, whose key everybody knows.
const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

struct Server {
    _daemon: Daemon,
    _folder: TempDir,
    port: u16,
}

/// A container of the server that all tests share.
pub(crate) struct Container {
    pub(crate) name: String,
    server: &'static Server,
}

impl Server {
    fn start() -> Option<Self> {
        let given = std::env::var_os("ETL_AZURITE").map(PathBuf::from).filter(|path| path.is_file());
        let Some(program) = given.or_else(|| find("azurite-blob", &[])) else {
            skipped("azurite", "`npm install azurite` brings it, and `ETL_AZURITE` names its `azurite-blob`");
            return None;
        };
        let (folder, port) = (kept("azurite"), free_port());
        let mut command = Command::new(program);
        command.args(["--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--blobHost", "127.0.0.1"]);
        command.arg("--blobPort").arg(port.to_string()).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(Self { _daemon: Daemon::start(command, port), _folder: folder, port })
    }
}

impl Container {
    /// A new one; `None` where the machine has no server.
    pub(crate) fn new() -> Option<Self> {
        static NAMES: AtomicU32 = AtomicU32::new(0);
        Self::named(&format!("container-{}", NAMES.fetch_add(1, Ordering::Relaxed)))
    }

    /// A new one of a name that no other test uses.
    pub(crate) fn named(name: &str) -> Option<Self> {
        static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);
        let server = SERVER.as_ref()?;
        let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = format!("x-ms-date:{date}\nx-ms-version:2021-08-06\n");
        let signed = format!("PUT{}{headers}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container", "\n".repeat(12));
        let signature = STANDARD.encode(hmac(&STANDARD.decode(KEY).unwrap(), signed.as_bytes()));
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        write!(
            socket,
            "PUT /{ACCOUNT}/{name}?restype=container HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\
             x-ms-date: {date}\r\nx-ms-version: 2021-08-06\r\nAuthorization: SharedKey {ACCOUNT}:{signature}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        Some(Self { name: name.to_owned(), server })
    }

    /// `storage` of an extract or a load, with the path in the container.
    pub(crate) fn storage(&self, path: &str) -> String {
        format!(
            "storage: {{provider: azure, container: {}, path: '{path}', credentials: {{connection_string: '{}'}}}}\n",
            self.name,
            self.connection()
        )
    }

    /// The port of the server.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// Its account's address.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.server.port)
    }

    /// A signature for all that may be done with objects, as it is given in a query.
    pub(crate) fn sas(&self) -> String {
        let (version, end) = ("2019-12-12", "2099-01-01T00:00:00Z");
        let signed = format!("{ACCOUNT}\nrwdlac\nb\nsco\n\n{end}\n\n\n{version}\n");
        let signature = STANDARD.encode(hmac(&STANDARD.decode(KEY).unwrap(), signed.as_bytes()));
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        format!("sv={version}&ss=b&srt=sco&sp=rwdlac&se={}&sig={signature}", end.replace(':', "%3A"))
    }

    /// The connection string.
    pub(crate) fn connection(&self) -> String {
        let port = self.server.port;
        format!("DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};")
    }
}

/// HMAC of SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let keyed = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(keyed(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(keyed(0x5c)).chain_update(inner).finalize().to_vec()
}
