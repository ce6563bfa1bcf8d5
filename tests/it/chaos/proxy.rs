//! A network between one server and one service, which can be cut.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Where a service listens.
#[derive(Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What becomes of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weather {
    /// They arrive.
    Open,
    /// Connections are closed, and new ones as soon as they are made.
    Refuse,
    /// Nothing arrives, and nobody is told. What was under way is lost for good.
    Hold,
}

/// The go-between. Each change of weather ends all connections that there are, at once or, under [`Weather::Hold`],
/// when that is over.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
}

impl Link {
    /// Listens on a free port in front of `target`.
    pub(crate) fn start(runtime: &Handle, target: Target) -> Self {
        let (weather, seen) = watch::channel(Weather::Open);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let _ = client.set_nodelay(true);
                tokio::spawn(serve(client, target.clone(), seen.clone()));
            }
        });
        Self { address, weather }
    }

    /// Ends all connections; those that come later live under `weather`.
    pub(crate) fn cut(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    pub(crate) fn weather(&self) -> Weather {
        *self.weather.borrow()
    }
}

async fn serve(client: TcpStream, target: Target, mut weather: watch::Receiver<Weather>) {
    let now = *weather.borrow_and_update();
    match now {
        Weather::Open => {}
        Weather::Refuse => return,
        Weather::Hold => {
            let _ = weather.changed().await;
            return;
        }
    }
    match target {
        Target::Tcp(address) => {
            let Ok(server) = TcpStream::connect(address).await else { return };
            let _ = server.set_nodelay(true);
            carry(client, server, weather).await;
        }
        Target::Unix(path) => {
            let Ok(server) = UnixStream::connect(path).await else { return };
            carry(client, server, weather).await;
        }
    }
}

/// Carries bytes until either end closes or the weather changes.
async fn carry(
    mut client: TcpStream,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = weather.changed() => {
            if *weather.borrow_and_update() == Weather::Hold {
                let _ = weather.changed().await;
            }
        }
    }
}
