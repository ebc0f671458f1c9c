//! How a request failed, for a person.

use std::io;

use rustls::CertificateError;

/// The failure as a sentence for the log and the run's error: the deepest cause, without the URL, which may hold what must not be printed.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    refused_certificate(error).unwrap_or_else(|| match causes(error).last() {
        Some(deepest) => deepest.to_string(),
        None => "it failed".into(),
    })
}

/// What is wrong with the server's certificate, where it failed for that.
pub(crate) fn refused_certificate(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    causes(error).find_map(|cause| match tls(cause) {
        Some(rustls::Error::InvalidCertificate(why)) => Some(certificate(why)),
        _ => None,
    })
}

fn causes<'e>(error: &'e (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// What TLS says of a failure: it may lie within errors of input and output within each other, which do not name it as their source.
pub(crate) fn tls<'e>(mut cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
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
