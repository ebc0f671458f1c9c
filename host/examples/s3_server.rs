//! An S3 server over a folder, on loopback, for `benches/object.py`: prints its port, and serves until it is killed.
//!
//! `s3_server FOLDER KEY SECRET`; each folder in it is a bucket.

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "whoever starts it asks for the port")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, key, secret] = &arguments[..] else { anyhow::bail!("usage: s3_server FOLDER KEY SECRET") };
    let files = FileSystem::new(folder).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(key.as_str(), secret.as_str()));
    let service = builder.build();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let serving = http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
        tokio::spawn(async move { serving.await.ok() });
    }
}
