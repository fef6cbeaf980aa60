//! Outcomes of tests: as text, as JSON, and as JUnit's XML, which servers of continuous integration read.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::render::units::nanos;

/// The outcome of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TestOutcome {
    pub(super) component: String,
    pub(super) name: String,
    pub(super) passed: bool,
    /// How long it took, in nanoseconds.
    pub(super) nanos: u64,
    /// How it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    /// The lines that components printed meanwhile.
    pub(super) output: Vec<String>,
}

/// The outcomes of all tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TestReport {
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// How many the filter left out.
    pub(super) filtered: usize,
    /// How long all took, in nanoseconds.
    pub(super) nanos: u64,
    pub(super) tests: Vec<TestOutcome>,
}

impl TestReport {
    pub(super) fn new(mut tests: Vec<TestOutcome>, filtered: usize, took: Duration) -> Self {
        tests.sort_by(|a, b| (&a.component, &a.name).cmp(&(&b.component, &b.name)));
        let passed = tests.iter().filter(|test| test.passed).count();
        Self {
            passed,
            failed: tests.len() - passed,
            filtered,
            nanos: in_nanos(took),
            tests,
        }
    }

    /// The failures, with what was printed, and the last line.
    pub(super) fn text(&self, shows_output: bool) -> String {
        let mut text = String::new();
        let shown: Vec<_> = (self.tests.iter())
            .filter(|test| !test.passed || (shows_output && !test.output.is_empty()))
            .collect();
        for test in &shown {
            let heading = match test.passed {
                true => "",
                false => " failed",
            };
            // Writing to a `String` does not fail.
            _ = write!(text, "\n---- {}{heading} ----\n", test.name);
            for line in &test.output {
                _ = writeln!(text, "{line}");
            }
            if let Some(failure) = &test.failure {
                _ = writeln!(text, "{failure}");
            }
        }
        let verdict = match self.failed {
            0 => "ok",
            _ => "FAILED",
        };
        _ = write!(
            text,
            "\ntest result: {verdict}. {} passed; {} failed; {} filtered out; finished in {}\n",
            self.passed,
            self.failed,
            self.filtered,
            nanos(self.nanos)
        );
        text
    }

    /// The report as JUnit has it. `suite` is the name of all of it.
    pub(super) fn junit(&self, suite: &str) -> String {
        let seconds = |nanos: u64| format!("{:.6}", Duration::from_nanos(nanos).as_secs_f64());
        let suite = escaped(suite);
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{}\"",
            self.tests.len(),
            self.failed,
            seconds(self.nanos)
        );
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{suite}\" {counts}>\n  \
             <testsuite name=\"{suite}\" {counts}>\n"
        );
        for test in &self.tests {
            _ = writeln!(
                xml,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\">",
                escaped(&test.component),
                escaped(&test.name),
                seconds(test.nanos)
            );
            if let Some(failure) = &test.failure {
                let first = failure.lines().next().unwrap_or_default();
                _ = writeln!(
                    xml,
                    "      <failure message=\"{}\">{}</failure>",
                    escaped(first),
                    escaped(failure)
                );
            }
            if !test.output.is_empty() {
                let output = escaped(&test.output.join("\n"));
                _ = writeln!(xml, "      <system-out>{output}</system-out>");
            }
            xml += "    </testcase>\n";
        }
        xml + "  </testsuite>\n</testsuites>\n"
    }
}

/// The line of a test that has ended.
pub(super) fn line(test: &TestOutcome) -> String {
    let verdict = match test.passed {
        true => "ok",
        false => "FAILED",
    };
    format!("test {} ... {verdict} ({})\n", test.name, nanos(test.nanos))
}

pub(super) fn in_nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// A text as XML has it. Characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> TestReport {
        let test = |name: &str, failure: Option<&str>| TestOutcome {
            component: "cart-tests".into(),
            name: name.into(),
            passed: failure.is_none(),
            nanos: 2_500_000,
            failure: failure.map(str::to_owned),
            output: vec!["cart | a \u{1b}<b>".into()],
        };
        let tests = vec![
            test("tests#b", Some("it returned err(\"1 & 2\")\nmore")),
            test("tests#a", None),
        ];
        TestReport::new(tests, 3, Duration::from_millis(7))
    }

    #[test]
    fn failures_stand_below_with_what_was_printed() {
        assert_eq!(
            report().text(false),
            "\n---- tests#b failed ----\ncart | a \u{1b}<b>\nit returned err(\"1 & 2\")\nmore\n\n\
             test result: FAILED. 1 passed; 1 failed; 3 filtered out; finished in 7.0 ms\n"
        );
        assert!(report().text(true).contains("---- tests#a ----"));
        assert_eq!(line(&report().tests[0]), "test tests#a ... ok (2.5 ms)\n");
    }

    #[test]
    fn servers_read_it() {
        let xml = report().junit("cart \"tests\"");
        for part in [
            "<testsuite name=\"cart &quot;tests&quot;\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"0.007000\">",
            "<testcase classname=\"cart-tests\" name=\"tests#a\" time=\"0.002500\">",
            "<failure message=\"it returned err(&quot;1 &amp; 2&quot;)\">it returned err(&quot;1 &amp; 2&quot;)\nmore</failure>",
            "<system-out>cart | a &lt;b&gt;</system-out>",
        ] {
            assert!(xml.contains(part), "no {part} in {xml}");
        }
    }
}
