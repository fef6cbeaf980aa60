//! The tables: links, parts and hosts.

use crate::render::units::{bytes, nanos, short_number};
use crate::watching::LatticeState;
use crate::watching::rates::{CallRates, Rates};

/// The view that is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) state: LatticeState,
    pub(crate) rates: Rates,
}

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    /// The most calls, requests or parts first.
    #[default]
    Rate,
    /// By failures, the most first.
    Errors,
    /// By the 99th percentile, the longest first.
    Latency,
    /// By name.
    Name,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figured {
    pub(crate) header: Vec<&'static str>,
    /// Which columns are numbers, which stand at the right.
    pub(crate) numbers: Vec<bool>,
    pub(crate) rows: Vec<FiguredRow>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FiguredRow {
    pub(crate) cells: Vec<String>,
    /// Whether something of it fails now.
    pub(crate) fails: bool,
}

/// A row before it is sorted.
struct Keyed {
    row: FiguredRow,
    name: String,
    rates: CallRates,
}

impl Figures {
    /// Only of one application.
    pub(crate) fn retain(&mut self, application: &str) {
        let Self { state, rates } = self;
        state.applications.retain(|app| app.name == application);
        state.parts.retain(|part| part.application == application);
        state.links.retain(|link| link.application == application);
        rates.links.retain(|link| link.application == application);
        rates.parts.retain(|part| part.application == application);
    }

    /// A line about all of it.
    pub(crate) fn summary(&self) -> String {
        let calls: f64 = self.rates.links.iter().map(|link| link.sum.rate).sum();
        let errors: f64 = self.rates.links.iter().map(|l| l.sum.error_rate).sum();
        let count = |number: usize, one: &str| match number {
            1 => format!("1 {one}"),
            n => format!("{n} {one}s"),
        };
        let failing = match errors > 0.0 {
            true => format!(", {} fail", percent(errors, calls)),
            false => String::new(),
        };
        format!(
            "{}: {}, {}, {}, {} calls/s{failing}",
            self.state.lattice,
            count(self.state.hosts.len(), "host"),
            count(self.state.applications.len(), "application"),
            count(self.state.parts.len(), "part"),
            short_number(calls),
        )
    }

    pub(crate) fn links(&self, sort: Sort) -> Figured {
        let nothing = CallRates::default();
        let rows = self.state.links.iter().map(|link| {
            let mut all = self.rates.links.iter();
            let found = all.find(|rates| {
                (
                    &rates.application,
                    &rates.source,
                    &rates.target,
                    &rates.name,
                ) == (&link.application, &link.source, &link.target, &link.name)
            });
            let rates = found.map_or(&nothing, |found| &found.sum);
            let mut bindings: Vec<_> = link.on.iter().map(|on| on.binding).collect();
            bindings.dedup();
            let name = format!("{} → {}", link.source, link.target);
            let mut cells = vec![link.application.clone(), name.clone()];
            cells.extend([link.name.clone(), bindings.join(", ")]);
            cells.extend(figures(rates));
            Keyed {
                row: FiguredRow {
                    cells,
                    fails: rates.error_rate > 0.0,
                },
                name: format!("{} {name} {}", link.application, link.name),
                rates: rates.clone(),
            }
        });
        Figured {
            header: vec![
                "APP", "LINK", "NAME", "BINDING", "CALLS/S", "P50", "P99", "FAIL", "CALLS",
                "ERRORS",
            ],
            numbers: [[false; 4].as_slice(), &[true; 6]].concat(),
            rows: sorted(rows.collect(), sort),
        }
    }

    pub(crate) fn parts(&self, sort: Sort) -> Figured {
        let rows = self.state.parts.iter().map(|part| {
            let mut all = self.rates.parts.iter();
            let found = all
                .find(|rates| (&rates.application, &rates.part) == (&part.application, &part.name));
            let found = found.cloned().unwrap_or_default();
            let mut cells = vec![part.application.clone(), part.name.clone()];
            cells.extend([
                part.kind.clone(),
                part.hosts.join(", "),
                found.instances.to_string(),
                match found.memory {
                    0 => "-".to_owned(),
                    memory => bytes(usize::try_from(memory).unwrap_or(usize::MAX)),
                },
            ]);
            cells.extend(figures(&found.requests));
            Keyed {
                row: FiguredRow {
                    cells,
                    fails: found.requests.error_rate > 0.0,
                },
                name: format!("{} {}", part.application, part.name),
                rates: found.requests,
            }
        });
        Figured {
            header: vec![
                "APP",
                "PART",
                "KIND",
                "HOSTS",
                "INSTANCES",
                "MEMORY",
                "HTTP/S",
                "P50",
                "P99",
                "FAIL",
                "REQUESTS",
                "ERRORS",
            ],
            numbers: [[false; 4].as_slice(), &[true; 8]].concat(),
            rows: sorted(rows.collect(), sort),
        }
    }

    pub(crate) fn hosts(&self) -> Figured {
        let rows = self.state.hosts.iter().map(|host| {
            let mut note = host.silent.clone().unwrap_or_default();
            if host.leaving {
                note = "is leaving".to_owned();
            }
            let labels = host
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"));
            FiguredRow {
                cells: vec![
                    host.name.clone(),
                    host.parts.to_string(),
                    labels.collect::<Vec<_>>().join(","),
                    host.version.clone(),
                    note,
                ],
                fails: host.silent.is_some(),
            }
        });
        Figured {
            header: vec!["HOST", "PARTS", "LABELS", "VERSION", ""],
            numbers: vec![false, true, false, false, false],
            rows: rows.collect(),
        }
    }
}

/// How often, how long, what fails, and how much of it there ever was.
fn figures(rates: &CallRates) -> [String; 6] {
    if rates.calls == 0 {
        return ["-", "-", "-", "-", "0", "0"].map(str::to_owned);
    }
    let took = |took: Option<u64>| took.map_or("-".to_owned(), nanos);
    [
        short_number(rates.rate),
        took(rates.p50),
        took(rates.p99),
        match rates.error_rate > 0.0 {
            true => percent(rates.error_rate, rates.rate),
            false => "-".to_owned(),
        },
        short_number(rates.calls as f64),
        short_number(rates.errors as f64),
    ]
}

/// A text of the lattice without what a terminal would take for a command, or by which it would turn other text around.
pub(crate) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = |c: char| match c.is_control() || turns(c) {
        true => '\u{fffd}',
        false => c,
    };
    text.chars().map(shown).collect()
}

