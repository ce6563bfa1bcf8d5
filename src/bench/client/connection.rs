//! One connection: HTTP/1.1 on a socket, one request at a time.
//!
//! The load generator shares the machine with what it measures, so it does as little as it can: a request is bytes
//! made beforehand and one write; an answer is one read, whose head is parsed and whose body is looked at from the end.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::answer::{Head, check};
use super::fault::Fault;
use crate::bench::target::Target;

/// Bytes that are read at once. Answers that are shorter cost one read.
const READ_BYTES: usize = 64 << 10;
/// Bytes of an answer at most.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// A connection that was idle so long may have been closed by the server, and is looked at before it is used.
const STALE_AFTER: Duration = Duration::from_secs(1);
/// A connection must stand within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the server. It is opened when it is needed, and again after it broke.
pub(crate) struct Connection {
    target: Arc<Target>,
    stream: Option<TcpStream>,
    input: Vec<u8>,
    timeout: Duration,
    /// One timer for many requests: it is set anew when it fires, not for each request.
    watchdog: Pin<Box<Sleep>>,
    used_at: Instant,
}

impl Connection {
    /// A connection that waits at most so long for an answer.
    pub(crate) fn new(target: Arc<Target>, timeout: Duration) -> Self {
        let now = Instant::now();
        let watchdog = Box::pin(sleep_until(now + timeout));
        Self { target, stream: None, input: vec![0; READ_BYTES], timeout, watchdog, used_at: now }
    }

    /// Makes sure that there is a connection.
    pub(crate) async fn open(&mut self) -> Result<(), Fault> {
        if self.stream.is_some() && self.used_at.elapsed() > STALE_AFTER && self.is_stale() {
            self.stream = None;
        }
        if self.stream.is_none() {
            let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(self.target.address)).await;
            let stream = connected.map_err(|_| Fault::Connect(io::ErrorKind::TimedOut))?;
            let stream = stream.map_err(|error| Fault::Connect(error.kind()))?;
            stream.set_nodelay(true).map_err(|error| Fault::Connect(error.kind()))?;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// True when the server has closed the connection, or sent what nobody asked for.
    fn is_stale(&self) -> bool {
        let read = self.stream.as_ref().map(|stream| stream.try_read(&mut [0; 1]));
        !matches!(read, Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request at `now` and waits for its answer; the body.
    ///
    /// # Errors
    /// When the answer is no success, or there is none. The connection can be used again in any case.
    pub(crate) async fn call(&mut self, request: &[u8], now: Instant) -> Result<&[u8], Fault> {
        if self.stream.is_none() || now.duration_since(self.used_at) > STALE_AFTER {
            self.open().await?;
        }
        self.used_at = now;
        match self.exchange(request, now + self.timeout).await {
            Ok((head, body)) => {
                if !head.keep_alive {
                    self.stream = None;
                }
                let body = &self.input[body];
                check(head.status, body).map(|()| body)
            }
            Err(fault) => {
                self.stream = None;
                Err(fault)
            }
        }
    }

    async fn exchange(&mut self, request: &[u8], deadline: Instant) -> Result<(Head, Range<usize>), Fault> {
        let Self { stream, input, watchdog, .. } = self;
        let stream = stream.as_mut().ok_or(Fault::Closed)?;
        let mut exchange = Exchange { stream, request, input, filled: 0, head: None };
        poll_fn(|context| {
            if let Poll::Ready(done) = exchange.poll(context) {
                return Poll::Ready(done);
            }
            while watchdog.as_mut().poll(context).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(Err(Fault::Timeout));
                }
                watchdog.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

/// A request under way.
struct Exchange<'a> {
    stream: &'a mut TcpStream,
    /// What is left to send.
    request: &'a [u8],
    input: &'a mut Vec<u8>,
    filled: usize,
    head: Option<Head>,
}

impl Exchange<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(Head, Range<usize>), Fault>> {
        while !self.request.is_empty() {
            match ready!(Pin::new(&mut *self.stream).poll_write(context, self.request)) {
                Ok(0) => return Poll::Ready(Err(Fault::Closed)),
                Ok(sent) => self.request = &self.request[sent..],
                Err(error) => return Poll::Ready(Err(Fault::Broken(error.kind()))),
            }
        }
        loop {
            let mut room = ReadBuf::new(&mut self.input[self.filled..]);
            let read = ready!(Pin::new(&mut *self.stream).poll_read(context, &mut room));
            let length = room.filled().len();
            if let Err(error) = read {
                return Poll::Ready(Err(Fault::Broken(error.kind())));
            }
            self.filled += length;
            if let Some(done) = self.look(length == 0).transpose() {
                return Poll::Ready(done);
            }
        }
    }

    /// What has come: the whole answer, or None while there is more to come.
    fn look(&mut self, closed: bool) -> Result<Option<(Head, Range<usize>)>, Fault> {
        let bytes = &mut self.input[..self.filled];
        if self.head.is_none() {
            self.head = Head::read(bytes)?;
        }
        let body = match &self.head {
            Some(head) => head.body(bytes, closed)?,
            None if closed => return Err(Fault::Closed),
            None => None,
        };
        if let Some(body) = body {
            return Ok(self.head.take().map(|head| (head, body)));
        }
        if self.filled == self.input.len() {
            if self.filled >= MAX_ANSWER_BYTES {
                return Err(Fault::TooLarge);
            }
            self.input.resize(self.filled * 2, 0);
        }
        Ok(None)
    }
}
