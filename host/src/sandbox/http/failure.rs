//! How a request can fail, in the words of `wasi:http`, and for a person.

use std::error::Error as _;
use std::io;

use rustls::CertificateError;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

use super::resolve::{Prohibited, Unknown};

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

/// The failure as a sentence for the log and the run's error: the deepest cause, without the URL, which may hold what must not be printed.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut deepest: &(dyn std::error::Error + 'static) = match error.source() {
        Some(cause) => cause,
        None => return "it failed".into(),
    };
    loop {
        if let Some(rustls::Error::InvalidCertificate(why)) = tls(deepest) {
            return certificate(why);
        }
        match deepest.source() {
            Some(cause) => deepest = cause,
            None => break,
        }
    }
    deepest.to_string()
}

/// What TLS says of a failure: it may lie within errors of input and output within each other, which do not name it as their source.
fn tls<'e>(mut cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    loop {
        if let Some(tls) = cause.downcast_ref() {
            return Some(tls);
        }
        cause = cause.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

/// What is wrong with a server's certificate, and who can mend it.
fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "its certificate is not from an authority that this machine trusts; where it is an authority of your \
            own, the operator of etl-host names its file with `--ca-file`"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "its certificate is not valid yet".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "its certificate is for another host".into(),
        other => format!("its certificate is refused: {other}"),
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
