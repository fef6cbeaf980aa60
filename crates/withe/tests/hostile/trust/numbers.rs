//! Records with numbers that nobody has ever counted to.

use serde_json::json;

use super::Member;
use super::support::app::Visits;
use super::support::client::get;
use super::support::lattice::Lattice;

#[test]
fn forged_numbers_of_deployments_stop_nothing() {
    let lattice = Lattice::new();
    let mut host = lattice.host("a");
    let mut app = Visits::anywhere(&lattice.redis.url());
    let address = lattice.up(&app);
    assert_eq!(get(&address, "/").unwrap().status, 200);

    let member = Member::of(&lattice);
    // A host that is about to leave is given nothing, and has followed all that there ever was.
    let ghost = json!({
        "id": "ghost", "name": "ghost", "version": "0", "machine": "m", "labels": {}, "nats": false,
        "started": u64::MAX, "leaving": true,
        "apps": {"visits": {
            "number": u64::MAX, "revision": u64::MAX, "parts": [], "links": [], "endpoints": [],
        }},
    });
    member.put_lease("hosts.ghost", &ghost);
    for number in [u64::MAX, u64::MAX - 1, 1 << 40] {
        let deployment = json!({"number": number, "revision": number, "hosts": {}});
        member.put("deployments.visits", &deployment);
        let line = host.says(&number.to_string());
        assert!(
            line.contains("ignored") && line.contains("`visits`"),
            "{line}"
        );
    }
    assert_eq!(get(&address, "/").unwrap().status, 200);

    // An application that is put now runs, under a number that goes on from those before.
    member.put_lease("hosts.ghost", &ghost);
    app.greeting = "Hello again".into();
    let address = lattice.up(&app);
    let page = get(&address, "/").unwrap();
    assert!(String::from_utf8_lossy(&page.body).contains("Hello again"));
    let (status, number) = lattice.status();
    assert!(status == "runs" && number < 1 << 20, "{status}, {number}");
    assert_eq!(host.leave(), Some(0));
}
