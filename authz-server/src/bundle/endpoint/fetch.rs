//! One look at an endpoint.

use std::{fmt, io};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, OtherError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::{AddressError, Url};
use crate::bundle::MAX_BYTES;

/// Redirects that are followed (SPIFFE Federation, sections 5.2.1.4 and 5.2.2.4, asks
/// for it). One leads to a CDN; three are a mistake.
const MAX_REDIRECTS: usize = 3;

/// Why nothing was fetched.
#[derive(Debug)]
pub(super) enum FetchError {
    /// No connection, or none that lasted.
    Connect(io::Error),
    /// Not HTTP, or cut short.
    Http(hyper::Error),
    /// An answer other than 200 and redirects.
    Status(StatusCode),
    /// A redirect to nowhere.
    Redirect(AddressError),
    /// One redirect after the other.
    TooManyRedirects,
    /// Over 1 MiB.
    TooLarge,
    /// Not UTF-8.
    NotText,
}

/// What one request led to.
enum Answer {
    Text(String),
    ElsewhereAt(Url),
}

/// The text that `url` serves, by connections of `tls`. The caller limits the time.
pub(super) async fn fetch(url: &Url, tls: &TlsConnector) -> Result<String, FetchError> {
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        match ask(&url, tls).await? {
            Answer::Text(text) => return Ok(text),
            Answer::ElsewhereAt(other) => url = other,
        }
    }
    Err(FetchError::TooManyRedirects)
}

async fn ask(url: &Url, tls: &TlsConnector) -> Result<Answer, FetchError> {
    let stream = TcpStream::connect(url.socket())
        .await
        .map_err(FetchError::Connect)?;
    let stream = tls
        .connect(url.host().clone(), stream)
        .await
        .map_err(FetchError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Http)?;
    let exchange = async {
        let request = Request::get(url.target())
            .header(header::HOST, url.host_field())
            .header(header::ACCEPT, "application/json")
            .header(
                header::USER_AGENT,
                concat!("callgate/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            // A target that is in no request's form; the URL was parsed, so never.
            .map_err(|_| FetchError::Redirect(AddressError::Url))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(FetchError::Http)?;
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => text(body).await.map(Answer::Text),
            status if is_redirect(status) => elsewhere(url, &head.headers),
            status => Err(FetchError::Status(status)),
        }
    };
    // The connection has to be driven, and nobody needs it afterwards.
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        closed = &mut connection => match closed {
            Ok(()) => exchange.await,
            Err(error) => Err(FetchError::Http(error)),
        },
    }
}

/// RFC 9110 section 15.4; the others of the class need more than another URL.
const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn elsewhere(url: &Url, headers: &HeaderMap) -> Result<Answer, FetchError> {
    let location = headers.get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.ok_or(FetchError::Redirect(AddressError::Url))?;
    url.join(location)
        .map(Answer::ElsewhereAt)
        .map_err(FetchError::Redirect)
}

async fn text(body: Incoming) -> Result<String, FetchError> {
    let body = Limited::new(body, MAX_BYTES).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return FetchError::TooLarge;
        }
        match error.downcast::<hyper::Error>() {
            Ok(error) => FetchError::Http(*error),
            Err(error) => FetchError::Connect(io::Error::other(error)),
        }
    })?;
    String::from_utf8(body.to_bytes().into()).map_err(|_| FetchError::NotText)
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => match own_refusal(error) {
                Some(refusal) => write!(f, "its certificate: {refusal}"),
                None => write!(f, "{}", Causes(error)),
            },
            Self::Http(error) => write!(f, "{}", Causes(error)),
            Self::Status(status) => write!(f, "it answered {status}"),
            Self::Redirect(error) => write!(f, "it redirects to what is no endpoint: {error}"),
            Self::TooManyRedirects => {
                write!(f, "it redirects more than {MAX_REDIRECTS} times")
            }
            Self::TooLarge => write!(f, "more than {MAX_BYTES} bytes"),
            Self::NotText => f.write_str("not UTF-8"),
        }
    }
}

/// What [`super::tls`] says of a certificate, which rustls would show as code.
fn own_refusal(error: &io::Error) -> Option<&(dyn std::error::Error + Send + Sync)> {
    let error: &rustls::Error = error.get_ref()?.downcast_ref()?;
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(refusal))) => {
            Some(refusal.as_ref())
        }
        _ => None,
    }
}

/// An error with all that caused it.
struct Causes<'e>(&'e dyn std::error::Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors repeat their cause in their own words.
            if !told.contains(&text) {
                write!(f, ": {text}")?;
                told.push_str(&text);
            }
            cause = error.source();
        }
        Ok(())
    }
}
