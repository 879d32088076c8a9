//! A time stamp server (RFC 3161) on the loopback, with OpenSSL as the authority.

use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::made::{image, made, run, signer, text};

/// How long osslsigncode may take to ask.
const LIMIT: Duration = Duration::from_secs(20);

/// What OpenSSL needs to know of the authority.
const CONFIGURATION: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = vrnic time stamps for tests
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = authority
[authority]
default_policy = 1.2.3.4
other_policies = 1.2.3.4
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
";

/// The authority's files.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: PathBuf) -> Self {
        fs::create_dir(&folder).expect("created");
        fs::write(
            folder.join("tsa.cnf"),
            CONFIGURATION.to_owned() + &format!("serial = {}\n", text(&folder.join("serial"))),
        )
        .expect("written");
        let authority = Self { folder };
        let (configuration, key, certificate) = (
            authority.file("tsa.cnf"),
            authority.file("key.pem"),
            authority.certificate(),
        );
        let made = run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-sha256",
                "-nodes",
                "-days",
                "2",
                "-config",
                text(&configuration),
                "-keyout",
                text(&key),
                "-out",
                text(&certificate),
            ],
        );
        assert!(made.status.success(), "{made:?}");
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn certificate(&self) -> PathBuf {
        self.file("certificate.pem")
    }

    /// The answer to a query.
    fn reply(&self, query: &[u8]) -> Vec<u8> {
        let files = ["query", "reply", "tsa.cnf", "key.pem"].map(|name| self.file(name));
        let [query_file, reply_file, configuration, key] = &files;
        fs::write(query_file, query).expect("written");
        let replied = run(
            "openssl",
            &[
                "ts",
                "-reply",
                "-config",
                text(configuration),
                "-queryfile",
                text(query_file),
                "-signer",
                text(&self.certificate()),
                "-inkey",
                text(key),
                "-out",
                text(reply_file),
            ],
        );
        assert!(replied.status.success(), "{replied:?}");
        fs::read(reply_file).expect("it is there")
    }

    /// Answers one request.
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(LIMIT))?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut query = vec![0; length];
        reader.read_exact(&mut query)?;
        let reply = self.reply(&query);
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            reply.len()
        )?;
        stream.write_all(&reply)
    }
}

/// The first connection, if it comes soon.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < LIMIT => {
                thread::sleep(Duration::from_millis(20));
            }
            accepted => {
                let (stream, _) = accepted?;
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
        }
    }
}

/// Whether osslsigncode finds a good time stamp of the authority on `file`.
fn is_stamped(file: &Path, authority: &Path) -> bool {
    let trusted = made().test.certificate();
    let output = run(
        "osslsigncode",
        &[
            "verify",
            "-CAfile",
            text(&trusted),
            "-TSA-CAfile",
            text(authority),
            "-in",
            text(file),
        ],
    );
    let said = String::from_utf8_lossy(&output.stdout);
    output.status.success() && said.contains("Timestamp Server Signature verification: ok")
}

#[test]
fn signatures_have_the_time_that_a_server_confirms() {
    let made = made();
    let authority = Authority::new(made.folder.path().join("authority"));
    let certificate = authority.certificate();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let stream = accept(&listener)?;
        authority.answer(&stream)
    });
    let (mut with_time, _) = signer(made.test.certificate().parent().expect("a folder"));
    with_time.timestamp = Some(url);
    let output = made.folder.path().join("stamped.sys");
    let signed = with_time.sign(&image(), &output);
    let answered = server.join().expect("the server ends");
    answered.expect("it was asked");
    signed.expect("signed");
    assert!(is_stamped(&output, &certificate));
    assert!(
        !is_stamped(&made.package.file("vrnic.sys"), &certificate),
        "this has no time stamp"
    );
    // Nobody listens any more: no signature without the time that was asked for.
    with_time.sign(&image(), &output).expect_err("no server");
}
