//! The body of an insert, from the bytes of a client to what is kept of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memory::blob::Blob;
use powermemo::http::fuzzing::read_insert;

fuzz_target!(|body: &[u8]| {
    let Some(blob) = read_insert(body) else { return };
    assert!(blob.texts().all(|text| !text.contains('\0')), "a store would refuse NUL");
    let written = blob.to_payload();
    let read = Blob::from_payload(&written).expect("what was written can be read");
    assert_eq!(read, blob, "{written}");
});
