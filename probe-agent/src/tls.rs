//! TLS without verifying anybody: the question is who can be reached, not who can be trusted.

use crate::tap::Tap;
use std::{io, net::IpAddr, sync::Arc};
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
    /// With rustls' default versions and ciphers.
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

    /// Makes a session over `stream`, naming `name` to the server where it is a name (RFC 6066, section 3).
    ///
    /// # Errors
    ///
    /// Those of the connection and of the handshake.
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
        let name = name.split(':').next().unwrap_or(name).to_owned();
        let server = ServerName::try_from(name).unwrap_or_else(|_| ServerName::from(address));
        connector.connect(server, stream).await
    }
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