/// A share: `2%`.
fn percent(of: f64, all: f64) -> String {
    let percent = 100.0 * of / all.max(of).max(f64::MIN_POSITIVE);
    match percent < 0.1 {
        true => "<0.1%".to_owned(),
        false if percent < 10.0 => format!("{percent:.1}%"),
        false => format!("{percent:.0}%"),
    }
}

fn sorted(mut rows: Vec<Keyed>, sort: Sort) -> Vec<FiguredRow> {
    rows.sort_by(|a, b| {
        let (of, than) = (&a.rates, &b.rates);
        let order = match sort {
            Sort::Rate => than.rate.total_cmp(&of.rate),
            Sort::Errors => (than.error_rate.total_cmp(&of.error_rate))
                .then_with(|| than.errors.cmp(&of.errors)),
            Sort::Latency => than.p99.cmp(&of.p99),
            Sort::Name => std::cmp::Ordering::Equal,
        };
        order.then_with(|| a.name.cmp(&b.name))
    });
    rows.into_iter().map(|keyed| keyed.row).collect()
}

impl Figured {
    /// The table as lines: its header, and its rows. The last columns are cut off where a line has more characters than `width`.
    pub(crate) fn lines(&self, width: usize) -> (String, Vec<String>) {
        let mut widths: Vec<usize> = self
            .header
            .iter()
            .map(|name| name.chars().count())
            .collect();
        let rows = self.rows.iter();
        let rows: Vec<Vec<String>> = rows
            .map(|row| row.cells.iter().map(|cell| printable(cell)).collect())
            .collect();
        for row in &rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(cell.chars().count());
            }
        }
        let line = |cells: &[&str]| {
            let mut text = String::new();
            for ((cell, wide), is_number) in cells.iter().zip(&widths).zip(&self.numbers) {
                match is_number {
                    true => text += &format!("{cell:>wide$}  "),
                    false => text += &format!("{cell:<wide$}  "),
                }
            }
            let text: String = text.trim_end().chars().take(width).collect();
            text
        };
        let header = line(&self.header);
        let rows = rows
            .iter()
            .map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
        (header, rows.collect())
    }

    /// The whole table as text.
    pub(crate) fn text(&self) -> String {
        let (header, rows) = self.lines(usize::MAX);
        let mut text = header + "\n";
        for row in rows {
            text += &(row + "\n");
        }
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::watching::rates::{LinkRates, PartRates};
    use crate::watching::state::{HostState, LinkOnHost, LinkState, PartState};

    pub(crate) fn shop() -> Figures {
        let link = |target: &str| LinkState {
            application: "shop".into(),
            source: "cart".into(),
            target: target.into(),
            name: "default".into(),
            on: vec![LinkOnHost {
                host: "east".into(),
                binding: "local",
                why: "it is shared".into(),
            }],
            ..LinkState::default()
        };
        let part = |name: &str| PartState {
            application: "shop".into(),
            name: name.into(),
            kind: "component".into(),
            hosts: vec!["east".into()],
            ..PartState::default()
        };
        let rates = |target: &str, rate: f64, error_rate: f64, p99: u64| LinkRates {
            application: "shop".into(),
            source: "cart".into(),
            target: target.into(),
            name: "default".into(),
            sum: CallRates {
                calls: 100,
                rate,
                error_rate,
                p50: Some(1_200),
                p99: Some(p99),
                ..CallRates::default()
            },
            ..LinkRates::default()
        };
        Figures {
            state: LatticeState {
                lattice: "default".into(),
                hosts: vec![HostState {
                    name: "east".into(),
                    ..HostState::default()
                }],
                parts: vec![part("cart"), part("prices"), part("stock")],
                links: vec![link("prices"), link("stock"), link("mail")],
                ..LatticeState::default()
            },
            rates: Rates {
                links: vec![
                    rates("prices", 12.0, 0.0, 9_000_000),
                    rates("stock", 200.0, 4.0, 40_000),
                ],
                parts: vec![PartRates {
                    application: "shop".into(),
                    part: "cart".into(),
                    instances: 3,
                    memory: 3 << 20,
                    ..PartRates::default()
                }],
                left_out: 0,
            },
        }
    }

    #[test]
    fn rows_are_sorted_as_they_are_wanted() {
        let shop = shop();
        let order = |sort| {
            let rows = shop.links(sort).rows.into_iter();
            let names = rows.map(|row| row.cells[1].trim_start_matches("cart → ").to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(order(Sort::Rate), ["stock", "prices", "mail"]);
        assert_eq!(order(Sort::Errors), ["stock", "mail", "prices"]);
        assert_eq!(order(Sort::Latency), ["prices", "stock", "mail"]);
        assert_eq!(order(Sort::Name), ["mail", "prices", "stock"]);
        assert!(shop.links(Sort::Rate).rows[0].fails);
    }

    #[test]
    fn tables_line_up_and_fit() {
        let text = shop().links(Sort::Rate).text();
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some(
                "APP   LINK           NAME     BINDING  CALLS/S     P50     P99  FAIL  CALLS  ERRORS"
            )
        );
        assert_eq!(
            lines.next(),
            Some(
                "shop  cart → stock   default  local        200  1.2 µs   40 µs  2.0%    100       0"
            )
        );
        let (header, rows) = shop().links(Sort::Rate).lines(20);
        assert_eq!(header.chars().count(), 20);
        assert!(rows.iter().all(|row| row.chars().count() <= 20));
        assert_eq!(
            shop().summary(),
            "default: 1 host, 0 applications, 3 parts, 212 calls/s, 1.9% fail"
        );
        assert!(shop().parts(Sort::Name).text().contains("3.0 MiB"));
        let mut other = shop();
        other.retain("mail");
        assert!(other.state.parts.is_empty() && other.rates.links.is_empty());
    }
}
