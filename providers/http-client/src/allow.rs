//! Where a link may send requests to. Pure.

use std::fmt;

use http::Uri;

/// A list of patterns; a destination is allowed if one of them matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllowList(Vec<Pattern>);

/// One pattern: what hosts, and which port if not any.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// `*`
    Any,
    /// `*.example.com`, kept with its first dot: names below it, not itself.
    Below(String),
    /// `example.com`, `10.0.0.1`, `[::1]`
    Exactly(String),
}

/// A pattern that is none, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadPattern {
    pub(crate) pattern: String,
    pub(crate) why: &'static str,
}

impl AllowList {
    /// Everything.
    pub(crate) fn everything() -> Self {
        Self(vec![Pattern {
            host: HostPattern::Any,
            port: None,
        }])
    }

    /// Reads patterns that are separated by commas. None at all allow nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<BadPattern>> {
        let mut patterns = Vec::new();
        let mut bad = Vec::new();
        for pattern in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            match parse_pattern(pattern) {
                Ok(pattern) => patterns.push(pattern),
                Err(why) => bad.push(BadPattern {
                    pattern: pattern.into(),
                    why,
                }),
            }
        }
        if bad.is_empty() {
            Ok(Self(patterns))
        } else {
            Err(bad)
        }
    }

    /// Whether requests may be sent to where `uri` points.
    pub(crate) fn allows(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        let default = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = uri.port_u16().unwrap_or(default);
        let host = normal(host);
        self.0
            .iter()
            .any(|p| p.port.is_none_or(|p| p == port) && p.host.matches(&host))
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::Exactly(name) => host == name,
        }
    }
}

fn parse_pattern(text: &str) -> Result<Pattern, &'static str> {
    if text.contains("://") {
        return Err("write the host without `http://` or `https://`");
    }
    if text.contains(['/', '@', '?', '#', ' ']) {
        return Err("write a host, with a port if only one is meant");
    }
    let (host, port) = match text.rsplit_once(':') {
        // A colon within brackets is part of an IPv6 address.
        Some((_, rest)) if rest.ends_with(']') => (text, None),
        Some((host, port)) => match port.parse() {
            Ok(port) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            Ok(_) => return Err("write an IPv6 address in brackets: `[::1]`"),
            Err(_) => return Err("what follows the `:` is not a port"),
        },
        None => (text, None),
    };
    let host = match host.strip_prefix('*') {
        Some("") => HostPattern::Any,
        Some(suffix) if suffix.starts_with('.') && suffix.len() > 1 && !suffix.contains('*') => {
            HostPattern::Below(normal(suffix))
        }
        None if !host.is_empty() && !host.contains('*') => HostPattern::Exactly(normal(host)),
        _ => return Err("a `*` stands alone, or at the start as in `*.example.com`"),
    };
    Ok(Pattern { host, port })
}

/// Names are the same in any case, and with a dot at their end.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (i, pattern) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            match &pattern.host {
                HostPattern::Any => write!(f, "{separator}*")?,
                HostPattern::Below(suffix) => write!(f, "{separator}*{suffix}")?,
                HostPattern::Exactly(name) => write!(f, "{separator}{name}")?,
            }
            if let Some(port) = pattern.port {
                write!(f, ":{port}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_hosts_and_ports() {
        let cases = [
            ("*", "http://anything:1/", true),
            ("", "http://a.example/", false),
            ("a.example", "http://A.example./", true),
            ("a.example", "https://a.example:8443/", true),
            ("a.example", "http://b.a.example/", false),
            ("a.example", "http://a.example.evil/", false),
            ("a.example", "http://a.example@evil/", false),
            ("a.example", "http://evil/a.example", false),
            ("*.a.example", "http://b.a.example/", true),
            ("*.a.example", "http://c.b.a.example/", true),
            ("*.a.example", "http://a.example/", false),
            ("*.a.example", "http://xa.example/", false),
            ("a.example:443", "https://a.example/", true),
            ("a.example:443", "http://a.example/", false),
            ("10.0.0.1:8080", "http://10.0.0.1:8080/", true),
            ("10.0.0.1:8080", "http://10.0.0.1/", false),
            ("[::1]", "http://[::1]:9/", true),
            ("[::1]:9", "http://[::1]:8/", false),
            ("*:443", "https://x/", true),
            ("x, *.y ,z:1", "http://z:1/", true),
        ];
        for (patterns, uri, want) in cases {
            let list = AllowList::parse(patterns).unwrap();
            assert_eq!(
                list.allows(&uri.parse().unwrap()),
                want,
                "`{patterns}` for {uri}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_apart() {
        for text in [
            "https://a",
            "a/b",
            "a:b",
            "::1",
            "a.*",
            "**",
            "*a",
            "*.",
            ":80",
            "u@a",
        ] {
            assert!(AllowList::parse(text).is_err(), "{text}");
        }
        let bad = AllowList::parse("ok.example,a/b,::1").unwrap_err();
        assert_eq!(bad.len(), 2);
    }

    #[test]
    fn lists_are_printed_as_they_are_written() {
        let text = "*, *.a.example:80, [::1], b";
        assert_eq!(AllowList::parse(text).unwrap().to_string(), text);
    }
}
