//! A token file that may be replaced while the plugin runs: a ServiceAccount's token expires after an hour.

use crate::cluster::kubeconfig::KubeconfigError;
use http::{HeaderValue, header::InvalidHeaderValue};
use kube::config::AuthInfo;
use std::{cell::RefCell, fs};

/// A token file, and the token that was last read from it.
#[derive(Debug)]
pub struct TokenFile {
    file: String,
    token: RefCell<String>,
}

impl TokenFile {
    /// Takes over the token file of a user, unless the user has credentials that take precedence (kube-client 5.0.0
    /// `src/client/auth/mod.rs`). kube itself would send the content unchanged. Most token files end with a newline,
    /// which is not allowed in a header.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn of(user: &mut AuthInfo) -> Result<Option<Self>, KubeconfigError> {
        let basic = user.username.is_some() && user.password.is_some();
        if user.auth_provider.is_some() || basic || user.token.is_some() {
            return Ok(None);
        }
        let Some(file) = user.token_file.take() else {
            return Ok(None);
        };
        user.exec = None;
        match fs::read_to_string(&file) {
            Ok(token) => Ok(Some(Self {
                file,
                token: RefCell::new(token),
            })),
            Err(source) => Err(KubeconfigError::TokenFile { file, source }),
        }
    }

    /// The header of a request. If the file is gone, the last token is used, because some programs delete the file
    /// after it was read (kubernetes/kubernetes#68164).
    ///
    /// # Errors
    ///
    /// When the token has characters that are not allowed in a header.
    pub fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        if let Ok(token) = fs::read_to_string(&self.file) {
            self.token.replace(token);
        }
        let mut header = HeaderValue::try_from(format!("Bearer {}", self.token.borrow().trim()))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::TokenFile;
    use kube::config::AuthInfo;
    use std::fs;

    #[test]
    fn the_token_file_is_read_for_each_request() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "first\n").unwrap();
        let mut user = AuthInfo {
            token_file: Some(file.display().to_string()),
            ..AuthInfo::default()
        };
        let token = TokenFile::of(&mut user).unwrap().unwrap();
        assert_eq!(user.token_file, None, "kube would send it, too");
        assert_eq!(token.header().unwrap(), "Bearer first");
        fs::write(&file, "second\n").unwrap();
        assert_eq!(token.header().unwrap(), "Bearer second");
        fs::remove_file(&file).unwrap();
        assert_eq!(token.header().unwrap(), "Bearer second");
    }

    #[test]
    fn other_credentials_take_precedence() {
        let mut user = AuthInfo {
            token: Some("inline".to_owned().into()),
            token_file: Some("absent".into()),
            ..AuthInfo::default()
        };
        assert!(TokenFile::of(&mut user).unwrap().is_none());
    }
}
