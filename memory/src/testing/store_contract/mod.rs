//! What every [`crate::ports::Store`] must do.
//!
//! An adapter implements [`StoreHarness`], writes an async factory of it and calls
//! [`crate::store_contract_tests!`] with the path of the factory: each case becomes a test of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a case fails by a panic")]
#![allow(missing_docs, reason = "the name of a case says what it proves")]

pub mod adoption;
pub mod blobs;
pub mod commits;
pub mod deletion;
pub mod events;
pub mod flushes;
pub mod isolation;
mod kit;
pub mod letters;
pub mod races;
pub mod slots;
pub mod users;
pub mod vectors;

pub use kit::{Kit, StoreHarness};

/// Makes a test of each case of the store contract.
///
/// The argument is the path of an async function without arguments that returns a
/// [`StoreHarness`](crate::testing::store_contract::StoreHarness) around a fresh, empty store. The calling crate
/// needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_contract_tests {
    ($factory:path) => {
        $crate::contract_cases! { $factory; store_contract;
            users:
                a_user_is_as_it_was_created
                a_user_id_is_taken_once
                a_user_may_have_no_data
                updating_a_user_replaces_its_data
                an_unknown_user_has_nothing
                the_revision_follows_the_memory;
            slots:
                a_slot_is_added_with_revision_one
                adding_a_slot_may_be_repeated
                a_slot_is_changed
                a_slot_keeps_its_address_unless_told
                a_slot_is_deleted
                an_unknown_slot_is_not_changed
                the_newest_slot_comes_first
                slots_may_share_a_name
                slot_text_round_trips
                every_slot_change_is_in_the_history
                a_slot_that_a_client_writes_has_no_sources;
            events:
                an_event_is_as_it_was_committed
                events_come_newest_first
                events_of_one_instant_come_last_stored_first
                a_replaced_event_keeps_its_place_in_an_instant
                events_are_filtered_by_time
                events_are_filtered_by_tags
                an_event_is_replaced
                replacing_needs_the_present_revision
                replacing_an_unknown_event_does_nothing
                an_unknown_event_is_unknown_before_it_is_stale
                an_event_is_deleted_with_its_gists
                gists_come_newest_event_first
                a_replaced_event_keeps_its_place
                event_text_round_trips;
            vectors:
                a_vector_is_kept_with_its_gist
                gists_without_a_vector_are_found
                vectors_stay_with_gists_that_stay
                a_new_space_replaces_the_old
                the_last_space_is_known
                vectors_of_gists_that_are_gone_are_passed_over
                tokens_of_embeddings_are_counted_by_project;
            blobs:
                a_blob_is_as_it_was_kept
                blobs_are_paged_newest_first
                blobs_of_one_instant_come_last_stored_first
                a_blob_is_deleted
                a_withdrawn_blob_takes_no_effect
                a_settled_blob_is_known
                blob_text_round_trips;
            commits:
                a_commit_stores_everything
                a_commit_of_an_answer_that_is_not_the_first_is_stale
                a_repeated_commit_changes_nothing
                a_commit_for_a_deleted_user_is_cancelled
                a_commit_for_another_life_is_cancelled
                a_blob_takes_effect_once
                a_stale_commit_changes_nothing
                a_commit_adds_one_to_the_revision
                a_commit_that_changes_nothing_leaves_the_revision
                a_commit_writes_slots
                sources_are_kept_with_slots_and_their_history
                the_checks_have_an_order
                blobs_of_other_users_do_not_clash
                deleted_blobs_stay_applied;
            flushes:
                a_flush_ends_once
                an_ended_flush_is_not_committed
                a_committed_flush_is_not_ended
                every_outcome_is_kept
                dead_letters_are_listed_in_order
                an_undone_flush_leaves_its_blobs_free
                a_dead_blob_takes_no_effect
                a_dead_blob_is_buried_once
                an_applied_blob_is_not_buried
                an_empty_letter_is_not_stored
                dead_blobs_of_other_users_do_not_clash
                a_deleted_user_gets_no_dead_letter
                the_first_answer_counts
                answers_are_kept_by_part
                a_deleted_user_gets_no_answer;
            letters:
                letters_are_listed_newest_first
                a_letter_is_as_it_was_buried
                a_dropped_letter_never_comes_back
                a_deleted_blob_leaves_its_letter
                a_retried_commit_takes_its_blobs_out_of_their_letters
                a_blob_that_dies_again_moves_to_the_new_letter
                letters_go_with_their_user;
            races:
                concurrent_commits_of_a_flush_happen_once
                concurrent_commits_at_one_revision_happen_once
                concurrent_commits_of_a_blob_happen_once
                concurrent_ends_and_commits_have_one_outcome
                concurrent_creations_have_one_winner
                concurrent_slot_changes_all_count
                concurrent_answers_agree
                a_deletion_and_a_commit_leave_nothing;
            deletion:
                deleting_a_user_leaves_nothing
                deleting_an_unknown_user_does_nothing
                a_user_made_anew_inherits_nothing
                purge_orders_wait_until_done
                each_life_has_its_purge_order
                an_ended_life_is_known
                old_rows_are_forgotten
                forgetting_has_a_limit
                young_rows_are_kept;
            isolation:
                a_user_id_may_live_in_two_projects
                no_project_reads_another
                no_project_changes_another
                no_user_touches_another;
            adoption:
                a_legacy_is_stored_as_it_is
                a_legacy_is_taken_over_once
                what_was_changed_since_stays
                a_user_who_lives_is_given_what_is_new
                a_deleted_user_is_not_brought_back
                a_legacy_without_memory_leaves_the_revision
                legacy_text_round_trips
                legacies_of_two_users_do_not_clash
                concurrent_adoptions_happen_once
                a_deletion_and_an_adoption_leave_nothing
                a_project_that_is_not_here_gets_no_users
                a_deletion_of_the_project_and_an_adoption_leave_nothing;
        }
    };
}
