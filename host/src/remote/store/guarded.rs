//! The HTTP client for storages whose address a pipeline names.
//!
//! Such a storage may stand in a private network, as many do; never at a link-local or other special address, where clouds give
//! their machines' credentials to whoever asks: an object read from there would be those. Redirects are not followed.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;

use http_body_util::BodyExt as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService, ReqwestConnector,
};
use object_store::{Certificate, ClientConfigKey, ClientOptions};
use reqwest::{Proxy, Url};

use crate::network::{Prohibited, near_client, prohibited, refused_certificate};

/// Makes the clients of storages.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// Where it is set, the client is guarded.
    pub(super) guard: Option<Guard>,
    /// Certificates (PEM) that servers may be vouched for by, beside those that the system trusts.
    pub(super) authorities: Vec<Vec<u8>>,
    /// Whether anybody is asked with encryption: to read all certificates that the system trusts takes longer than a small object.
    pub(super) tls: bool,
}

/// What a guarded client lets pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    /// Whether a machine's credentials may be asked for, which stand at such addresses: where the storage's own address is checked.
    pub(super) metadata: bool,
}

#[derive(Debug)]
struct Service {
    client: reqwest::Client,
    metadata: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        match self.guard {
            Some(guard) => self.guarded(guard, options),
            None => {
                let certificates = self.authorities.iter().map(|text| Certificate::from_pem_bundle(text));
                let certificates = certificates.collect::<object_store::Result<Vec<_>>>()?.into_iter().flatten();
                ReqwestConnector::default().connect(&certificates.fold(options.clone(), ClientOptions::with_root_certificate))
            }
        }
    }
}

impl Connector {
    fn guarded(&self, Guard { metadata }: Guard, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |error: Box<dyn StdError + Send + Sync>| object_store::Error::Generic { store: "HTTP client", source: error };
        let value = |key| options.get_config_value(&key);
        let time = |key| value(key).map(|text| humantime::parse_duration(&text)).transpose().map_err(|error| failed(error.into()));
        let (timeout, connect) = (time(ClientConfigKey::Timeout)?, time(ClientConfigKey::ConnectTimeout)?);
        let proxy = value(ClientConfigKey::ProxyUrl).map(Proxy::all).transpose().map_err(|error| failed(error.into()))?;
        let authorities = self.authorities.iter().map(|text| reqwest::Certificate::from_pem_bundle(text));
        let authorities = authorities.collect::<reqwest::Result<Vec<_>>>().map_err(|error| failed(error.into()))?.concat();
        let client = near_client(self.tls, &authorities, |mut builder| {
            // Objects are taken as they are stored.
            builder = builder.no_gzip().no_brotli().no_zstd().no_deflate();
            builder = builder.http1_only().https_only(value(ClientConfigKey::AllowHttp).as_deref() != Some("true"));
            if let Some(time) = timeout {
                builder = builder.timeout(time);
            }
            if let Some(time) = connect {
                builder = builder.connect_timeout(time);
            }
            match &proxy {
                Some(proxy) => builder.proxy(proxy.clone()),
                None => builder,
            }
        });
        let client = client.map_err(|error| failed(error.into()))?;
        Ok(HttpClient::new(Service { client, metadata }))
    }
}

impl HttpService for Service {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let url: Url = parts.uri.to_string().parse().map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            if let Some(prohibited) = prohibited(url.as_str()).filter(|_| !self.metadata) {
                return Err(HttpError::new(HttpErrorKind::Unknown, prohibited));
            }
            let mut request = reqwest::Request::new(parts.method, url);
            *request.headers_mut() = parts.headers;
            *request.body_mut() = Some(reqwest::Body::wrap(body));
            let answer: http::Response<reqwest::Body> = self.client.execute(request).await.map_err(failure)?.into();
            let (parts, body) = answer.into_parts();
            Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body.map_err(failure))))
        })
    }
}

/// What failed, as the storage's client tells apart what is worth another try.
fn failure(error: reqwest::Error) -> HttpError {
    let causes = || std::iter::successors(error.source(), |&cause| cause.source());
    let broken = |cause: &(dyn StdError + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    let kind = match () {
        () if causes().any(|cause| cause.is::<Prohibited>()) || refused_certificate(&error).is_some() => HttpErrorKind::Unknown,
        () if error.is_timeout() => HttpErrorKind::Timeout,
        () if error.is_connect() => HttpErrorKind::Connect,
        () if error.is_decode() => HttpErrorKind::Decode,
        () if causes().filter_map(broken).any(|kind| kind != io::ErrorKind::Other) => HttpErrorKind::Interrupted,
        () if error.is_request() => HttpErrorKind::Request,
        () => HttpErrorKind::Interrupted,
    };
    HttpError::new(kind, error.without_url())
}
