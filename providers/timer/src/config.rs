//! The settings, with the keys of wasmCloud's cron provider.

use std::time::Duration;

use jiff::tz::TimeZone;
use withe_provider::settings::merged;
use withe_provider::{ConfigMap, ConfigProblem, ConfigRole, Settings};

use crate::schedule::{self, Schedule};

/// How long a call may take if nobody says.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of a link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) jobs: Vec<Job>,
    /// The longest that a call may take.
    pub(crate) timeout: Duration,
    /// Whether a job is called although its last call has not ended.
    pub(crate) overlap: bool,
    /// Whether a time is called by one host of a lattice, or by each that has the link.
    pub(crate) once: bool,
}

/// The call to make, and its schedule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    /// For logs.
    pub(crate) name: String,
    pub(crate) schedule: Schedule,
    pub(crate) payload: Vec<u8>,
}

/// Finds what is wrong with a configuration.
pub(crate) fn check(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    match role {
        ConfigRole::LinkSource => read(&ConfigMap::new(), config).1,
        // The provider's own are defaults: a link may say the rest.
        ConfigRole::Own => read_given(config).1,
        ConfigRole::LinkTarget => Settings::new(config).finish(),
    }
}

/// Reads a link's configuration; what it does not say, the provider's `own` does. A faulty job is left out.
pub(crate) fn read(own: &ConfigMap, link: &ConfigMap) -> (Config, Vec<ConfigProblem>) {
    let all = merged(own, link);
    let (config, mut problems) = read_given(&all);
    if config.jobs.is_empty() && problems.is_empty() {
        problems.push(ConfigProblem {
            key: None,
            message: "there is no time at which the component is to be called".into(),
            help: Some("say `every: 10s` or `cron: '*/5 * * * *'`".into()),
        });
    }
    (config, problems)
}

fn read_given(config: &ConfigMap) -> (Config, Vec<ConfigProblem>) {
    let mut s = Settings::new(config);
    let zone = zone(&mut s);
    let payload = s.text("payload").unwrap_or_default().as_bytes().to_vec();
    let mut jobs = Vec::new();
    let mut job = |name: &str, schedule| {
        jobs.push(Job {
            name: name.into(),
            schedule,
            payload: payload.clone(),
        });
    };
    if let Some(text) = s.text("every") {
        match schedule::interval(text) {
            Some(interval) => job("every", Schedule::Every(interval)),
            None => s.bad_value(
                "every",
                "a time from 10ms to a year, such as `10s` or `1h 30m`",
            ),
        }
    }
    if let Some(text) = s.text("cron") {
        match schedule::cron(text) {
            Ok(cron) => job("cron", Schedule::Cron(Box::new(cron), zone.clone())),
            Err(why) => {
                let message = format!("`cron` is `{text}`, which is no cron line: {why}");
                s.problem(Some("cron"), message, Some(FIELDS.into()));
            }
        }
    }
    if let Some(text) = s.text("cronjobs") {
        for text in text
            .split(';')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            match cron_job(text, &zone) {
                Ok(job) => jobs.push(job),
                Err(message) => s.problem(Some("cronjobs"), message, None),
            }
        }
    }
    let config = Config {
        jobs,
        timeout: s.millis("timeout_ms").unwrap_or(TIMEOUT),
        overlap: s.flag("overlap").unwrap_or(false),
        once: s.choice("once", &["lattice", "host"]) != Some("host"),
    };
    // wasmCloud's provider locks each firing there.
    s.ignore(&["cluster_uri"]);
    (config, s.finish())
}

/// The parts of a cron line.
const FIELDS: &str = "write minute, hour, day of the month, month and day of the week, with the second before them if need be";

fn zone(s: &mut Settings<'_>) -> TimeZone {
    let Some(name) = s.text("timezone") else {
        return TimeZone::UTC;
    };
    match TimeZone::get(name) {
        Ok(zone) => zone,
        Err(_) => {
            s.bad_value(
                "timezone",
                "a time zone that this machine knows, such as `Europe/Berlin`",
            );
            TimeZone::UTC
        }
    }
}

/// One job as wasmCloud's provider writes it: `name=cron line:payload`.
fn cron_job(text: &str, zone: &TimeZone) -> Result<Job, String> {
    let form = "expected `name=cron line:payload`";
    let (name, rest) =
        (text.split_once('=')).ok_or_else(|| format!("`{text}` is no job, {form}"))?;
    let (line, payload) = rest.split_once(':').unwrap_or((rest, ""));
    let line = line.trim();
    let cron = schedule::cron(line)
        .map_err(|why| format!("`{line}` of the job `{name}` is no cron line: {why}"))?;
    Ok(Job {
        name: name.trim().into(),
        schedule: Schedule::Cron(Box::new(cron), zone.clone()),
        payload: payload.trim().as_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn messages(pairs: &[(&str, &str)]) -> Vec<String> {
        let problems = check(ConfigRole::LinkSource, &map(pairs));
        problems
            .into_iter()
            .map(|problem| problem.message)
            .collect()
    }

    #[test]
    fn a_link_goes_before_the_provider() {
        let own = map(&[("EVERY", "1h"), ("payload", "all"), ("timeout_ms", "5")]);
        let (config, problems) = read(&own, &map(&[("every", "10s")]));
        assert_eq!(problems, []);
        assert_eq!(config.timeout, Duration::from_millis(5));
        let [job] = &config.jobs[..] else {
            panic!("{config:?}")
        };
        assert_eq!(job.schedule, Schedule::Every(Duration::from_secs(10)));
        assert_eq!(job.payload, b"all");
    }

    #[test]
    fn jobs_of_wasmcloud_are_read() {
        let jobs = "daily=0 0 0 * * *:{\"a\":\"b:c\"}; often=*/3 * * * * ?:x;";
        let link = map(&[("cronjobs", jobs), ("cluster_uri", "nats://x")]);
        let (config, problems) = read(&ConfigMap::new(), &link);
        assert_eq!(problems, []);
        let jobs: Vec<_> = config
            .jobs
            .iter()
            .map(|job| (&*job.name, &*job.payload))
            .collect();
        assert_eq!(jobs, [("daily", &b"{\"a\":\"b:c\"}"[..]), ("often", b"x")]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let said = messages(&[
            ("every", "now"),
            ("cron", "0 0 30 2 *"),
            ("cronjobs", "x;y=never:z"),
            ("timezone", "Nowhere/Land"),
            ("timeout_ms", "0"),
            ("evry", "1s"),
        ]);
        assert_eq!(said.len(), 7, "{said:#?}");
        assert_eq!(
            messages(&[]),
            ["there is no time at which the component is to be called"]
        );
        assert_eq!(check(ConfigRole::Own, &ConfigMap::new()), []);
    }
}
