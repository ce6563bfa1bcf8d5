//! What every [`crate::ports::Projects`] must do.
//!
//! An adapter implements [`ProjectsHarness`], writes an async factory of it and calls
//! [`crate::projects_contract_tests!`] with the path of the factory: each case becomes a test of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a case fails by a panic")]
#![allow(missing_docs, reason = "the name of a case says what it proves")]

pub mod adoption;
mod kit;
pub mod rows;
pub mod usage;
pub mod users;

pub use kit::{Kit, ProjectsHarness};

/// Makes a test of each case of the contract.
///
/// The argument is the path of an async function without arguments that returns a
/// [`ProjectsHarness`](crate::testing::projects_contract::ProjectsHarness) around a fresh, empty store. The calling
/// crate needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! projects_contract_tests {
    ($factory:path) => {
        $crate::contract_cases! { $factory; projects_contract;
            rows:
                a_project_is_as_it_was_created
                a_name_is_taken_once
                projects_are_listed_by_name
                a_token_is_replaced
                a_project_is_suspended_and_resumed
                a_profile_config_is_set_and_removed
                a_token_quota_is_set_and_removed
                a_token_quota_stays_beside_a_profile_config
                an_implicit_project_gets_a_row
                an_unknown_project_is_not_changed
                a_project_that_is_being_deleted_is_not_changed
                a_project_goes_after_its_users
                a_name_is_free_again
                a_name_with_users_is_taken
                concurrent_creations_have_one_winner;
            adoption:
                a_project_is_adopted_as_it_is
                a_project_that_is_here_stays_as_it_is
                a_name_with_users_is_not_adopted
                a_name_has_one_source
                a_deleted_project_is_not_brought_back
                a_project_made_anew_has_no_source
                concurrent_adoptions_have_one_source;
            users:
                users_are_listed_with_their_counts
                users_are_sorted
                users_are_paged
                users_are_searched
                what_is_searched_for_is_no_pattern
                no_project_lists_the_users_of_another
                user_ids_have_a_limit;
            usage:
                a_commit_is_counted_for_its_day
                what_takes_no_effect_is_not_counted
                a_dead_letter_is_an_insert_without_success
                usage_outlives_its_users
                folding_changes_no_total
                the_usage_of_a_project_goes_with_it
                a_new_project_has_used_nothing
                an_adopted_project_has_used_nothing;
        }
    };
}
