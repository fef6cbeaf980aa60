wit_bindgen::generate!({ world: "importer", path: "cases/traps" });

use case::traps::api;

struct Importer;
export!(Importer);

macro_rules! calls {
    ($($function:ident)*) => {
        $(fn $function() -> String {
            format!("{} {}", api::fine(), api::$function())
        })*
    };
}

impl Guest for Importer {
    calls! {
        unreachable divide_by_zero overflow no_integer out_of_bounds no_such_element empty_element
        wrong_signature recurse
    }
}
