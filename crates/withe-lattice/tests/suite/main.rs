//! Checks the contract of every lattice, over every kind of lattice.

mod cases;
mod fixture;

/// A test of each case over each kind of lattice.
macro_rules! suite {
    ($($case:ident)*) => {
        suite!(@over memory $($case)*);
        suite!(@over file $($case)*);
        suite!(@over attached $($case)*);
        suite!(@over nats $($case)*);
    };
    (@over $kind:ident $($case:ident)*) => {
        mod $kind {
            use super::{cases, fixture::Fixture};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    cases::$case(Fixture::$kind().await).await;
                }
            )*
        }
    };
}

suite! {
    entries_are_put_and_read
    puts_expect_what_they_say
    revisions_grow
    deletes_expect_what_they_say
    prefixes_end_with_words
    what_is_no_key_is_refused
    values_of_any_size_are_kept
    leases_of_any_size_are_kept
    values_beyond_all_bounds_are_refused
    leases_are_apart_from_entries
    leases_run_out
    leases_that_ran_out_can_be_put_again
    leases_that_are_renewed_live_on
    leases_expect_what_they_say
    watches_begin_with_what_is_there
    watches_tell_every_member
    watches_are_of_a_prefix
    a_slow_watch_gets_the_last_of_every_key
    lease_watches_tell_what_runs_out
    lease_watches_tell_what_is_removed
    blobs_are_kept
    a_blob_that_is_not_its_digest_is_refused
    messages_reach_those_who_listen
    a_slow_listener_loses_the_oldest
    requests_are_answered
    nobody_serves_what_nobody_serves
    one_of_several_serves_a_request
    requests_end_in_time
    a_request_that_is_dropped_is_not_answered
    many_requests_at_once
}
