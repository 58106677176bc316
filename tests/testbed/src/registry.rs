//! A read-only image registry that serves the archives of a folder. It replaces every registry that an image name may
//! contain.
//!
//! The folder contains files `X.tar`. An optional file `X.names` lists further names of the image, one per line. The
//! folder is read again on every request, so an image is available as soon as its file exists. Any other image is not
//! found.
//!
//! API: <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pull>. In the query `ns`, containerd
//! names the registry that it wants: <https://github.com/containerd/containerd/blob/v1.6.20/docs/hosts.md>.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use crate::Result;
use crate::archive::{Archive, Extent, Manifest};
use crate::http::{Answer, converse, json};

/// Serves on `address`. Returns only if it fails.
pub async fn serve(dir: &str, address: &str) -> Result<()> {
    let shelf = Arc::new(Shelf {
        dir: PathBuf::from(dir),
        shown: Mutex::default(),
    });
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(
            stream,
            Arc::clone(&shelf),
            |shelf, request| async move { shelf.answer(&request) },
        ));
    }
}

/// The folder, and the catalog that was last read from it.
struct Shelf {
    dir: PathBuf,
    shown: Mutex<(Stamp, Arc<Catalog>)>,
}

/// The files of the folder: path, modification time and size in bytes. If it changes, the catalog must be read again.
type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

impl Shelf {
    fn catalog(&self) -> Result<Arc<Catalog>> {
        let stamp = stamp(&self.dir)?;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.0 != stamp {
            *shown = (stamp.clone(), Arc::new(Catalog::read(&stamp)));
        }
        Ok(Arc::clone(&shown.1))
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let asked = request
            .uri()
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("ns=")));
        let found = self
            .catalog()
            .map(|catalog| catalog.find(request.uri().path(), asked));
        let (status, answer) = match found {
            Ok(Some(Found::Api)) => (StatusCode::OK, json(StatusCode::OK, "{}")),
            Ok(Some(Found::Manifest(digest, manifest))) => (
                StatusCode::OK,
                content(request, &digest, &manifest.media_type, manifest.document),
            ),
            Ok(Some(Found::Blob(digest, extent))) => match extent.read() {
                Ok(bytes) => (
                    StatusCode::OK,
                    content(request, &digest, "application/octet-stream", bytes),
                ),
                Err(error) => failed(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "UNKNOWN",
                    &error.to_string(),
                ),
            },
            Ok(None) => failed(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "not found"),
            Err(error) => failed(
                StatusCode::INTERNAL_SERVER_ERROR,
                "UNKNOWN",
                &error.to_string(),
            ),
        };
        eprintln!("{} {} {}", request.method(), request.uri(), status.as_u16());
        answer
    }
}

fn failed(status: StatusCode, code: &str, message: &str) -> (StatusCode, Answer) {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    (status, json(status, body.to_string()))
}

/// Answers with a document and its digest. `HEAD` gets the same headers and no body.
fn content(request: &Request<Incoming>, digest: &str, media_type: &str, bytes: Vec<u8>) -> Answer {
    let length = bytes.len();
    let body = if request.method() == Method::HEAD {
        Bytes::new()
    } else {
        Bytes::from(bytes)
    };
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    for (name, value) in [
        (CONTENT_TYPE.as_str(), media_type),
        ("docker-content-digest", digest),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(
                hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap_or(CONTENT_TYPE),
                value,
            );
        }
    }
    answer
}

fn stamp(dir: &Path) -> Result<Stamp> {
    let mut stamp = Stamp::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Skip files that disappear while the folder is read.
        if let (false, Ok(meta)) = (hidden, entry.metadata()) {
            stamp.push((path, meta.modified().ok(), meta.len()));
        }
    }
    stamp.sort();
    Ok(stamp)
}

enum Found {
    Api,
    Manifest(String, Manifest),
    Blob(String, Extent),
}

/// All images of the folder. Names of repositories include the registry: `docker.io/library/nginx`.
#[derive(Debug, Default)]
struct Catalog {
    blobs: HashMap<String, Extent>,
    manifests: HashMap<String, Manifest>,
    tags: HashMap<(String, String), String>,
    repositories: HashMap<String, HashSet<String>>,
}

impl Catalog {
    fn read(files: &Stamp) -> Self {
        let mut catalog = Self::default();
        for (path, ..) in files {
            if path.extension().is_none_or(|extension| extension != "tar") {
                continue;
            }
            match Archive::open(path) {
                Ok(archive) => {
                    let names =
                        fs::read_to_string(path.with_extension("names")).unwrap_or_default();
                    catalog.add(archive, names.split_whitespace());
                }
                Err(error) => eprintln!("{}: {error}", path.display()),
            }
        }
        catalog
    }

