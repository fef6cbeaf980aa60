wit_bindgen::generate!({ world: "exporter", path: "cases/trap-in-destructor" });

use exports::case::trap_in_destructor::api::{Bomb, Guest, GuestBomb};

struct Exporter;
export!(Exporter);

struct Armed(bool);

impl Drop for Armed {
    fn drop(&mut self) {
        assert!(!self.0, "dropped while armed");
    }
}

impl GuestBomb for Armed {
    fn new(armed: bool) -> Self {
        Self(armed)
    }
}

impl Guest for Exporter {
    type Bomb = Armed;

    fn take(bomb: Bomb) -> u32 {
        drop(bomb);
        1
    }

    fn replace(bombs: Vec<Bomb>) -> Vec<Bomb> {
        bombs.into_iter().map(|_| Bomb::new(Armed(false))).collect()
    }
}
