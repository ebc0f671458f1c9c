//! How a request can fail, in the words of `wasi:http`, and for a person.

use std::error::Error as _;
use std::io;

use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

use crate::network::{Prohibited, Unknown, tls};

/// Reads what kind of failure it is. A guest gets no more than that: no address, and nothing that the host added to its request.
pub(super) fn read(error: &reqwest::Error) -> Error {
    let mut level = error.source();
    while let Some(cause) = level {
        if cause.is::<Prohibited>() {
            return Error::DestinationIpProhibited;
        }
        if cause.is::<Unknown>() {
            return Error::DnsError { rcode: Some("no such name".into()), info_code: None };
        }
        if let Some(tls) = tls(cause) {
            return match tls {
                rustls::Error::InvalidCertificate(_) => Error::TlsCertificateError,
                rustls::Error::AlertReceived(alert) => {
                    Error::TlsAlertReceived { alert_id: Some((*alert).into()), alert_message: Some(format!("{alert:?}")) }
                }
                _ => Error::TlsProtocolError,
            };
        }
        match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return Error::ConnectionRefused,
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe) => {
                return Error::ConnectionTerminated;
            }
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => return Error::DestinationUnavailable,
            Some(io::ErrorKind::TimedOut) => return Error::ConnectionTimeout,
            _ => {}
        }
        level = cause.source();
    }
    match error.is_timeout() {
        true => Error::ConnectionTimeout,
        false => Error::HttpProtocolError,
    }
}

/// The failure of a body as the guest may ask for it.
pub(super) fn code(error: &Error) -> Option<ErrorCode> {
    Some(match error {
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        Error::TlsProtocolError | Error::TlsAlertReceived { .. } => ErrorCode::TlsProtocolError,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        _ => return None,
    })
}