    fn add<'a>(&mut self, archive: Archive, names: impl Iterator<Item = &'a str>) {
        let mut named: Vec<(String, String)> = archive.names;
        if let Some(root) = archive.roots.first() {
            named.extend(names.map(|name| (name.to_owned(), root.clone())));
        }
        for (name, digest) in named {
            let (repository, tag) = full_name(&name);
            self.repositories
                .entry(repository.clone())
                .or_default()
                .extend(archive.manifests.keys().cloned());
            self.tags.insert((repository, tag), digest);
        }
        self.blobs.extend(archive.blobs);
        self.manifests.extend(archive.manifests);
    }

    /// Finds what a path of the registry API asks for. `registry` is the registry that the client wants.
    fn find(&self, path: &str, registry: Option<&str>) -> Option<Found> {
        let path = path.strip_prefix("/v2")?.trim_matches('/');
        if path.is_empty() {
            return Some(Found::Api);
        }
        let (rest, reference) = path.rsplit_once('/')?;
        let (name, kind) = rest.rsplit_once('/')?;
        match kind {
            "blobs" => Some(Found::Blob(
                reference.to_owned(),
                self.blobs.get(reference)?.clone(),
            )),
            "manifests" => {
                let repository = format!("{}/{name}", registry.unwrap_or("docker.io"));
                let known = self.repositories.get(&repository)?;
                let digest = if known.contains(reference) {
                    reference
                } else {
                    self.tags.get(&(repository, reference.to_owned()))?
                };
                Some(Found::Manifest(
                    digest.to_owned(),
                    self.manifests.get(digest)?.clone(),
                ))
            }
            _ => None,
        }
    }
}

/// Repository and tag of an image name. Fills in what a short name leaves out
/// (<https://github.com/distribution/reference/blob/v0.5.0/normalize.go>).
fn full_name(name: &str) -> (String, String) {
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (name, "latest"),
    };
    let repository = match path.split_once('/') {
        None => format!("docker.io/library/{path}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => path.to_owned(),
        Some(_) => format!("docker.io/{path}"),
    };
    (repository, tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::digest;

    #[test]
    fn short_image_names_get_the_usual_defaults() {
        let rows = [
            ("nginx", "docker.io/library/nginx", "latest"),
            ("nginx:1.22", "docker.io/library/nginx", "1.22"),
            ("team/app:2", "docker.io/team/app", "2"),
            ("localhost/app:2", "localhost/app", "2"),
            ("registry.test:5000/app", "registry.test:5000/app", "latest"),
            ("registry.test/a/b:x", "registry.test/a/b", "x"),
        ];
        for (name, repository, tag) in rows {
            assert_eq!(
                full_name(name),
                (repository.to_owned(), tag.to_owned()),
                "{name}"
            );
        }
    }

    #[test]
    fn a_manifest_is_found_only_in_its_own_repository() {
        let document = b"{}".to_vec();
        let id = digest(&document);
        let archive = Archive {
            manifests: HashMap::from([(
                id.clone(),
                Manifest {
                    media_type: "m".into(),
                    document,
                },
            )]),
            roots: vec![id.clone()],
            ..Archive::default()
        };
        let mut catalog = Catalog::default();
        catalog.add(archive, ["ghcr.test/team/app:1"].into_iter());
        let rows = [
            (
                "by tag",
                "/v2/team/app/manifests/1".to_owned(),
                Some("ghcr.test"),
                true,
            ),
            (
                "by digest",
                format!("/v2/team/app/manifests/{id}"),
                Some("ghcr.test"),
                true,
            ),
            (
                "other tag",
                "/v2/team/app/manifests/2".to_owned(),
                Some("ghcr.test"),
                false,
            ),
            (
                "other registry",
                "/v2/team/app/manifests/1".to_owned(),
                None,
                false,
            ),
            (
                "other repository",
                format!("/v2/team/web/manifests/{id}"),
                Some("ghcr.test"),
                false,
            ),
            ("the API itself", "/v2/".to_owned(), None, true),
            ("not the API", "/".to_owned(), None, false),
        ];
        for (row, path, registry, found) in rows {
            assert_eq!(catalog.find(&path, registry).is_some(), found, "{row}");
        }
    }
}
