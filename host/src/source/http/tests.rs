//! Pages from a server in the test's own process, for the list of what every source promises.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::super::{NEVER, ReadOptions, Source, Surroundings};
use super::Http;
use crate::config::extract::Reading;
use crate::config::variables::Secrets;
use crate::network::Network;

/// A server of pages; it goes with the process.
pub(in crate::source) struct Served {
    source: Value,
}

impl Served {
    /// Serves pages by number, as responses of a format; `options` are those of a file source of it.
    pub(in crate::source) fn new(pages: Vec<Vec<u8>>, extension: &str, options: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/rows", listener.local_addr().unwrap());
        let count = pages.len();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                reader.read_line(&mut line).unwrap();
                let number: usize = line.split(['=', ' ']).nth(2).unwrap().parse().unwrap();
                while reader.read_line(&mut line).unwrap() > 2 {}
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", pages[number].len());
                // Who asks may have enough before the end.
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&pages[number])).ok();
            }
        });
        let format = if extension == "jsonl" { "ndjson" } else { extension };
        let path = options["response_path"].as_str().or(options["xml_options"]["record_tag"].as_str());
        let stop = json!([{ "type": "max_pages", "value": count }]);
        let pagination = json!({ "enabled": true, "page": { "start": 0 }, "page_delay": 0, "stop_conditions": stop });
        Self { source: json!({ "url": url, "response_format": format, "response_path": path, "pagination": pagination }) }
    }

    /// Opens it.
    pub(in crate::source) fn open(&self, options: &ReadOptions) -> Box<dyn Source> {
        let network = Network { private_hosts: vec!["127.0.0.1".parse().unwrap()], ..Network::default() };
        let (params, secrets) = (BTreeMap::new(), Secrets::default());
        let surroundings = Surroundings {
            root: Path::new("."),
            params: &params,
            secrets: &secrets,
            network: &network,
            since: None,
            max_retries: 0,
            stop: &NEVER,
        };
        let source = serde_json::from_value(self.source.clone()).unwrap();
        Box::new(Http::open(&source, &Reading::default(), options, &surroundings).unwrap())
    }
}

#[test]
fn what_was_learned_is_enough_to_go_on_without_asking() {
    let served = Served::new(vec![br#"[{"a": 1, "b": {"c": [1.5]}}]"#.to_vec()], "json", &json!({}));
    let first = served.open(&ReadOptions::default());
    let gone = Served { source: json!({ "url": "http://127.0.0.1:1/" }) };
    let again = gone.open(&ReadOptions { learned: first.learned(), ..ReadOptions::default() });
    assert_eq!(again.schema(), first.schema());
    assert_eq!(again.learned(), first.learned());
}
