//! A go-between for sockets that can be cut.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Hands bytes on to another socket.
pub(crate) struct Proxy {
    folder: TempDir,
    target: PathBuf,
    lost: Arc<Mutex<Option<Lost>>>,
    tasks: JoinSet<()>,
}

/// The next answer that will be lost, and its connection with it.
#[derive(Clone)]
struct Lost {
    /// What the request holds.
    request: Vec<u8>,
    /// What the answer begins with.
    answer: &'static [u8],
}

impl Proxy {
    /// Listens in front of `target`.
    pub(crate) fn start(target: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut proxy = Self { folder, target, lost: Arc::default(), tasks: JoinSet::new() };
        proxy.listen();
        proxy
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("proxy.sock")
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        std::fs::remove_file(self.socket()).unwrap();
    }

    /// Accepts connections again.
    pub(crate) fn listen(&mut self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (target, lost) = (self.target.clone(), Arc::clone(&self.lost));
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&target).await.unwrap();
                connections.spawn(forward(client, server, Arc::clone(&lost)));
            }
        });
    }

    /// Hands on the next request that holds `request`, waits for an answer that begins with `answer`, and cuts the
    /// connection instead of handing it back.
    pub(crate) fn lose_answer(&self, request: &str, answer: &'static str) {
        let lost = Lost { request: request.as_bytes().to_vec(), answer: answer.as_bytes() };
        *self.lost.lock().unwrap() = Some(lost);
    }

    /// Whether the answer was lost.
    pub(crate) fn has_lost_it(&self) -> bool {
        self.lost.lock().unwrap().is_none()
    }
}

async fn forward(mut client: UnixStream, mut server: UnixStream, lost: Arc<Mutex<Option<Lost>>>) {
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut awaited: Option<Lost> = None;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &from_client[..length];
                let holds = |lost: &Lost| bytes.windows(lost.request.len()).any(|part| part == lost.request);
                if let Some(lost) = lost.lock().unwrap().clone().filter(holds) {
                    awaited = Some(lost);
                }
                server.write_all(bytes).await.unwrap();
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &from_server[..length];
                if awaited.as_ref().is_some_and(|lost| bytes.starts_with(lost.answer)) {
                    *lost.lock().unwrap() = None;
                    return;
                }
                if client.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}
