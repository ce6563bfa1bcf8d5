//! Reads answers of HTTP/1.1 as far as a load generator needs to: where they end, and whether they are a success.

use std::ops::Range;

use memchr::memmem;

use super::fault::{Fault, example};

/// Headers of an answer at most.
const MAX_HEADERS: usize = 64;
/// How nearly every body of a success ends.
const GOOD_END: &[u8] = br#""errno":0,"errmsg":""}"#;
/// What stands before the error number. Texts cannot hold it: quotes in them are escaped.
const ERRNO: &[u8] = br#""errno":"#;

/// How the end of a body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// The head of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// HTTP status.
    pub(super) status: u16,
    /// Whether the connection can be used again.
    pub(super) keep_alive: bool,
    framing: Framing,
    body_at: usize,
}

impl Head {
    /// Reads the head at the beginning of what has come. None: there is more to come.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let body_at = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Fault::NotHttp),
        };
        let status = answer.code.ok_or(Fault::NotHttp)?;
        let mut head = Self { status, keep_alive: answer.version == Some(1), framing: Framing::UntilClosed, body_at };
        for header in answer.headers.iter() {
            head.take(header)?;
        }
        if status == 204 || status == 304 {
            head.framing = Framing::Length(0);
        }
        head.keep_alive &= head.framing != Framing::UntilClosed;
        Ok(Some(head))
    }

    fn take(&mut self, header: &httparse::Header<'_>) -> Result<(), Fault> {
        let has = |word: &str| header.value.eq_ignore_ascii_case(word.as_bytes());
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|value| value.trim().parse().ok());
            if self.framing != Framing::Chunked {
                self.framing = Framing::Length(length.ok_or(Fault::NotHttp)?);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            self.framing = if has("chunked") { Framing::Chunked } else { return Err(Fault::NotHttp) };
        } else if header.name.eq_ignore_ascii_case("connection") {
            self.keep_alive = if has("close") { false } else { self.keep_alive || has("keep-alive") };
        }
        Ok(())
    }

    /// The place of the body, once it has come whole; chunks are moved together for that. `closed`: nothing more comes.
    pub(super) fn body(&self, bytes: &mut [u8], closed: bool) -> Result<Option<Range<usize>>, Fault> {
        let whole = match self.framing {
            Framing::Length(length) => {
                let end = self.body_at.checked_add(length).ok_or(Fault::TooLarge)?;
                (end <= bytes.len()).then_some(self.body_at..end)
            }
            Framing::Chunked => chunks(bytes, self.body_at)?,
            Framing::UntilClosed => return Ok(closed.then_some(self.body_at..bytes.len())),
        };
        if whole.is_none() && closed { Err(Fault::Closed) } else { Ok(whole) }
    }
}

/// The place of a chunked body that begins at `start`, when its last chunk is there.
fn chunks(bytes: &mut [u8], start: usize) -> Result<Option<Range<usize>>, Fault> {
    let mut found = Vec::new();
    let mut at = start;
    loop {
        let (head, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete(chunk)) => chunk,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Fault::NotHttp),
        };
        let size = usize::try_from(size).map_err(|_| Fault::TooLarge)?;
        let from = at + head;
        let next = from.checked_add(size).and_then(|end| end.checked_add(2)).ok_or(Fault::TooLarge)?;
        if next > bytes.len() {
            return Ok(None);
        }
        if size == 0 {
            break;
        }
        found.push(from..from + size);
        at = next;
    }
    let mut end = start;
    for chunk in found {
        let length = chunk.len();
        bytes.copy_within(chunk, end);
        end += length;
    }
    Ok(Some(start..end))
}

/// Whether an answer is a success: by its status and its errno, without reading the rest.
pub(super) fn check(status: u16, body: &[u8]) -> Result<(), Fault> {
    if !(200..300).contains(&status) {
        return Err(Fault::Status(status, example(body)));
    }
    if body.ends_with(GOOD_END) {
        return Ok(());
    }
    let Some(at) = memmem::rfind(body, ERRNO) else { return Err(Fault::NoErrno(example(body))) };
    let digits = body[at + ERRNO.len()..].trim_ascii_start();
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let errno = std::str::from_utf8(&digits[..length]).ok().and_then(|digits| digits.parse::<u32>().ok());
    match errno {
        Some(0) => Ok(()),
        Some(errno) => Err(Fault::Errno(errno, example(body))),
        None => Err(Fault::NoErrno(example(body))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, closed: bool) -> Result<Option<(u16, bool, String)>, Fault> {
        let mut bytes = text.as_bytes().to_vec();
        let Some(head) = Head::read(&bytes)? else { return Ok(None) };
        let body = head.body(&mut bytes, closed)?;
        Ok(body.map(|range| (head.status, head.keep_alive, String::from_utf8(bytes[range].to_vec()).unwrap())))
    }

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(read(whole, false), Ok(Some((200, true, "hello".to_owned()))));
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut], false), Ok(None), "{cut}");
        }
        assert_eq!(read("HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nhel", true), Err(Fault::Closed));
        let closes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_eq!(read(closes, false), Ok(Some((200, false, String::new()))));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n", false), Ok(Some((204, true, String::new()))));
    }

    #[test]
    fn chunks_are_put_together() {
        let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";
        assert_eq!(read(whole, false), Ok(Some((200, true, "hello".to_owned()))));
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut], false), Ok(None), "{cut}");
        }
        assert_eq!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false), Err(Fault::NotHttp));
        let huge = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
        assert_eq!(read(huge, false), Err(Fault::TooLarge));
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let text = "HTTP/1.0 200 OK\r\n\r\nhello";
        assert_eq!(read(text, false), Ok(None));
        assert_eq!(read(text, true), Ok(Some((200, false, "hello".to_owned()))));
        assert_eq!(read("SSH-2.0-OpenSSH\r\n", false), Err(Fault::NotHttp));
    }

    #[test]
    fn success_is_a_status_and_an_errno() {
        let check = |status, body: &str| check(status, body.as_bytes()).map_err(|fault| fault.kind());
        assert_eq!(check(200, r#"{"data":{"id":"x"},"errno":0,"errmsg":""}"#), Ok(()));
        assert_eq!(check(200, r#"{"data": null, "errno": 0, "errmsg": ""}"#), Ok(()));
        assert_eq!(check(200, r#"{"errno":0,"errmsg":"","data":{"text":"\"errno\":5"}}"#), Ok(()));
        assert_eq!(check(200, r#"{"data":"\"errno\":0","errno":404,"errmsg":"no"}"#), Err("errno 404".to_owned()));
        assert_eq!(check(200, "<html></html>"), Err("an answer without errno".to_owned()));
        assert_eq!(check(200, r#"{"errno":"#), Err("an answer without errno".to_owned()));
        assert_eq!(check(503, r#"{"data":null,"errno":0,"errmsg":""}"#), Err("HTTP 503".to_owned()));
    }
}
