//! Which socket is a session's. The driver gives none away, but it opens it in our runtime: while a connect is being
//! polled on the runtime's one thread, whatever socket that runtime begins to follow is the one.

use std::future::{poll_fn, Future};
use std::os::fd::RawFd;
use std::pin::pin;
use std::sync::Arc;

use crate::socket;
use crate::trip;
use crate::watch::runtime::watched_by;

/// The descriptors by which a runtime follows its sockets.
#[derive(Debug, Clone, Default)]
pub struct Followed(Arc<[RawFd]>);

impl Followed {
    /// `epolls` are those of the runtime in which connects are going to be polled; with none no socket is ever found.
    pub fn by(epolls: Vec<RawFd>) -> Self {
        Followed(epolls.into())
    }

    /// Runs a connect, and tells the descriptor of the socket that it has opened.
    pub async fn opened<T>(&self, connect: impl Future<Output = T>) -> (T, Option<RawFd>) {
        let mut connect = pin!(connect);
        let mut found = Vec::new();
        let output = poll_fn(|context| {
            let before = self.sockets();
            let polled = connect.as_mut().poll(context);
            let after = self.sockets();
            found.extend(after.into_iter().filter(|descriptor| !before.contains(descriptor)));
            polled
        })
        .await;
        // Addresses of the host that refused have been closed again; one of their numbers may have come back.
        let open = self.sockets();
        found.retain(|descriptor| open.contains(descriptor) && socket::connection(*descriptor).is_some());
        (output, found.last().copied())
    }

    /// The sockets that are open in the runtime now.
    pub fn sockets(&self) -> Vec<RawFd> {
        if trip::off("descriptor") {
            return Vec::new();
        }
        self.0.iter().flat_map(|epoll| watched_by(*epoll)).collect()
    }
}
