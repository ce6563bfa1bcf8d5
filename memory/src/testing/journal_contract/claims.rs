//! Claims: leases, takeover, and giving back.

use super::kit::{Claimed, Kit, LEASE, assert_about, reseal, secs, take};
use crate::ids::{ClaimToken, FlushId, IdSource, Owner, SystemIds};
use crate::ports::Setback::{Failure, Hold, Outage};
use crate::ports::Take;

/// An owner with one blob in a claimed batch.
async fn claimed(kit: &Kit) -> (Owner, Claimed) {
    let owner = kit.owner().await;
    kit.chat(&owner, 1).await;
    let claimed = kit.claim(&owner, take()).await;
    (owner, claimed)
}

pub async fn a_claim_keeps_others_out_until_it_ends(kit: Kit) {
    let (owner, _) = claimed(&kit).await;
    assert_about(kit.busy(&owner, take()).await, LEASE);
    kit.advance(LEASE - secs(20)).await;
    assert_about(kit.busy(&owner, take()).await, secs(20));
}

pub async fn an_expired_claim_is_taken_over(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    kit.advance(LEASE + secs(10)).await;
    let second = kit.claim(&owner, take()).await;
    assert_eq!(second.batch, first.batch, "the batch stays what it was");
    assert_about(kit.busy(&owner, take()).await, LEASE);
}

pub async fn a_stale_token_does_nothing(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    kit.advance(LEASE + secs(10)).await;
    let second = kit.claim(&owner, take()).await;
    assert!(!kit.renew(&owner, &first).await);
    assert!(!kit.release(&owner, &first, secs(0), Failure).await);
    let late = reseal(first.batch.flush_id, &[], Some(first.token));
    assert!(!kit.journal.reseal(&owner, &late).await.unwrap());
    assert_about(kit.busy(&owner, take()).await, LEASE);
    assert!(kit.renew(&owner, &second).await, "the present claim has lost nothing");
    assert!(kit.release(&owner, &second, secs(0), Outage).await);
    let third = kit.claim(&owner, take()).await;
    assert_eq!((third.batch.attempts, third.batch.tries), (0, 1));
}

pub async fn an_expired_claim_goes_on_until_taken_over(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    kit.advance(LEASE + secs(10)).await;
    assert!(kit.renew(&owner, &first).await, "nobody took it over");
    assert_about(kit.busy(&owner, take()).await, LEASE);
    kit.advance(LEASE + secs(10)).await;
    assert!(kit.release(&owner, &first, secs(300), Failure).await);
    assert_about(kit.busy(&owner, take()).await, secs(300));
    let again = kit.claim(&owner, Take { ignore_backoff: true, ..take() }).await;
    assert_eq!((again.batch.attempts, again.batch.tries), (1, 1));
    kit.advance(LEASE + secs(10)).await;
    let ask = reseal(again.batch.flush_id, &[], Some(again.token));
    assert!(kit.journal.reseal(&owner, &ask).await.unwrap());
    assert!(kit.journal.renew(&owner, ask.new_flush_id, again.token, LEASE).await.unwrap());
}

pub async fn renewing_extends_a_claim(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    for _ in 0..3 {
        kit.advance(LEASE - secs(10)).await;
        assert!(kit.renew(&owner, &first).await);
    }
    assert_about(kit.busy(&owner, take()).await, LEASE);
    let (flush_id, token) = (first.batch.flush_id, first.token);
    assert!(kit.journal.renew(&owner, flush_id, token, secs(600)).await.unwrap());
    assert_about(kit.busy(&owner, take()).await, secs(600));
}

pub async fn renewing_needs_flush_and_token(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    let (flush_id, token) = (first.batch.flush_id, first.token);
    let (other_flush, other_token) = (FlushId(SystemIds.ordered()), ClaimToken(SystemIds.random()));
    for (flush_id, token) in [(flush_id, other_token), (other_flush, token)] {
        assert!(!kit.journal.renew(&owner, flush_id, token, secs(600)).await.unwrap());
    }
    assert_about(kit.busy(&owner, take()).await, LEASE);
}

pub async fn a_release_makes_the_batch_wait(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    assert!(kit.release(&owner, &first, secs(300), Outage).await);
    assert_about(kit.busy(&owner, take()).await, secs(300));
    assert!(!kit.renew(&owner, &first).await, "the claim was given back");
    kit.advance(secs(310)).await;
    assert_eq!(kit.claim(&owner, take()).await.ids(), first.ids());
}

pub async fn a_release_counts_what_it_is_told(kit: Kit) {
    let (owner, mut claimed) = claimed(&kit).await;
    for (setback, attempts, tries) in [(Failure, 1, 1), (Outage, 1, 2), (Hold, 1, 2), (Failure, 2, 3)] {
        assert!(kit.release(&owner, &claimed, secs(0), setback).await);
        claimed = kit.claim(&owner, take()).await;
        assert_eq!((claimed.batch.attempts, claimed.batch.tries), (attempts, tries));
    }
}

pub async fn a_release_happens_once(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    assert!(kit.release(&owner, &first, secs(300), Failure).await);
    assert!(!kit.release(&owner, &first, secs(0), Failure).await);
    assert_about(kit.busy(&owner, take()).await, secs(300));
    kit.advance(secs(310)).await;
    let again = kit.claim(&owner, take()).await;
    assert_eq!((again.batch.attempts, again.batch.tries), (1, 1));
}

pub async fn backoff_can_be_ignored(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    assert!(kit.release(&owner, &first, secs(300), Failure).await);
    let again = kit.claim(&owner, Take { ignore_backoff: true, ..take() }).await;
    assert_eq!(again.ids(), first.ids());
    assert_about(kit.busy(&owner, take()).await, LEASE);
}

pub async fn a_claim_cannot_be_ignored(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    assert_about(kit.busy(&owner, Take { ignore_backoff: true, ..take() }).await, LEASE);
    assert!(kit.renew(&owner, &first).await);
}
