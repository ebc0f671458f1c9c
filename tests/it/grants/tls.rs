//! HTTPS of a host whose certificate an authority of one's own has signed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{ENRICH, ORDERS};
use crate::support::{Pipeline, answer};

/// Makes an authority, and a certificate that it signed for this machine.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().expect("openssl is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ours");
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=api");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names");
}

/// Answers every request with a rate; the port.
fn serve(folder: &Path) -> u16 {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                head.push(byte[0]);
            }
            let body = "{\"rate\": 0.5}";
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.flush();
        }
    });
    port
}

#[test]
fn a_certificate_is_trusted_only_where_the_operator_names_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let url = format!("https://127.0.0.1:{}", serve(folder.path()));
    let transform = format!(
        "transform:\n  - convert: {{price: float}}\n  - custom_function: {{component: enrich.wasm, kwargs: {{url: \"{url}/rates\"}}, grants: {{http: [\"{url}\"]}}}}\n"
    );
    let pipeline = Pipeline::of(("orders.csv", ORDERS), &transform, "out.jsonl");
    std::fs::copy(&*ENRICH, pipeline.path("enrich.wasm")).unwrap();
    let run = |extra: &[&str]| {
        answer(&mut pipeline.command(&[&["run", "--workers", "1", "--allow-private-network", "127.0.0.1"], extra].concat()))
    };

    let refused = run(&[]);
    let said = format!("request=\"GET {url}\" why=\"its certificate is not from an authority that this machine trusts");
    assert!(refused.stderr.contains(&said) && refused.stderr.contains("--ca-file"), "{refused:?}");

    let authority = folder.path().join("ca.pem");
    let trusted = run(&["--ca-file", authority.to_str().unwrap()]);
    assert_eq!(trusted.code, 0, "{trusted:?}");
    assert_eq!(pipeline.read("out.jsonl").lines().count(), 4);

    // Another authority vouches for nothing, and a file without one is refused.
    let wrong = run(&["--ca-file", folder.path().join("names").to_str().unwrap()]);
    assert!(wrong.code == 2 && wrong.stderr.contains("holds no certificate"), "{wrong:?}");
}
