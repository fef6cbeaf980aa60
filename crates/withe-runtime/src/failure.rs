//! How a call over a link failed: the error with which the importer traps.
//!
//! A call that went through many instances fails through all of them. Each would put its own link before what the
//! one behind it says, and the cause would be last, after as many links as there were calls. So the cause comes first,
//! then the links, the innermost first; and of more than a few only the first and the last are named. As the text
//! of a trap is all that crosses a wire, it is this text that is added to.

use withe_linker::plan::Binding;
use withe_rpc::CallError;

use crate::metrics::labels::binding_name;
use crate::spec::LinkSpec;

/// The text before each link.
const OVER: &str = "; over ";

/// How many links are named at each end of a long chain.
const NAMED: usize = 4;

/// A call over a link failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", over(cause_text(cause), &format!("{link} (`{function}`{})", bound(*binding))))]
pub(crate) struct LinkFailure {
    /// ``link `source` -> `target` ``, for people.
    link: String,
    function: String,
    binding: Option<Binding>,
    pub(crate) cause: CallError,
}

impl LinkFailure {
    pub(crate) fn new(link: &LinkSpec, function: &str, cause: CallError) -> Self {
        Self {
            link: format!("link `{}` -> `{}`", link.source, link.target_name),
            function: function.to_owned(),
            binding: Some(link.binding),
            cause,
        }
    }

    /// A call that takes none of its importer's links.
    pub(crate) fn unlinked(importer: &str, function: &str, cause: CallError) -> Self {
        Self {
            link: format!("a link of `{importer}`"),
            function: function.to_owned(),
            binding: None,
            cause,
        }
    }
}

fn bound(binding: Option<Binding>) -> String {
    binding.map_or_else(String::new, |binding| {
        format!(", {}", binding_name(binding))
    })
}

/// The text of a callee's failure, as the callee gave it: the caller's message says that the callee trapped, or that a
/// limit was met.
fn cause_text(cause: &CallError) -> String {
    match cause {
        CallError::Trap(text) | CallError::Exhausted(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `text`, which may have come over links already, having come over one more.
fn over(text: String, link: &str) -> String {
    let mut parts: Vec<&str> = text.split(OVER).collect();
    // The cause, and what was cut is one of the links.
    if parts.len() <= 2 * NAMED + 1 {
        return format!("{text}{OVER}{link}");
    }
    let cut = parts.remove(NAMED + 1);
    let before = cut
        .strip_suffix(MORE)
        .and_then(|count| count.parse::<u64>().ok());
    let cut = match before {
        // The one behind the cut moves into it.
        Some(before) => {
            parts.remove(NAMED + 1);
            before + 1
        }
        None => {
            parts.remove(NAMED + 1);
            2
        }
    };
    let cut = format!("{cut}{MORE}");
    parts.insert(NAMED + 1, &cut);
    parts.push(link);
    parts.join(OVER)
}

/// The text after the number of links that are not named.
const MORE: &str = " more links";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_first_and_the_middle_of_a_long_chain_is_cut() {
        let mut text = "component `a`: unreachable".to_owned();
        let mut all = Vec::new();
        for i in 1..=20_000 {
            text = over(text, &format!("link {i}"));
            if [1, 8, 9, 10, 11, 20_000].contains(&i) {
                all.push(text.clone());
            }
        }
        insta::assert_snapshot!(all.join("\n"));
    }
}
