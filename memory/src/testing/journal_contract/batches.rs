//! What becomes of a batch: discarded, sealed anew, or robbed of a blob.

use super::kit::{Claimed, Kit, LEASE, assert_about, blob, reseal, secs, take};
use crate::blob::BlobType;
use crate::ids::{ClaimToken, FlushId, IdSource, Owner, SystemIds};
use crate::ports::Setback::{Failure, Outage};
use crate::ports::{Removed, Take, Taken};

/// An owner with three blobs in a claimed batch.
async fn claimed(kit: &Kit) -> (Owner, Claimed) {
    let owner = kit.owner().await;
    for _ in 0..3 {
        kit.chat(&owner, 1).await;
    }
    let claimed = kit.claim(&owner, take()).await;
    (owner, claimed)
}

pub async fn a_discard_forgets_the_batch(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    let next = kit.chat(&owner, 2).await;
    for _ in 0..2 {
        kit.discard(&owner, first.batch.flush_id).await;
        assert_eq!(kit.sealed(&owner).await, []);
        assert_eq!(kit.journal.blob(&owner, first.ids()[0]).await.unwrap(), None);
        assert_eq!(kit.waiting(&owner).await, [next]);
    }
    assert!(!kit.renew(&owner, &first).await);
    assert_eq!(kit.claim(&owner, take()).await.ids(), [next]);
}

pub async fn a_discard_of_another_flush_does_nothing(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    kit.discard(&owner, FlushId(SystemIds.ordered())).await;
    assert_eq!(kit.sealed(&owner).await, first.ids());
    assert!(kit.renew(&owner, &first).await);
}

pub async fn a_discard_lets_other_types_go_on(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    let summary = blob(BlobType::Summary, 1);
    kit.put(&owner, &summary).await;
    kit.discard(&owner, first.batch.flush_id).await;
    let next = kit.claim(&owner, Take { blob_type: BlobType::Summary, ..take() }).await;
    assert_eq!((next.ids(), next.batch.blob_type), (vec![summary.id], BlobType::Summary));
}

pub async fn a_discard_ignores_claims(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    kit.advance(LEASE + secs(10)).await;
    let second = kit.claim(&owner, take()).await;
    kit.discard(&owner, first.batch.flush_id).await;
    assert!(!kit.renew(&owner, &second).await);
    assert!(matches!(kit.take(&owner, &take()).await, Taken::Empty(_)));
}

pub async fn a_reseal_under_a_claim_keeps_it(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    let ids = first.ids();
    let ask = reseal(first.batch.flush_id, &ids[1..2], Some(first.token));
    assert!(kit.journal.reseal(&owner, &ask).await.unwrap());
    assert_eq!(kit.sealed(&owner).await, [ids[0], ids[2]]);
    assert_eq!(kit.journal.blob(&owner, ids[1]).await.unwrap(), None);
    assert_about(kit.busy(&owner, take()).await, LEASE);
    assert!(!kit.renew(&owner, &first).await, "the old id is no more");
    let renewed = kit.journal.renew(&owner, ask.new_flush_id, first.token, LEASE).await.unwrap();
    assert!(renewed, "the claim goes on under the new id");
    kit.advance(LEASE + secs(10)).await;
    let second = kit.claim(&owner, take()).await;
    assert_eq!((second.batch.flush_id, second.ids()), (ask.new_flush_id, vec![ids[0], ids[2]]));
    assert_eq!(second.batch.entries[1], first.batch.entries[2], "what remains is unchanged");
}

pub async fn a_reseal_without_token_ends_the_claim(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    let ask = reseal(first.batch.flush_id, &first.ids()[..1], None);
    assert!(kit.journal.reseal(&owner, &ask).await.unwrap());
    assert!(!kit.journal.renew(&owner, ask.new_flush_id, first.token, LEASE).await.unwrap());
    let second = kit.claim(&owner, take()).await;
    assert_eq!((second.batch.flush_id, second.ids()), (ask.new_flush_id, first.ids()[1..].to_vec()));
}

pub async fn a_reseal_needs_the_present_claim(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    let ask = reseal(first.batch.flush_id, &first.ids()[..1], Some(ClaimToken(SystemIds.random())));
    assert!(!kit.journal.reseal(&owner, &ask).await.unwrap());
    assert_eq!(kit.sealed(&owner).await, first.ids());
    assert!(kit.release(&owner, &first, secs(0), Outage).await);
    let late = reseal(first.batch.flush_id, &first.ids()[..1], Some(first.token));
    assert!(!kit.journal.reseal(&owner, &late).await.unwrap(), "the claim was given back");
    assert_eq!(kit.sealed(&owner).await, first.ids());
}

pub async fn a_reseal_under_another_claim_changes_nothing(kit: Kit) {
    let (owner, stale) = claimed(&kit).await;
    kit.chat(&owner, 5).await;
    let level = kit.level(&owner, BlobType::Chat).await;
    kit.advance(LEASE + secs(10)).await;
    let again = take();
    let present = kit.claim(&owner, again.clone()).await;
    assert_eq!(present.batch, stale.batch);
    let ids = stale.ids();
    for token in [stale.token, ClaimToken(SystemIds.random())] {
        for drop in [&ids[..0], &ids[..1], &ids[..]] {
            let ask = reseal(present.batch.flush_id, drop, Some(token));
            assert!(!kit.journal.reseal(&owner, &ask).await.unwrap());
            assert!(!kit.journal.renew(&owner, ask.new_flush_id, token, LEASE).await.unwrap());
            assert_eq!(kit.sealed(&owner).await, ids);
            assert_eq!(kit.level(&owner, BlobType::Chat).await, level);
            assert!(kit.renew(&owner, &present).await, "the present claim has lost nothing");
            assert_eq!(kit.claim(&owner, again.clone()).await.batch, present.batch);
        }
    }
}

