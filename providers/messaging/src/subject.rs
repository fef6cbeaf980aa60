//! Subjects as NATS has them: tokens between dots. In a pattern `*` stands for one token, and `>` at the end for one or
//! more.

/// Whether messages can be published there.
pub(crate) fn is_subject(text: &str) -> bool {
    text.split('.')
        .all(|token| is_token(token) && token != "*" && token != ">")
}

/// Whether it can be subscribed to.
pub(crate) fn is_pattern(text: &str) -> bool {
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        if !is_token(token) || token == ">" && tokens.peek().is_some() {
            return false;
        }
    }
    true
}

fn is_token(token: &str) -> bool {
    !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether a pattern matches a subject.
pub(crate) fn matches(pattern: &str, subject: &str) -> bool {
    let mut pattern = pattern.split('.');
    let mut subject = subject.split('.');
    loop {
        match (pattern.next(), subject.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_nats() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b", "a", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.*.c", "a.b.c", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    #[test]
    fn what_is_no_subject_or_pattern_is_known() {
        for (text, subject, pattern) in [
            ("a.b", true, true),
            ("a.*", false, true),
            ("a.>", false, true),
            (">", false, true),
            (">.a", false, false),
            ("", false, false),
            ("a..b", false, false),
            (".a", false, false),
            ("a b", false, false),
            ("a\r\nb", false, false),
        ] {
            assert_eq!(
                (is_subject(text), is_pattern(text)),
                (subject, pattern),
                "{text:?}"
            );
        }
    }
}
