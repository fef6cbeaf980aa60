//! Topics of MQTT for subjects, which are written as NATS has them: `orders.new` is the topic `orders/new`.

use crate::subject::is_subject;

use super::packet::is_text;

/// `.` and `/` in each other's place: what parts the one is a sign like any other in the other.
fn exchanged(text: &str) -> String {
    let exchange = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    text.chars().map(exchange).collect()
}

/// The topic of a subject; `None` if MQTT has none.
pub(super) fn topic_of(subject: &str) -> Option<String> {
    // Topics that begin with `$` are the broker's own.
    let is_topic = is_subject(subject) && is_plain(subject) && !subject.starts_with('$');
    is_topic.then(|| exchanged(subject))
}

/// The subject of a topic.
pub(super) fn subject_of(topic: &str) -> String {
    exchanged(topic)
}

/// The filter of a pattern in a group, each of whose messages goes to one of those who subscribe to it.
pub(super) fn filter_of(pattern: &str, group: &str) -> Option<String> {
    if !is_plain(pattern) || !is_group(group) {
        return None;
    }
    let levels = pattern.split('.').map(|token| match token {
        "*" => "+".to_owned(),
        ">" => "#".to_owned(),
        token => exchanged(token),
    });
    let levels: Vec<_> = levels.collect();
    let filter = format!("$share/{group}/{}", levels.join("/"));
    is_text(&filter).then_some(filter)
}

/// Whether a group can be one of MQTT.
pub(crate) fn is_group(group: &str) -> bool {
    !group.is_empty() && is_plain(group) && !group.contains('/')
}

/// Whether a text has no wildcards of MQTT.
pub(crate) fn is_plain(text: &str) -> bool {
    is_text(text) && !text.contains(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_topics_and_topics_subjects() {
        for (subject, topic) in [("a.b", "a/b"), ("a/b.c", "a.b/c"), ("a", "a")] {
            assert_eq!(topic_of(subject).as_deref(), Some(topic));
            assert_eq!(subject_of(topic), subject);
        }
        for none in ["a.*", "a+b", "#", "$SYS.x", "", "a b"] {
            assert_eq!(topic_of(none), None, "{none}");
        }
    }

    #[test]
    fn patterns_are_filters_of_a_group() {
        for (pattern, filter) in [
            ("a.b", "$share/g.c/a/b"),
            ("a.*.c", "$share/g.c/a/+/c"),
            ("a.>", "$share/g.c/a/#"),
            ("a*b.c/d", "$share/g.c/a*b/c.d"),
        ] {
            assert_eq!(filter_of(pattern, "g.c").as_deref(), Some(filter));
        }
        for (pattern, group) in [("a+", "g"), ("a", "g/h"), ("a", "#"), ("a", "")] {
            assert_eq!(filter_of(pattern, group), None, "{pattern} {group}");
        }
    }
}
