//! For fuzzers: a door to what only this module can see. Never in a release.

use actix_web::test::TestRequest;
use jiff::Timestamp;
use memory::blob::Blob;
use serde_json::Value;

use super::body::Body;
use super::input::Input;
use super::insert::{self, Insert};

/// Reads the body of an insert as the route does; none when it is refused.
///
/// # Panics
/// When the fast way to read it and the one that explains make different things of it.
pub fn read_insert(body: &[u8]) -> Option<Blob> {
    let body = Body::of_json(body.to_vec()).ok()?;
    let request = TestRequest::default().to_http_request();
    let slow = insert::read(Input::new(&request), &body).ok();
    let fast = insert::read_typed(&body);
    // The fast way passes over values that it has no use for, however deep or large: as a document they are no JSON.
    let is_document = body.json().is_some_and(|text| serde_json::from_str::<Value>(text).is_ok());
    assert!(fast.is_none() || !is_document || fast == slow, "{fast:?} is not {slow:?}");
    let Insert { data, fields, created_at, .. } = fast.or(slow)?;
    Some(Blob { data, fields, created_at: created_at.unwrap_or(Timestamp::UNIX_EPOCH) })
}
