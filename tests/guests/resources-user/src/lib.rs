//! Does everything with a linked component's resource that can be done with one, and says what came
//! of it.

wit_bindgen::generate!({ world: "resources-user", path: "../wit", generate_all });

use exports::t::resources::run::Guest;
use t::resources::counters::{self, Counter};

struct ResourcesUser;
export!(ResourcesUser);

impl Guest for ResourcesUser {
    fn transcript() -> Vec<String> {
        let mut lines = Vec::new();
        let mut say =
            |what: &str, value: &dyn ToString| lines.push(format!("{what}: {}", value.to_string()));

        let apples = Counter::new("apples", 3);
        say("name", &apples.name());
        say("value", &apples.value());
        say("add 4", &apples.add(4));
        say("describe", &counters::describe(&apples));

        let pears = Counter::new("pears", 10);
        say("absorb", &apples.absorb(&pears));
        say("pears after absorb", &pears.value());
        say("made, dropped", &made_and_dropped());

        let fruit = Counter::merge(apples, pears);
        say("merged", &counters::describe(&fruit));
        say("made, dropped", &made_and_dropped());

        let parts = counters::split(fruit, 4);
        say(
            "parts",
            &parts
                .iter()
                .map(counters::describe)
                .collect::<Vec<_>>()
                .join(", "),
        );
        say("made, dropped", &made_and_dropped());

        let greatest = counters::greatest(parts);
        say(
            "greatest",
            &greatest.as_ref().map_or("none".into(), counters::describe),
        );
        say(
            "greatest of none",
            &counters::greatest(Vec::new()).is_some(),
        );
        say("made, dropped", &made_and_dropped());

        if let Some(counter) = greatest {
            say("consume", &counters::consume(counter));
        }
        drop(Counter::new("dropped at once", 0));
        say("made, dropped", &made_and_dropped());
        lines
    }
}

fn made_and_dropped() -> String {
    format!("{}, {}", counters::made(), counters::dropped())
}
