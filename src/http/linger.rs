//! What happens to the rest of a body when the answer goes out before the body has come.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage as _};
use futures_util::{Stream, StreamExt as _};

/// The middleware: ends the connection of a chunked body that was not read to its end.
///
/// The framework goes on reading such a body, and without any deadline, once nobody holds it any more: an answered
/// client could keep its connection for ever. While somebody holds it, the framework instead says `Connection:
/// close`, reads on for [`super::DISCONNECT_TIMEOUT`] so that a client that is still sending gets to its answer, and
/// closes. So the answer holds the rest of the body. Bodies of a declared length are treated like that anyway.
pub(super) async fn close_unread<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !request.headers().contains_key(header::TRANSFER_ENCODING) {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let ended = Rc::new(Cell::new(false));
    let payload = Rc::new(RefCell::new(request.take_payload()));
    let shared = Shared { payload: payload.clone(), ended: ended.clone() };
    request.set_payload(Payload::Stream { payload: shared.boxed_local() });
    let response = match next.call(request).await {
        Ok(response) => response.map_into_boxed_body(),
        // A panic, or a failure before any route: its request is gone, and with it the way to hold the body.
        Err(error) => return Err(error),
    };
    if ended.get() {
        return Ok(response);
    }
    Ok(response.map_body(|head, body| {
        head.set_connection_type(actix_web::http::ConnectionType::Close);
        BoxBody::new(Holding { body, _rest: payload })
    }))
}

/// A payload that another holds, too.
struct Shared {
    payload: Rc<RefCell<Payload>>,
    ended: Rc<Cell<bool>>,
}

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.payload.borrow_mut().poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None)) {
            self.ended.set(true);
        }
        polled
    }
}

/// An answer that holds the rest of the body it did not wait for.
struct Holding {
    body: BoxBody,
    _rest: Rc<RefCell<Payload>>,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