pub async fn a_reseal_of_another_flush_does_nothing(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    for token in [None, Some(first.token)] {
        let ask = reseal(FlushId(SystemIds.ordered()), &first.ids(), token);
        assert!(!kit.journal.reseal(&owner, &ask).await.unwrap());
    }
    assert_eq!(kit.sealed(&owner).await, first.ids());
    assert!(kit.renew(&owner, &first).await);
}

pub async fn a_reseal_to_empty_discards(kit: Kit) {
    for with_token in [true, false] {
        let (owner, first) = claimed(&kit).await;
        let next = kit.chat(&owner, 2).await;
        let token = with_token.then_some(first.token);
        let ask = reseal(first.batch.flush_id, &first.ids(), token);
        assert!(kit.journal.reseal(&owner, &ask).await.unwrap());
        assert_eq!(kit.sealed(&owner).await, []);
        let second = kit.claim(&owner, take()).await;
        assert_eq!(second.ids(), [next], "no batch is open, so the next is sealed");
    }
}

pub async fn a_reseal_keeps_attempts(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    assert!(kit.release(&owner, &first, secs(0), Failure).await);
    let second = kit.claim(&owner, take()).await;
    assert!(kit.release(&owner, &second, secs(0), Outage).await);
    let ask = reseal(first.batch.flush_id, &first.ids()[..1], None);
    assert!(kit.journal.reseal(&owner, &ask).await.unwrap());
    let third = kit.claim(&owner, take()).await;
    assert_eq!((third.batch.attempts, third.batch.tries), (1, 2));
}

pub async fn a_reseal_happens_once(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    // A blob that is not in the batch is no obstacle, and one that waits is left alone.
    let waiting = kit.chat(&owner, 1).await;
    let ask = reseal(first.batch.flush_id, &[first.ids()[0], waiting], Some(first.token));
    assert!(kit.journal.reseal(&owner, &ask).await.unwrap());
    assert!(!kit.journal.reseal(&owner, &ask).await.unwrap());
    assert_eq!(kit.sealed(&owner).await, first.ids()[1..]);
    assert_eq!(kit.waiting(&owner).await, [waiting]);
}

pub async fn removing_a_waiting_blob_takes_its_tokens(kit: Kit) {
    let owner = kit.owner().await;
    let mut ids = Vec::new();
    for tokens in [1, 10, 100] {
        ids.push(kit.chat(&owner, tokens).await);
    }
    let before = kit.level(&owner, BlobType::Chat).await.unwrap();
    let Removed::Waiting(BlobType::Chat, level) = kit.journal.remove(&owner, ids[1]).await.unwrap() else {
        panic!("the blob waited");
    };
    assert_eq!((level.blobs, level.tokens, level.last_seq), (2, 101, before.last_seq));
    assert_eq!(kit.level(&owner, BlobType::Chat).await, Some(level));
    assert_eq!(kit.journal.blob(&owner, ids[1]).await.unwrap(), None);
    assert_eq!(kit.journal.remove(&owner, ids[1]).await.unwrap(), Removed::Unknown);
    assert_eq!(kit.claim(&owner, take()).await.ids(), [ids[0], ids[2]]);
}

pub async fn removing_a_sealed_blob_leaves_it(kit: Kit) {
    let (owner, first) = claimed(&kit).await;
    let sealed = Removed::Sealed(first.batch.flush_id);
    assert_eq!(kit.journal.remove(&owner, first.ids()[1]).await.unwrap(), sealed);
    assert_eq!(kit.sealed(&owner).await, first.ids());
    assert!(kit.renew(&owner, &first).await);
    kit.discard(&owner, first.batch.flush_id).await;
    assert_eq!(kit.journal.remove(&owner, first.ids()[1]).await.unwrap(), Removed::Unknown);
}

pub async fn removing_an_unknown_blob_does_nothing(kit: Kit) {
    let owner = kit.owner().await;
    kit.chat(&owner, 1).await;
    let before = kit.level(&owner, BlobType::Chat).await;
    let unknown = blob(BlobType::Chat, 1).id;
    assert_eq!(kit.journal.remove(&owner, unknown).await.unwrap(), Removed::Unknown);
    assert_eq!(kit.level(&owner, BlobType::Chat).await, before);
}

pub async fn blobs_that_left_may_come_again(kit: Kit) {
    let owner = kit.owner().await;
    let again = blob(BlobType::Chat, 1);
    let mut last = 0;
    for way in ["removed", "discarded", "dropped"] {
        let append = kit.put(&owner, &again).await;
        assert!(append.seq > last && append.level.blobs == 1, "not appended anew before it is {way}: {append:?}");
        last = append.seq;
        if way == "removed" {
            kit.journal.remove(&owner, again.id).await.unwrap();
            continue;
        }
        let flush_id = kit.claim(&owner, take()).await.batch.flush_id;
        if way == "discarded" {
            kit.discard(&owner, flush_id).await;
        } else {
            assert!(kit.journal.reseal(&owner, &reseal(flush_id, &[again.id], None)).await.unwrap());
        }
    }
    assert!(kit.put(&owner, &again).await.seq > last);
    assert_eq!(kit.waiting(&owner).await, [again.id]);
}
