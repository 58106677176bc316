//! Reads image archives: tar files that `docker save` writes, or that contain an OCI image layout.
//!
//! Layout: <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>. The `manifest.json` of a docker
//! archive:
//! <https://github.com/moby/moby/blob/v24.0.0/image/spec/v1.2.md#combined-image-json--filesystem-changeset-format>.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Result;

/// A range of bytes in an archive.
#[derive(Clone, Debug)]
pub struct Extent {
    archive: PathBuf,
    offset: u64,
    size: u64,
}

impl Extent {
    /// Reads the bytes.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut file = File::open(&self.archive)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(self.size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A manifest, or an index of manifests.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The `Content-Type` of the answer. Clients require the type that the document states.
    pub media_type: String,
    /// The document. Its hash is the digest.
    pub document: Vec<u8>,
}

/// The content of one archive.
#[derive(Debug, Default)]
pub struct Archive {
    /// Blobs by digest.
    pub blobs: HashMap<String, Extent>,
    /// Manifests by digest.
    pub manifests: HashMap<String, Manifest>,
    /// Image names as written in the archive, each with the digest of its manifest.
    pub names: Vec<(String, String)>,
    /// Digests of the manifests at the top of the archive. A name that is given from outside means the first one.
    pub roots: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(rename = "mediaType")]
    media_type: String,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
    repo_tags: Option<Vec<String>>,
}

impl Archive {
    /// Reads an archive's table of contents and its manifests. Layers stay on disk.
    pub fn open(path: &Path) -> Result<Self> {
        let members = members(path)?;
        if let Some(index) = members.get("index.json") {
            Self::from_layout(&members, index)
        } else if let Some(saved) = members.get("manifest.json") {
            Self::from_saved(&members, saved)
        } else {
            Err("neither an OCI image layout nor a docker archive".into())
        }
    }

    fn from_layout(members: &HashMap<String, Extent>, index: &Extent) -> Result<Self> {
        let mut archive = Self::default();
        for (name, extent) in members {
            if let Some(hex) = name.strip_prefix("blobs/sha256/") {
                archive
                    .blobs
                    .insert(format!("sha256:{hex}"), extent.clone());
            }
        }
        let index: Index = serde_json::from_slice(&index.read()?)?;
        for descriptor in &index.manifests {
            archive.roots.push(descriptor.digest.clone());
            for key in [
                "io.containerd.image.name",
                "org.opencontainers.image.ref.name",
            ] {
                // The second annotation may be a bare tag, which is not an image name.
                if let Some(name) = descriptor
                    .annotations
                    .get(key)
                    .filter(|name| name.contains(':'))
                {
                    archive
                        .names
                        .push((name.clone(), descriptor.digest.clone()));
                }
            }
        }
        let mut open = index.manifests;
        while let Some(Descriptor {
            digest, media_type, ..
        }) = open.pop()
        {
            let extent = archive
                .blobs
                .get(&digest)
                .ok_or_else(|| format!("manifest {digest} is not in the archive"))?;
            let document = extent.read()?;
            if media_type.contains("index") || media_type.contains("manifest.list") {
                // An index may list platforms that the archive leaves out.
                let inner: Index = serde_json::from_slice(&document)?;
                open.extend(
                    inner
                        .manifests
                        .into_iter()
                        .filter(|inner| archive.blobs.contains_key(&inner.digest)),
                );
            }
            archive.manifests.insert(
                digest,
                Manifest {
                    media_type,
                    document,
                },
            );
        }
        Ok(archive)
    }

    fn from_saved(members: &HashMap<String, Extent>, saved: &Extent) -> Result<Self> {
        const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
        let mut archive = Self::default();
        for image in serde_json::from_slice::<Vec<Saved>>(&saved.read()?)? {
            let config = archive.add_blob(
                members,
                &image.config,
                "application/vnd.docker.container.image.v1+json",
            )?;
            let mut layers = Vec::new();
            for layer in &image.layers {
                layers.push(archive.add_blob(
                    members,
                    layer,
                    "application/vnd.docker.image.rootfs.diff.tar",
                )?);
            }
            let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
            let document = serde_json::to_vec(&manifest)?;
            let digest = digest(&document);
            archive.roots.push(digest.clone());
            archive.names.extend(
                image
                    .repo_tags
                    .into_iter()
                    .flatten()
                    .map(|name| (name, digest.clone())),
            );
            archive.manifests.insert(
                digest,
                Manifest {
                    media_type: MANIFEST.to_owned(),
                    document,
                },
            );
        }
        Ok(archive)
    }

    fn add_blob(
        &mut self,
        members: &HashMap<String, Extent>,
        name: &str,
        media_type: &str,
    ) -> Result<Value> {
        let extent = members
            .get(name)
            .ok_or_else(|| format!("{name} is not in the archive"))?;
        let bytes = extent.read()?;
        let digest = digest(&bytes);
        self.blobs.insert(digest.clone(), extent.clone());
        let gzip = if bytes.starts_with(&[0x1f, 0x8b]) {
            ".gzip"
        } else {
            ""
        };
        Ok(
            json!({"mediaType": format!("{media_type}{gzip}"), "size": extent.size, "digest": digest}),
        )
    }
}

/// The SHA-256 digest of a document, in the form that image references and manifests use.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| {
            format!("{text}{byte:02x}")
        })
}

fn members(path: &Path) -> Result<HashMap<String, Extent>> {
    let mut members = HashMap::new();
    for entry in tar::Archive::new(File::open(path)?).entries_with_seek()? {
        let entry = entry?;
        let name = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .to_owned();
        let extent = Extent {
            archive: path.to_owned(),
            offset: entry.raw_file_position(),
            size: entry.size(),
        };
        members.insert(name, extent);
    }
    Ok(members)
}
