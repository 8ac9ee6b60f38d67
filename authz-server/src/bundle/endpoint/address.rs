//! Where a bundle is fetched, and who must be there.

use std::{fmt, str::FromStr};

use callgate_policy::{SpiffeId, SpiffeIdError, TrustDomain};
use http::Uri;
use rustls_pki_types::ServerName;

/// What RFC 9110 section 4.2.2 says of a URL without a port.
const HTTPS_PORT: u16 = 443;
/// Bytes of a URL; what every server takes (RFC 9110 section 4.1).
const MAX_URL_BYTES: usize = 8_000;

/// An endpoint, the trust domain whose bundle it serves, and how it is authenticated
/// (SPIFFE Federation, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleEndpoint {
    trust_domain: TrustDomain,
    url: Url,
    profile: Profile,
}

/// How an endpoint is authenticated (SPIFFE Federation, section 5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// By a certificate for the URL's host, from a CA that the system trusts.
    HttpsWeb,
    /// By an X.509-SVID of this workload.
    HttpsSpiffe(SpiffeId),
}

/// An `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    text: String,
    host: ServerName<'static>,
    /// As a socket's address has it.
    authority: (String, u16),
    /// As the `Host` field has it.
    host_field: String,
    target: String,
}

/// Why a text names no bundle endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// Neither `DOMAIN=https_web,URL` nor `DOMAIN=https_spiffe,SPIFFE_ID,URL`.
    Form,
    /// A trust domain that is none.
    TrustDomain(SpiffeIdError),
    /// A profile that the standard does not have.
    Profile(String),
    /// An endpoint's SPIFFE ID that is none.
    SpiffeId(SpiffeIdError),
    /// Not a URL, one with a fragment, or over 8,000 bytes.
    Url,
    /// Another scheme than `https` (SPIFFE Federation, sections 5.2.1.1 and 5.2.2.1).
    Scheme,
    /// A user or a password in the URL (same sections).
    UserInfo,
}

impl FromStr for BundleEndpoint {
    type Err = AddressError;

    /// Reads `DOMAIN=https_web,URL` or `DOMAIN=https_spiffe,SPIFFE_ID,URL`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (domain, rest) = text.split_once('=').ok_or(AddressError::Form)?;
        let (profile, rest) = rest.split_once(',').ok_or(AddressError::Form)?;
        let trust_domain = TrustDomain::parse(domain).map_err(AddressError::TrustDomain)?;
        let (profile, url) = match profile {
            "https_web" => (Profile::HttpsWeb, rest),
            "https_spiffe" => {
                let (id, url) = rest.split_once(',').ok_or(AddressError::Form)?;
                let id = SpiffeId::parse(id).map_err(AddressError::SpiffeId)?;
                (Profile::HttpsSpiffe(id), url)
            }
            other => return Err(AddressError::Profile(other.to_owned())),
        };
        Ok(Self {
            trust_domain,
            url: Url::parse(url)?,
            profile,
        })
    }
}

