//! Requests that are made beforehand, but for the user's id and a running number.

use memchr::memmem;

use super::target::Target;

/// Where the user's id goes.
const ID: &str = "{id}";
/// Where the running number goes: as many digits as there are signs.
pub(crate) const NUMBER: &str = "{number....}";
/// Digits of the running number.
const NUMBER_WIDTH: usize = NUMBER.len();

/// The text of a user's id.
pub(crate) type Id = [u8; 36];

/// A request with a place for the user's id, and perhaps one for a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    bytes: Vec<u8>,
    id_at: usize,
    number_at: Option<usize>,
}

impl Form {
    /// A request whose path holds `{id}`. See [`Target::request`].
    pub(crate) fn new(target: &Target, method: &str, path: &str, body: Option<&str>) -> Self {
        // The id is no longer than its place says, so that the length of a body that holds it is right as well.
        let long_id = "-".repeat(size_of::<Id>());
        let (path, body) = (path.replace(ID, &long_id), body.map(|body| body.replace(ID, &long_id)));
        let bytes = target.request(method, &path, body.as_deref()).into_bytes();
        let number_at = memmem::find(&bytes, NUMBER.as_bytes());
        let id_at = memmem::find(&bytes, long_id.as_bytes()).unwrap_or(bytes.len());
        Self { bytes, id_at, number_at }
    }

    /// Writes the request of a user in place of what is in `request`.
    pub(crate) fn write(&self, id: &Id, number: u64, request: &mut Vec<u8>) {
        request.clear();
        request.extend_from_slice(&self.bytes);
        if let Some(place) = request.get_mut(self.id_at..self.id_at + size_of::<Id>()) {
            place.copy_from_slice(id);
        }
        if let Some(at) = self.number_at {
            let mut left = number;
            for digit in request[at..at + NUMBER_WIDTH].iter_mut().rev() {
                // One digit always fits a byte.
                *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
                left /= 10;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_in() {
        let target = Target::new("http://127.0.0.1:1", None).unwrap();
        let form = Form::new(&target, "POST", "/users/{id}/x", Some(&format!("[{NUMBER}]")));
        let mut request = b"left over".to_vec();
        form.write(b"00000000-0000-4000-8000-00000000000a", 1_234, &mut request);
        let text = String::from_utf8(request.clone()).unwrap();
        assert!(text.starts_with("POST /api/v1/users/00000000-0000-4000-8000-00000000000a/x HTTP/1.1\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 14\r\n\r\n[000000001234]"), "{text}");
        let form = Form::new(&target, "POST", "/users", Some("{\"id\":\"{id}\"}"));
        form.write(b"00000000-0000-4000-8000-00000000000a", 1, &mut request);
        let text = String::from_utf8(request).unwrap();
        let wanted = "Content-Length: 45\r\n\r\n{\"id\":\"00000000-0000-4000-8000-00000000000a\"}";
        assert!(text.ends_with(wanted), "{text}");
    }

    #[test]
    fn a_form_without_places_is_a_request() {
        let target = Target::new("http://127.0.0.1:1", None).unwrap();
        let mut request = Vec::new();
        Form::new(&target, "GET", "/healthcheck", None).write(&[b'x'; 36], 1, &mut request);
        assert_eq!(request, target.request("GET", "/healthcheck", None).into_bytes());
    }
}
