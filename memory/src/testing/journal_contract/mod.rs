//! What every [`crate::ports::Journal`] must do.
//!
//! An adapter implements [`JournalHarness`], writes an async factory of it and calls
//! [`crate::journal_contract_tests!`] with the path of the factory: each case becomes a test of its own.
//!
//! The cases allow a journal whose clock runs on by itself: they ask for durations to within [`SLACK`].

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a case fails by a panic")]
#![allow(missing_docs, reason = "the name of a case says what it proves")]

pub mod append;
pub mod batches;
pub mod claims;
pub mod due;
mod kit;
pub mod moves;
pub mod purge;
pub mod requeues;
pub mod take;

pub use kit::{JournalHarness, Kit, SLACK};

/// Makes a test of each case of the journal contract.
///
/// The argument is the path of an async function without arguments that returns a
/// [`JournalHarness`](crate::testing::journal_contract::JournalHarness) around a fresh, empty journal. The calling
/// crate needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! journal_contract_tests {
    ($factory:path) => {
        $crate::contract_cases! { $factory; journal_contract;
            append:
                appends_count_and_order
                an_unused_journal_answers
                a_repeated_append_changes_nothing
                a_repeated_append_of_a_sealed_blob_changes_nothing
                a_blob_id_is_known_over_all_types
                each_type_has_its_own_buffer
                concurrent_appends_get_distinct_numbers
                concurrent_repeats_of_an_append_count_once
                text_round_trips
                numbers_survive_an_empty_buffer
                entries_carry_the_time_of_the_append
                large_token_counts_add_up;
            take:
                a_take_seals_what_fits_the_tokens
                a_take_seals_what_fits_the_blobs
                a_blob_over_the_limit_is_alone
                a_take_stops_at_the_first_blob_that_does_not_fit
                the_widest_limits_take_everything
                takes_go_in_order
                an_empty_buffer_gives_its_level
                one_batch_per_owner_over_all_types
                appends_go_on_beside_a_batch
                a_repeated_take_gives_the_same_batch
                concurrent_takes_have_one_winner
                concurrent_takes_of_an_expired_claim_have_one_winner
                a_batch_holds_what_was_appended;
            claims:
                a_claim_keeps_others_out_until_it_ends
                an_expired_claim_is_taken_over
                a_stale_token_does_nothing
                an_expired_claim_goes_on_until_taken_over
                renewing_extends_a_claim
                renewing_needs_flush_and_token
                a_release_makes_the_batch_wait
                a_release_counts_what_it_is_told
                a_release_happens_once
                backoff_can_be_ignored
                a_claim_cannot_be_ignored;
            batches:
                a_discard_forgets_the_batch
                a_discard_of_another_flush_does_nothing
                a_discard_lets_other_types_go_on
                a_discard_ignores_claims
                a_reseal_under_a_claim_keeps_it
                a_reseal_without_token_ends_the_claim
                a_reseal_needs_the_present_claim
                a_reseal_under_another_claim_changes_nothing
                a_reseal_of_another_flush_does_nothing
                a_reseal_to_empty_discards
                a_reseal_keeps_attempts
                a_reseal_happens_once
                removing_a_waiting_blob_takes_its_tokens
                removing_a_sealed_blob_leaves_it
                removing_an_unknown_blob_does_nothing
                blobs_that_left_may_come_again;
            due:
                a_buffer_is_due_at_its_age
                the_oldest_blob_decides
                an_open_batch_hides_its_owner
                an_expired_claim_is_due
                a_batch_is_due_when_its_wait_is_over
                the_longest_due_comes_first
                batches_and_buffers_are_ordered_together
                each_owner_and_type_is_due_once
                a_discard_shows_what_waits
                nothing_is_due_when_nothing_waits
                what_is_due_is_paged
                what_is_due_at_one_instant_is_one_page;
            requeues:
                requeued_blobs_come_before_what_waits
                a_requeue_of_an_unused_owner_works
                a_requeue_beside_an_open_batch_is_busy
                a_requeue_of_known_blobs_changes_nothing
                a_requeued_batch_stays_one
                a_purged_owner_gets_nothing_back;
            moves:
                a_holding_is_all_that_is_held
                what_was_handed_over_can_be_adopted
                claims_do_not_move
                a_retried_batch_moves_as_one
                owners_are_paged;
            purge:
                a_purge_removes_everything
                a_purge_is_for_good
                a_purge_of_an_unused_owner_counts
                another_life_is_not_purged
                a_purge_under_concurrent_appends_leaves_nothing
                owners_are_apart
                projects_are_apart
                the_batch_of_another_owner_cannot_be_touched;
        }
    };
}

/// Makes a test of each case that is named.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_cases {
    ($factory:path; $suite:ident; $($module:ident: $($case:ident)*;)*) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let kit = $crate::testing::$suite::Kit::new($factory().await);
            $crate::testing::$suite::$module::$case(kit).await;
        }
    )*)*};
}
