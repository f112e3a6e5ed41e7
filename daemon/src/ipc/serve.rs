//! One connection: lines in, lines out. Requests run side by side and answer when they are done; a client that
//! does not read stops only itself (I-007).

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use interprocess::local_socket::tokio::Stream;
use ipc_proto::{BadRequest, ErrorCode, Failure, Id, Lines, Request, TooLong};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::caller::Caller;
use super::reply::{Line, Outbox};
use super::{Context, dispatch, hangup};

/// Time for a client to finish a line it has begun (I-007).
const LINE_DEADLINE: Duration = Duration::from_secs(10);

/// Time for a client to take a line it is sent.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Requests of one connection that may wait at once; one more is told `busy`.
const MAX_WAITING: usize = 32;

/// Serves one client until it leaves, misbehaves, or the daemon leaves.
pub(super) async fn serve(stream: &Stream, caller: &Caller, context: &Context) {
    let (out, lines) = Outbox::new();
    let connection = Connection {
        stream,
        caller,
        context,
        lines: Lines::default(),
        line_due: None,
        waiting: FuturesUnordered::new(),
        out,
    };
    let mut writing = pin!(write(stream, lines));
    tokio::select! {
        biased;
        () = connection.run() => writing.await,
        () = &mut writing => {}
    }
}

/// Writes lines until there are no more, or the client does not take them.
async fn write(mut stream: &Stream, mut lines: mpsc::Receiver<Line>) {
    while let Some(line) = lines.recv().await {
        let Ok(Ok(())) = timeout(WRITE_DEADLINE, stream.write_all(&line)).await else {
            return;
        };
    }
}

struct Connection<'a> {
    stream: &'a Stream,
    caller: &'a Caller,
    context: &'a Context,
    lines: Lines,
    /// When the line that has begun must be whole.
    line_due: Option<Instant>,
    waiting: FuturesUnordered<BoxFuture<'a, ()>>,
    out: Outbox,
}

/// Why no more lines are read.
#[derive(Debug, Error)]
enum End {
    #[error("the client has said all it will say")]
    Silent,
    #[error("{0}")]
    TooLong(#[from] TooLong),
    #[error("a line was not finished in {} s", LINE_DEADLINE.as_secs())]
    TooSlow,
    #[error("cibad is shutting down")]
    Shutdown,
}

impl Connection<'_> {
    async fn run(mut self) {
        let stream = self.stream;
        match self.read().await {
            // Some clients close only their sending side: `echo … | socat - …`.
            End::Silent => tokio::select! {
                () = self.finish() => {}
                () = hangup::hangup(stream) => {}
            },
            // Each request under way answers that by itself.
            End::Shutdown => self.finish().await,
            end @ (End::TooLong(_) | End::TooSlow) => {
                let failure = Failure::new(ErrorCode::BadRequest, end.to_string());
                self.out.reply(Id::Unknown).no(&failure).await;
            }
        }
    }

    /// Reads and begins requests until there is a reason to stop.
    async fn read(&mut self) -> End {
        loop {
            let read = tokio::select! {
                biased;
                () = self.context.shutdown.begun() => return End::Shutdown,
                Some(()) = self.waiting.next() => continue,
                read = receive(self.stream, &mut self.lines, self.line_due) => read,
            };
            if let Err(end) = read {
                return end;
            }
            self.take_lines().await;
        }
    }

    async fn take_lines(&mut self) {
        let mut is_new = self.line_due.is_none();
        while let Some(line) = self.lines.next_line() {
            let request = Request::decode(line);
            is_new = true;
            // A client that sends much and reads nothing waits here.
            self.out.has_room().await;
            self.begin(request).await;
        }
        if !self.lines.is_unfinished() {
            self.line_due = None;
        } else if is_new {
            self.line_due = Some(Instant::now() + LINE_DEADLINE);
        }
    }

