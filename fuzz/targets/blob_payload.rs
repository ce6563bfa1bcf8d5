//! What journal and store keep of a blob.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memory::blob::{Blob, BlobType};

fuzz_target!(|payload: &str| {
    let Ok(blob) = Blob::from_payload(payload) else { return };
    let written = blob.to_payload();
    let read = Blob::from_payload(&written).expect("what was written can be read");
    assert_eq!(read, blob, "{written}");
    assert_eq!(read.to_payload(), written);
    assert_ne!(blob.blob_type(), BlobType::Image);
    let texts: usize = blob.texts().map(str::len).sum();
    assert!(texts <= written.len(), "all texts are kept");
});
