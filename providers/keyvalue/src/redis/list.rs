//! Pages of a bucket's keys, from one server or from all masters of a cluster in turn.
//!
//! A server's cursor means something to that server alone. A cursor of a cluster also says who was asked, and who had
//! which slots: if a slot has moved since, keys might be passed over, and listing has to start again.

use ::redis as client;

use super::cluster::Cluster;
use super::keyspace::Keyspace;
use super::server::Server;
use crate::store::{PAGE, StoreError};

/// The beginning of cursors.
const SCAN: &str = "scan:";
/// How often a server is asked for one page. Redis looks at so many keys at a time, whether or not they match, and may
/// find none. A page must not keep a caller waiting for long, so a page of a small bucket among many other keys may be short,
/// or empty.
const SCANS: usize = 64;

/// A page, and the cursor of the next one.
type Page = (Vec<String>, Option<String>);

/// A page of a server's keys.
pub(super) async fn of_server(
    server: &Server,
    keyspace: &Keyspace,
    cursor: Option<String>,
) -> Result<Page, StoreError> {
    let from = match cursor {
        Some(text) => {
            let number = text.strip_prefix(SCAN).and_then(|n| n.parse().ok());
            number.ok_or(StoreError::Cursor)?
        }
        None => 0,
    };
    let mut scans = 0..SCANS;
    let (page, next) = scan(server, keyspace, from, &mut scans).await?;
    Ok((page, (next != 0).then(|| format!("{SCAN}{next}"))))
}

/// A page of the keys of one master or more.
pub(super) async fn of_cluster(
    cluster: &Cluster,
    keyspace: &Keyspace,
    cursor: Option<String>,
) -> Result<Page, StoreError> {
    let slots = cluster.look().await?;
    cluster.is_whole(&slots)?;
    let moved = || {
        StoreError::Failed(
            "slots of the Redis cluster have moved while its keys were listed; start again from the first page".into(),
        )
    };
    let (mut place, mut from) = match cursor {
        None => (0, 0),
        Some(text) => {
            let (seen, place, from) = read(&text).ok_or(StoreError::Cursor)?;
            if seen != slots.fingerprint {
                return Err(moved());
            }
            (place, from)
        }
    };
    let mut page = Vec::new();
    let mut scans = 0..SCANS;
    while page.len() < PAGE && !scans.is_empty() {
        let master = slots.masters.get(place).ok_or(StoreError::Cursor)?;
        let server = cluster.server(&master.node)?;
        let (keys, next) = scan(&server, keyspace, from, &mut scans).await?;
        page.extend(keys);
        from = next;
        if next == 0 {
            place += 1;
            if place == slots.masters.len() {
                break;
            }
        }
    }
    if cluster.look().await?.fingerprint != slots.fingerprint {
        return Err(moved());
    }
    let seen = &slots.fingerprint;
    let next = (place < slots.masters.len()).then(|| format!("{SCAN}{seen}:{place}:{from}"));
    Ok((page, next))
}

/// Who had which slots, the place of the master that is asked, and its own cursor.
fn read(cursor: &str) -> Option<(&str, usize, u64)> {
    let (seen, rest) = cursor.strip_prefix(SCAN)?.split_once(':')?;
    let (place, from) = rest.split_once(':')?;
    Some((seen, place.parse().ok()?, from.parse().ok()?))
}

/// Keys of a server from its cursor on, and the next cursor, 0 if there is none. Takes as many of `scans` as it needs.
async fn scan(
    server: &Server,
    keyspace: &Keyspace,
    mut cursor: u64,
    scans: &mut std::ops::Range<usize>,
) -> Result<(Vec<String>, u64), StoreError> {
    let pattern = keyspace.pattern();
    let mut page = Vec::new();
    for _ in scans {
        let mut command = client::cmd("SCAN");
        command
            .arg(cursor)
            .arg("MATCH")
            .arg(&pattern)
            .arg("COUNT")
            .arg(PAGE)
            // Others may have lists and sets there, which are no values.
            .arg("TYPE")
            .arg("string");
        let (next, found): (u64, Vec<Vec<u8>>) = server.read(&command).await?;
        cursor = next;
        // Keys that are no text were not written through this interface, which has no others.
        let keys = found
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok());
        page.extend(keys.filter_map(|key| keyspace.key_of(key)));
        if cursor == 0 || page.len() >= PAGE {
            break;
        }
    }
    // The server may find a key twice while its table grows.
    page.sort_unstable();
    page.dedup();
    Ok((page, cursor))
}
