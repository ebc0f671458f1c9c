//! An HTTP server of pages that are made before the first is asked for, on loopback, for `benches/http_source.py`: prints its port, and
//! serves until it is killed.
//!
//! `page_server PAGES RECORDS`: `/?page=1` to `/?page=PAGES` have so many records each, further ones none.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The body of a page.
fn page(number: usize, records: usize) -> Result<Bytes, std::fmt::Error> {
    let mut body = String::from("{\"data\": [");
    for row in number * records..(number + 1) * records {
        let comma = if row > number * records { ", " } else { "" };
        let (whole, quarters, paid) = (row / 4, row % 4 * 25, row % 3 == 0);
        write!(
            body,
            "{comma}{{\"id\": {row}, \"name\": \"customer {row}\", \"price\": {whole}.{quarters:02}, \"quantity\": {}, \"paid\": {paid}, \"city\": \
             \"Z\\u00fcrich\", \"ordered_at\": \"2024-03-01T10:00:00Z\", \"status\": \"open\", \"note\": null, \"tags\": [\"a\", \"b\"]}}",
            row % 7
        )?;
    }
    body.push_str("]}");
    Ok(body.into())
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "whoever starts it asks for the port")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [pages, records] = arguments[..] else { anyhow::bail!("usage: page_server PAGES RECORDS") };
    let bodies = (0..pages).map(|number| page(number, records)).collect::<Result<Vec<Bytes>, _>>()?;
    let bodies = Arc::new(bodies);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let bodies = bodies.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let query = request.uri().query().unwrap_or_default();
            let number: Option<usize> = query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse().ok());
            let body = number.and_then(|number| bodies.get(number.checked_sub(1)?)).cloned();
            let body = Full::new(body.unwrap_or_else(|| Bytes::from_static(b"{\"data\": []}")));
            async { Response::builder().header("content-type", "application/json").body(body) }
        });
        tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await.ok() });
    }
}
