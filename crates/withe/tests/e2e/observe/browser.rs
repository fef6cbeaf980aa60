//! The page in a browser: Debian's Chromium, where it is installed, driven over a pipe by its DevTools protocol.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::page::{Page, shop};
use crate::support::LONG;
use crate::support::client::get;

const CHROMIUM: &str = "/usr/bin/chromium";

/// A browser, and a page in it.
struct Browser {
    child: Child,
    to: ChildStdin,
    messages: Receiver<Value>,
    session: Value,
    last: u64,
    /// Messages that the page has logged, or thrown.
    said: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// One with an empty page; `None` if there is none on this machine.
    fn start() -> Option<Self> {
        if !Path::new(CHROMIUM).exists() {
            eprintln!("skipped: there is no {CHROMIUM} (`apt-get install chromium`)");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        // The browser reads at descriptor 3 and writes at 4.
        command
            .args([
                "-c",
                "exec 3<&0 4>&1 </dev/null >/dev/null && exec \"$0\" \"$@\"",
            ])
            .arg(CHROMIUM)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // All its processes end with it.
            .process_group(0);
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let from = child.stdout.take().unwrap();
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                if let Ok(message) =
                    serde_json::from_slice(message.strip_suffix(b"\0").unwrap_or(&message))
                {
                    // The test may be over.
                    _ = sender.send(message);
                }
                message.clear();
            }
        });
        let mut browser = Self {
            child,
            to,
            messages,
            session: Value::Null,
            last: 0,
            said: Vec::new(),
            _profile: profile,
        };
        let target = browser.send("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.send(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log"] {
            browser.send(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Sends a command, and waits for its answer.
    fn send(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        self.to
            .write_all(format!("{command}\0").as_bytes())
            .unwrap();
        loop {
            let message = self.messages.recv_timeout(LONG);
            let message = message.unwrap_or_else(|e| panic!("no answer to {method}: {e}"));
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message:#}");
                return message["result"].clone();
            }
            let is_said = [
                "Runtime.exceptionThrown",
                "Runtime.consoleAPICalled",
                "Log.entryAdded",
            ];
            if is_said.iter().any(|said| message["method"] == *said) {
                self.said.push(message["params"].to_string());
            }
        }
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.send("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result:#}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + LONG;
        while self.value(expression) != true {
            if Instant::now() >= deadline {
                let text = self.value("document.body.innerText");
                panic!("not in time: {expression}: {text} {:#?}", self.said);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        _ = self.child.wait();
    }
}

#[test]
fn the_page_works_in_a_browser() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = shop();
    let up = folder.up(&["--ui=127.0.0.1:0", "--ui-allow-calls"]);
    let page = Page::of(&up);
    let address = up.address();
    up.says("`app` runs");
    let url = format!("http://{}/#token={}", page.address, page.secret);
    browser.send("Page.navigate", json!({"url": url}));
    browser.until("document.querySelector('#status')?.dataset.status === 'live'");
    browser.until("document.querySelectorAll('.node').length === 3 && document.querySelectorAll('.edge').length === 2");
    // The secret does not stay in the address.
    browser.until("!location.href.includes('token')");

    // A link that was called shows it, and a click on it how it is bound.
    get(&address, "/add").unwrap();
    browser.until(
        "[...document.querySelectorAll('.edge')].every((edge) => edge.textContent.includes('/s'))",
    );
    browser.value("document.querySelector('.edge[aria-label*=\"to ops\"]').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))");
    browser.until("document.querySelector('aside').innerText.includes('local')");
    browser.until("document.querySelector('aside').innerText.includes('t:bench/ops')");

    // Every view shows something.
    browser.value("location.hash = '#/links'");
    browser.until("document.querySelectorAll('tbody tr').length === 2");
    browser.value("location.hash = '#/parts'");
    browser.until("document.querySelectorAll('tbody tr').length === 3");
    browser.value("location.hash = '#/hosts'");
    browser.until("document.querySelector('.chip.good')?.innerText === 'runs'");
    browser.value("location.hash = '#/log'");
    browser.until("document.querySelectorAll('.log li').length > 0");
    // Lines that were not found stand where they stood when they are shown again.
    get(&address, "/shout").unwrap();
    browser.until("document.querySelector('.log li.out') !== null");
    let find = "(text) => { const find = document.getElementById('find'); find.value = text; find.dispatchEvent(new Event('input')); }";
    let texts = "[...document.querySelectorAll('.log li .text')].map((line) => line.textContent)";
    browser.value(&format!("globalThis.before = {texts}; 0"));
    browser.value(&format!(
        "({find})(document.querySelector('.log li.out .text').textContent)"
    ));
    browser.until(&format!("{texts}.length < before.length"));
    browser.value(&format!("({find})('')"));
    browser.until(&format!(
        "{texts}.slice(0, before.length).join() === before.join()"
    ));
    // An address that names no view shows none: the link to the content, and names that all objects have.
    browser.value("location.hash = '#view'");
    browser.until("document.querySelector('nav [aria-current]').hash === '#/log'");
    browser.value("location.hash = '#/constructor'");
    browser.until("document.querySelector('nav [aria-current]').hash === '#/graph'");
    browser.value("location.hash = '#/events'");
    browser.until("document.querySelector('main') !== null");
    browser.value("location.hash = '#/traces'");
    // The newest comes first, and not every request leads to a call.
    let of_two = "[...document.querySelectorAll('tbody tr')].find((row) => [...row.cells].some((cell) => cell.innerText === '2'))";
    browser.until(&format!("{of_two} !== undefined"));
    browser.value(&format!("{of_two}.click()"));
    browser.until("document.querySelectorAll('.spans li').length === 2");

    // A function is called by its form.
    browser.value("location.hash = '#/call'");
    browser.until("document.querySelectorAll('form select')[0]?.options.length === 2");
    let choose = "(select, text) => { select.value = [...select.options].find((o) => o.text.endsWith(text)).value; select.dispatchEvent(new Event('change')); }";
    browser.value(&format!(
        "({choose})(document.querySelectorAll('form select')[0], 'ops')"
    ));
    browser.until("[...document.querySelectorAll('form select')[1].options].some((o) => o.text.endsWith('#add'))");
    browser.value(&format!(
        "({choose})(document.querySelectorAll('form select')[1], '#add')"
    ));
    browser.until("document.querySelectorAll('form input').length === 2");
    browser.value(
        "document.querySelectorAll('form input').forEach((input, i) => { input.value = i + 1; })",
    );
    browser.value("document.querySelector('form button.primary').click()");
    browser.until("document.querySelectorAll('form pre')[1].innerText === '3'");

    // The page is usable on a telephone: nothing but tables and the graph is wider than the window.
    browser.send(
        "Emulation.setDeviceMetricsOverride",
        json!({"width": 400, "height": 700, "deviceScaleFactor": 1, "mobile": true}),
    );
    for view in [
        "graph", "links", "parts", "hosts", "log", "traces", "events", "call",
    ] {
        browser.value(&format!("location.hash = '#/{view}'"));
        browser.until(&format!(
            "document.querySelector('nav [aria-current]').hash === '#/{view}'"
        ));
        browser.until("document.documentElement.scrollWidth <= 400");
    }

    // When the host is gone, the page says so.
    drop(up);
    browser.until("document.querySelector('#status').dataset.status === 'gone'");
    let thrown: Vec<_> = (browser.said.iter())
        .filter(|said| !said.contains("ERR_") && !said.contains("net::"))
        .collect();
    assert!(thrown.is_empty(), "{thrown:#?}");
}
