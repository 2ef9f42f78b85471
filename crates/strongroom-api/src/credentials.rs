//! Where the JWT comes from, and which requests may bring it in a cookie.

use crate::answer::Refusal;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN};
use strongroom_wire::{ErrorName, header};

/// Scheme, host and port of a URL, as browsers write it (RFC 6454 §6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin of an absolute `http` or `https` URL; `None` for anything else.
    pub fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !matches!(scheme, "http" | "https") {
            return None;
        }
        let authority = rest
            .split(['/', '?', '#'])
            .next()
            .filter(|host| !host.is_empty())?;
        let default_port = if scheme == "http" { ":80" } else { ":443" };
        let authority = authority.strip_suffix(default_port).unwrap_or(authority);
        Some(Self(format!(
            "{scheme}://{}",
            authority.to_ascii_lowercase()
        )))
    }
}

fn refuse(name: ErrorName, message: &str) -> Refusal {
    Refusal::new(name, message)
}

fn missing() -> Refusal {
    refuse(
        ErrorName::NotAuthenticated,
        "credentials are missing: send the JWT in the `authorization` header",
    )
}

/// The compact JWT of a request, after the rules for cookies.
///
/// An `authorization` header, good or bad, makes every cookie ignored.
pub(crate) fn jwt<'a>(headers: &'a HeaderMap, own: &Origin) -> Result<&'a str, Refusal> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    if let Some(value) = authorizations.next() {
        let text = value
            .to_str()
            .ok()
            .filter(|_| authorizations.next().is_none());
        let text = text.ok_or_else(|| {
            refuse(
                ErrorName::NotAuthenticated,
                "the `authorization` header is malformed",
            )
        })?;
        return Ok(strip_bearer(text));
    }
    let jwt = cookie(headers)?.ok_or_else(missing)?;
    check_cookie_request(headers, own)?;
    Ok(jwt)
}

fn strip_bearer(text: &str) -> &str {
    match text.split_at_checked(header::BEARER.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(header::BEARER) => rest,
        _ => text,
    }
}

/// Whether a browser sent the request: only those set `sec-fetch-site`, and no page can.
fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-site")
}

/// The JWT cookie. Browsers are believed only in the name that no other origin can set.
fn cookie(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let name = if is_browser(headers) {
        header::HOST_ACCESS_TOKEN_COOKIE
    } else {
        header::ACCESS_TOKEN_COOKIE
    };
    let mut found = None;
    for line in headers.get_all(COOKIE) {
        let Ok(line) = line.to_str() else { continue };
        for pair in line.split(';') {
            let Some((key, value)) = pair.trim_start_matches(' ').split_once('=') else {
                continue;
            };
            if key == name && found.replace(value.trim_end_matches(' ')).is_some() {
                return Err(refuse(
                    ErrorName::NotAuthenticated,
                    "two cookies of one name: one of them was planted",
                ));
            }
        }
    }
    Ok(found)
}