impl BundleEndpoint {
    /// Whose bundle it serves.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    pub(super) const fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_URL_BYTES || text.contains('#') {
            return Err(AddressError::Url);
        }
        let uri: Uri = text.parse().map_err(|_| AddressError::Url)?;
        let authority = uri.authority().ok_or(AddressError::Url)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some(_) => return Err(AddressError::Scheme),
            None => return Err(AddressError::Url),
        }
        if authority.as_str().contains('@') {
            return Err(AddressError::UserInfo);
        }
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| AddressError::Url)?;
        // `host:` has an empty port, which is none (RFC 3986 section 3.2.3); but
        // `host:99999` has one that does not exist.
        let port = match authority.as_str().strip_prefix(host) {
            None | Some("" | ":") => HTTPS_PORT,
            Some(_) => authority.port_u16().ok_or(AddressError::Url)?,
        };
        Ok(Self {
            text: text.to_owned(),
            host: name,
            authority: (bare.to_owned(), port),
            host_field: authority.as_str().trim_end_matches(':').to_owned(),
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }

    /// Where a redirect to `location` leads: another URL of the same rules, or a path
    /// on the same host.
    pub(super) fn join(&self, location: &str) -> Result<Self, AddressError> {
        if location.starts_with('/') && !location.starts_with("//") {
            Self::parse(&format!("https://{}{location}", self.host_field))
        } else {
            Self::parse(location)
        }
    }

    pub(super) const fn host(&self) -> &ServerName<'static> {
        &self.host
    }

    /// Where to connect to.
    pub(super) fn socket(&self) -> (&str, u16) {
        (&self.authority.0, self.authority.1)
    }

    pub(super) fn host_field(&self) -> &str {
        &self.host_field
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str(
                "not of the form `DOMAIN=https_web,URL` or `DOMAIN=https_spiffe,SPIFFE_ID,URL`",
            ),
            Self::TrustDomain(error) => write!(f, "its trust domain: {error}"),
            Self::Profile(profile) => write!(
                f,
                "`{profile}` is no endpoint profile; there are `https_web` and `https_spiffe`"
            ),
            Self::SpiffeId(error) => write!(f, "the endpoint's SPIFFE ID: {error}"),
            Self::Url => f.write_str("not a URL such as `https://example.org/bundle.json`"),
            Self::Scheme => f.write_str("a bundle endpoint's URL begins with `https://`"),
            Self::UserInfo => {
                f.write_str("a bundle endpoint's URL has neither a user nor a password")
            }
        }
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_trust_domain_a_profile_and_a_url() {
        let web: BundleEndpoint = "partner.example=https_web,https://[::1]:8443/b?x=1,2"
            .parse()
            .unwrap();
        assert_eq!(web.trust_domain().as_str(), "partner.example");
        assert_eq!(*web.profile(), Profile::HttpsWeb);
        assert_eq!(web.url().socket(), ("::1", 8443));
        assert_eq!(web.url().host_field(), "[::1]:8443");
        assert_eq!(web.url().target(), "/b?x=1,2");

        let spiffe: BundleEndpoint =
            "partner.example=https_spiffe,spiffe://partner.example/spire/server,https://host"
                .parse()
                .unwrap();
        let id = SpiffeId::parse("spiffe://partner.example/spire/server").unwrap();
        assert_eq!(*spiffe.profile(), Profile::HttpsSpiffe(id));
        assert_eq!(spiffe.url().socket(), ("host", 443));
        assert_eq!(spiffe.url().target(), "/");
    }

    #[test]
    fn what_names_no_endpoint_is_refused() {
        let cases: [(&str, AddressError); 13] = [
            ("partner.example", AddressError::Form),
            ("partner.example=https://host/", AddressError::Form),
            ("a=https_spiffe,https://host/", AddressError::Form),
            (
                "a=web,https://host/",
                AddressError::Profile("web".to_owned()),
            ),
            ("a=https_web,http://host/", AddressError::Scheme),
            ("a=https_web,https://me@host/", AddressError::UserInfo),
            ("a=https_web,https://me:x@host/", AddressError::UserInfo),
            ("a=https_web,https://host/#top", AddressError::Url),
            ("a=https_web,https://host:99999/", AddressError::Url),
            ("a=https_web,https:///bundle", AddressError::Url),
            ("a=https_web,/bundle", AddressError::Url),
            ("a=https_web,", AddressError::Url),
            ("a=https_web,https://-/", AddressError::Url),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<BundleEndpoint>(), Err(expected), "{text}");
        }
        for text in ["A=https_web,https://host/", "=https_web,https://host/"] {
            let error = text.parse::<BundleEndpoint>().expect_err(text);
            assert!(
                matches!(error, AddressError::TrustDomain(_)),
                "{text}: {error}"
            );
        }
        let text = "a=https_spiffe,spiffe://a,https://host/";
        let error = text.parse::<BundleEndpoint>().unwrap_err();
        assert!(matches!(error, AddressError::SpiffeId(_)), "{error}");
    }

    #[test]
    fn a_redirect_leads_to_a_url_of_the_same_rules() {
        let url = Url::parse("https://host:8443/a/b").unwrap();
        for (location, expected) in [
            ("/c?d", Ok("https://host:8443/c?d")),
            ("https://other/e", Ok("https://other/e")),
            ("http://host:8443/a", Err(AddressError::Scheme)),
            ("https://me@other/", Err(AddressError::UserInfo)),
            ("//other/e", Err(AddressError::Url)),
            ("c", Err(AddressError::Url)),
        ] {
            let joined = url.join(location).map(|url| url.to_string());
            assert_eq!(joined, expected.map(str::to_owned), "{location}");
        }
    }
}
