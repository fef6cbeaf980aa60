//! `--plain-http` and `--mirror`: how registries are reached; `--verify-key`: who has to have signed what comes from there.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use withe_oci::{ImageKey, Images, Mirror, PullEvent, Settings, credentials};

use crate::places;
use crate::render::units::bytes;
use crate::terminal::Terminal;

/// The folder of what was pulled, in the one of caches.
const CACHE: &str = "oci";

/// How registries are reached, and whose images are taken.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RegistryArgs {
    /// A registry that is asked without TLS; may be given several times. No registry is, unless it is named: not one on
    /// this machine either.
    #[arg(
        long,
        value_name = "REGISTRY",
        env = "WITHE_PLAIN_HTTP",
        value_delimiter = ',',
        help_heading = "Registries"
    )]
    plain_http: Vec<String>,
    /// Another registry that is asked in the place of one when something is pulled, perhaps with a folder in it, such as
    /// `docker.io=mirror.example:5000/hub`; may be given several times.
    #[arg(
        long,
        value_name = "REGISTRY=OTHER",
        env = "WITHE_MIRROR",
        value_delimiter = ',',
        help_heading = "Registries"
    )]
    mirror: Vec<Mirror>,
    /// A public key of cosign with which images that are pulled have to be signed: all, or those that a pattern of
    /// `REGISTRY/REPOSITORY` matches, such as `ghcr.io/example/*=cosign.pub`; may be given several times, and then one of the keys
    /// for an image will do.
    #[arg(
        long,
        value_name = "[PATTERN=]FILE",
        env = "WITHE_VERIFY_KEY",
        value_delimiter = ',',
        value_parser = ImageKey::read, help_heading = "Registries")]
    verify_key: Vec<ImageKey>,
    /// The client, once something is to be pulled: one for all that this command does, which is what keeps the files of
    /// programs for as long.
    #[arg(skip)]
    images: Arc<OnceLock<Arc<Images>>>,
}

impl RegistryArgs {
    /// The client that pulls and pushes.
    pub(crate) fn images(&self) -> Arc<Images> {
        let make = || {
            let settings = Settings {
                plain_http: self.plain_http.clone(),
                mirrors: self.mirror.clone(),
                cache: places::cache_dir().map(|folder| folder.join(CACHE)),
                docker: credentials::docker_folder(),
                keys: self.verify_key.clone(),
            };
            let shown = Shown::new();
            Arc::new(Images::new(settings, move |event| shown.show(event)))
        };
        self.images.get_or_init(make).clone()
    }
}

/// The progress, as a line that changes, on a terminal only; and a line of all the bytes that arrived.
struct Shown {
    bar: ProgressBar,
    /// The bytes that are awaited and those that came, by the reference.
    going: Mutex<HashMap<String, (u64, u64)>>,
}

impl Shown {
    fn new() -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        Self {
            bar,
            going: Mutex::default(),
        }
    }

    fn show(&self, event: PullEvent) {
        // Counts that a panicking holder left behind are still counts.
        let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            PullEvent::Asking { reference } => _ = going.entry(reference).or_default(),
            PullEvent::Awaited { reference, bytes } => {
                going.entry(reference).or_default().0 += bytes
            }
            PullEvent::Came { reference, bytes } => going.entry(reference).or_default().1 += bytes,
            PullEvent::Failed { reference } => _ = going.remove(&reference),
            PullEvent::Done {
                reference,
                digest,
                bytes: came,
            } => {
                going.remove(&reference);
                tracing::debug!("`{reference}` is `{digest}`; {came} bytes were moved");
                if came > 0 {
                    let line = format!("{reference}: {}\n", size(came));
                    // Nothing of it is coloured.
                    self.bar.suspend(|| Terminal::plain().say(&line));
                }
            }
        }
        if going.is_empty() {
            return self.bar.finish_and_clear();
        }
        if self.bar.is_finished() {
            self.bar.reset();
        }
        let mut texts: Vec<_> = (going.iter())
            .map(|(reference, (awaited, came))| match awaited {
                0 => reference.clone(),
                _ => format!("{reference} ({} of {})", size(*came), size(*awaited)),
            })
            .collect();
        texts.sort();
        self.bar.set_message(texts.join(", "));
        self.bar.tick();
    }
}

fn size(number: u64) -> String {
    bytes(usize::try_from(number).unwrap_or(usize::MAX))
}