    /// Most requests are answered from memory, at once; only one that must wait is kept.
    async fn begin(&mut self, request: Result<Request, BadRequest>) {
        let request = match request {
            Ok(request) => request,
            Err(BadRequest { id, problem }) => {
                let failure = Failure::new(problem.code(), problem.to_string());
                return self.out.reply(id).no(&failure).await;
            }
        };
        let reply = self.out.reply(request.id);
        if self.waiting.len() >= MAX_WAITING {
            let failure = Failure::new(ErrorCode::Busy, "too many requests at once");
            return reply.no(&failure).await;
        }
        let mut answer = dispatch::answer(request.op, self.caller, self.context, reply).boxed();
        if (&mut answer).now_or_never().is_none() {
            self.waiting.push(answer);
        }
    }

    async fn finish(&mut self) {
        while self.waiting.next().await.is_some() {}
    }
}

/// Reads what there is.
async fn receive(mut stream: &Stream, lines: &mut Lines, due: Option<Instant>) -> Result<(), End> {
    let read = stream.read(lines.space()?);
    let read: io::Result<usize> = match due {
        Some(due) => timeout_at(due, read).await.map_err(|_| End::TooSlow)?,
        None => read.await,
    };
    match read {
        Ok(0) | Err(_) => Err(End::Silent),
        Ok(count) => {
            lines.filled(count);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use interprocess::os::unix::uds_local_socket::tokio as uds;
    use tokio::net::UnixStream;
    use tokio::time::sleep;

    use super::*;

    const HELLO: &[u8] = b"{\"id\":1,\"op\":\"hello\",\"protocol\":1}\n";

    /// Serves `client` and returns how long that took, by the test's own clock.
    async fn served<T>(client: impl AsyncFnOnce(UnixStream) -> T) -> (T, Duration) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (stream, context) = (Stream::from(uds::Stream::from(ours)), Context::empty());
        let begin = Instant::now();
        let serving = async {
            let uid = rustix::process::geteuid().as_raw();
            let caller = Caller::of_user(&stream, uid).unwrap();
            serve(&stream, &caller, &context).await;
            (&stream).shutdown().await.unwrap();
            let Stream::UdSocket(socket) = &stream;
            rustix::net::shutdown(socket, rustix::net::Shutdown::Both).unwrap();
            begin.elapsed()
        };
        let (took, said) = tokio::join!(serving, client(theirs));
        (said, took)
    }

    async fn read_all(client: &mut UnixStream) -> String {
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn i_007_a_line_not_finished_in_ten_seconds_closes() {
        let (said, took) = served(async |mut client| {
            // A byte now and then does not buy time.
            for byte in [b"{", b"\"", b"i"] {
                client.write_all(byte).await.unwrap();
                sleep(Duration::from_secs(3)).await;
            }
            read_all(&mut client).await
        })
        .await;
        assert!(said.contains("a line was not finished in 10 s"), "{said}");
        assert_eq!(took.as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn i_007_each_line_has_its_own_ten_seconds() {
        let (said, took) = served(async |mut client| {
            let (begin, end) = HELLO.split_at(10);
            client.write_all(begin).await.unwrap();
            for _ in 0..3 {
                sleep(Duration::from_secs(9)).await;
                client.write_all(&[end, begin].concat()).await.unwrap();
            }
            client.write_all(end).await.unwrap();
            client.shutdown().await.unwrap();
            read_all(&mut client).await
        })
        .await;
        assert_eq!(said.matches("\"ok\"").count(), 4, "{said}");
        assert_eq!(took.as_secs(), 3 * 9);
    }

    #[tokio::test(start_paused = true)]
    async fn i_007_an_idle_connection_may_stay() {
        let (said, _) = served(async |mut client| {
            client.write_all(HELLO).await.unwrap();
            sleep(Duration::from_secs(24 * 60 * 60)).await;
            client.write_all(HELLO).await.unwrap();
            client.shutdown().await.unwrap();
            read_all(&mut client).await
        })
        .await;
        assert_eq!(said.matches("\"ok\"").count(), 2, "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn i_007_a_client_that_takes_nothing_is_let_go() {
        let (sent, took) = served(async |mut client| {
            let mut sent = 0;
            while client.write_all(HELLO).await.is_ok() {
                sent += HELLO.len();
            }
            sent
        })
        .await;
        assert_eq!(took.as_secs(), WRITE_DEADLINE.as_secs());
        assert!(sent < 4 << 20, "{sent} bytes were taken");
    }
}
