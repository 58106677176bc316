//! TLS without verifying certificates, since only reachability matters.

use crate::tap::Tap;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

/// Makes TLS sessions.
pub struct Connector(Result<TlsConnector, Error>);

impl Connector {
    /// Uses the default versions and ciphers of rustls.
    pub fn new() -> Self {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions();
        Self(config.map(|config| {
            let config = config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(TrustAnyone(provider)))
                .with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        }))
    }

    /// Makes a session over `stream`. If `name` is a name and not an address, the server gets it (RFC 6066, section 3).
    ///
    /// # Errors
    ///
    /// Fails with errors of the connection and of the handshake.
    pub async fn connect(
        &self,
        name: &str,
        address: IpAddr,
        stream: Tap<TcpStream>,
    ) -> io::Result<TlsStream<Tap<TcpStream>>> {
        let connector = self
            .0
            .as_ref()
            .map_err(|error| io::Error::other(error.clone()))?;
        connector.connect(server_name(name, address), stream).await
    }
}

/// The server name for a `Host` header, which is a name or an address, with or without a port. If it is neither, the
/// result is `address`. rustls does not send addresses to the server.
fn server_name(host: &str, address: IpAddr) -> ServerName<'static> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return ServerName::from(ip);
    }
    if let Ok(socket) = host.parse::<SocketAddr>() {
        return ServerName::from(socket.ip());
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    ServerName::try_from(name.to_owned()).unwrap_or_else(|_| ServerName::from(address))
}

/// Accepts every certificate and every signature.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::server_name;

    #[test]
    fn server_names() {
        for (host, named) in [
            ("shop.example", "shop.example"),
            ("shop.example:8443", "shop.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:8443", "192.0.2.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:8443", "::1"),
            ("fd00::a:b", "fd00::a:b"),
            // These are neither names nor addresses, so the remote address is used.
            ("fe80::1%eth0", "198.18.0.1"),
            ("a b", "198.18.0.1"),
            ("", "198.18.0.1"),
        ] {
            let name = server_name(host, "198.18.0.1".parse().unwrap());
            assert_eq!(name.to_str(), named, "{host}");
        }
    }
}
