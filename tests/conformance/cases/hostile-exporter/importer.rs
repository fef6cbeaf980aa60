wit_bindgen::generate!({ world: "importer", path: "cases/hostile-exporter" });

use case::hostile_exporter::api;
use conformance::Transcript;

struct Importer;
export!(Importer);

macro_rules! calls {
    ($($function:ident)*) => {
        $(fn $function() -> String {
            format!("{:?}", api::$function())
        })*
    };
}

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("wide bool", api::wide_bool());
        t.note("wide u8", api::wide_u8());
        t.note("wide s8", api::wide_s8());
        t.note("wide u16", api::wide_u16());
        t.note("wide s16", api::wide_s16());
        t.note("extra flags", api::extra_flags());
        t.note("bools in memory", api::memory_bools());
        t.note("flags in memory", api::memory_flags());
        t.note("list at the end", api::empty_list_at_the_end());
        t.text()
    }

    calls! {
        empty_text_out_of_bounds empty_list_unaligned surrogate beyond_unicode surrogate_in_list no_such_case no_such_case_in_memory no_such_choice
        no_such_option no_such_result invalid_utf8 cut_utf8 text_out_of_bounds text_too_long text_in_choice
        list_out_of_bounds list_too_long list_unaligned inner_list_unaligned result_out_of_bounds
        result_unaligned no_such_handle handle_of_other handle_in_list handle_twice post_return_traps
    }

    fn realloc_out_of_bounds() -> String {
        api::realloc_out_of_bounds("text");
        "not reached".into()
    }

    fn realloc_unaligned() -> String {
        api::realloc_unaligned(&[1, 2]);
        "not reached".into()
    }

    fn realloc_traps() -> String {
        api::realloc_traps("text");
        "not reached".into()
    }
}