/// What a request must be to use a cookie: JSON, and from the vault's own origin.
fn check_cookie_request(headers: &HeaderMap, own: &Origin) -> Result<(), Refusal> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(refuse(
            ErrorName::UnsupportedMediaType,
            "a request authenticated by cookie is `application/json`",
        ));
    }
    let one_of = |name: &str, expected: &str| {
        headers
            .get_all(name)
            .iter()
            .all(|value| value.as_bytes() == expected.as_bytes())
    };
    if one_of("sec-fetch-site", "same-origin") && one_of(ORIGIN.as_str(), &own.0) {
        Ok(())
    } else {
        Err(refuse(
            ErrorName::NotAllowed,
            "a request authenticated by cookie comes from the vault's own origin",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn own() -> Origin {
        Origin::of("https://vault.example.org/").unwrap()
    }

    fn name_of(pairs: &[(&'static str, &'static str)]) -> ErrorName {
        jwt(&headers(pairs), &own()).unwrap_err().name
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn the_header_is_taken_raw_and_behind_bearer() {
        for value in ["a.b.c", "Bearer a.b.c", "bearer a.b.c"] {
            assert_eq!(
                jwt(&headers(&[("authorization", value)]), &own()).unwrap(),
                "a.b.c"
            );
        }
    }

    #[test]
    fn a_bad_header_never_falls_back_to_the_cookie() {
        let pairs = headers(&[
            ("authorization", ""),
            ("cookie", "access_token=a.b.c"),
            JSON,
        ]);
        assert_eq!(jwt(&pairs, &own()).unwrap(), "");
    }

    #[test]
    fn two_authorization_headers_are_refused() {
        let name = name_of(&[("authorization", "a.b.c"), ("authorization", "a.b.c")]);
        assert_eq!(name, ErrorName::NotAuthenticated);
    }

    #[test]
    fn nothing_at_all_is_401() {
        assert_eq!(name_of(&[JSON]), ErrorName::NotAuthenticated);
    }

    #[test]
    fn a_client_that_is_no_browser_may_use_the_plain_cookie() {
        let pairs = headers(&[("cookie", "x=1; access_token=a.b.c"), JSON]);
        assert_eq!(jwt(&pairs, &own()).unwrap(), "a.b.c");
    }

    #[test]
    fn a_browser_is_believed_only_in_the_host_cookie() {
        let browser = ("sec-fetch-site", "same-origin");
        let tossed = name_of(&[("cookie", "access_token=a.b.c"), browser, JSON]);
        assert_eq!(tossed, ErrorName::NotAuthenticated);
        let pairs = headers(&[
            ("cookie", "access_token=evil; __Host-access_token=a.b.c"),
            browser,
            JSON,
        ]);
        assert_eq!(jwt(&pairs, &own()).unwrap(), "a.b.c");
    }

    #[test]
    fn two_cookies_of_one_name_are_401() {
        let name = name_of(&[("cookie", "access_token=a; access_token=b"), JSON]);
        assert_eq!(name, ErrorName::NotAuthenticated);
        let name = name_of(&[
            ("cookie", "access_token=a"),
            ("cookie", "access_token=b"),
            JSON,
        ]);
        assert_eq!(name, ErrorName::NotAuthenticated);
    }

    #[test]
    fn cookie_names_are_compared_byte_for_byte() {
        assert_eq!(
            name_of(&[("cookie", "Access_Token=a.b.c"), JSON]),
            ErrorName::NotAuthenticated
        );
    }

    #[test]
    fn a_cookie_needs_json_and_the_vaults_own_origin() {
        let cookie = ("cookie", "access_token=a.b.c");
        assert_eq!(name_of(&[cookie]), ErrorName::UnsupportedMediaType);
        assert_eq!(
            name_of(&[cookie, ("content-type", "text/plain")]),
            ErrorName::UnsupportedMediaType
        );
        for origin in [
            "https://app.example.org",
            "null",
            "http://vault.example.org",
        ] {
            assert_eq!(
                name_of(&[cookie, JSON, ("origin", origin)]),
                ErrorName::NotAllowed
            );
        }
        let same = headers(&[cookie, JSON, ("origin", "https://vault.example.org")]);
        assert!(jwt(&same, &own()).is_ok());
        let host = ("cookie", "__Host-access_token=a.b.c");
        for site in ["same-site", "cross-site", "none"] {
            assert_eq!(
                name_of(&[host, JSON, ("sec-fetch-site", site)]),
                ErrorName::NotAllowed
            );
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |url| Origin::of(url).map(|origin| origin.0);
        assert_eq!(
            origin("http://H.example:37766/x").as_deref(),
            Some("http://h.example:37766")
        );
        assert_eq!(origin("https://h:443").as_deref(), Some("https://h"));
        assert_eq!(origin("ftp://h"), None);
        assert_eq!(origin("http:///x"), None);
    }
}
