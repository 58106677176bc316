//! Chooses the context, cluster and user, and applies kubectl's flags to them.

use super::error::{KubeconfigError, unusable};
use crate::config::{Connection, is_label};

use kube::config::{
    AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};

/// Name of entries in the kubeconfig that [`Chosen::kubeconfig`] builds.
pub const BY_FLAGS: &str = "flags";

/// The chosen entries, with flags applied.
pub struct Chosen {
    pub context: Context,
    /// `None`: no cluster has that name. kube reports this.
    pub cluster: Option<Cluster>,
    pub user: AuthInfo,
    pub proxy: Option<String>,
}

impl Chosen {
    pub fn of(kubeconfig: Kubeconfig, connection: &Connection) -> Result<Self, KubeconfigError> {
        let name = connection
            .context
            .clone()
            .or(kubeconfig.current_context)
            .filter(|name| !name.is_empty());
        let mut context = match name {
            Some(name) => kubeconfig
                .contexts
                .into_iter()
                .find(|context| context.name == name)
                .and_then(|context| context.context)
                .ok_or_else(|| unusable(kube::config::KubeconfigError::LoadContext(name)))?,
            None if connection.server.is_some() || connection.cluster.is_some() => {
                Context::default()
            }
            None => return Err(KubeconfigError::NoContext),
        };
        context.namespace = context.namespace.filter(|name| !name.is_empty());
        if let Some(name) = context.namespace.as_deref().filter(|name| !is_label(name)) {
            return Err(KubeconfigError::NoNamespace(name.to_owned()));
        }
        if let Some(name) = &connection.cluster {
            context.cluster.clone_from(name);
        }
        if connection.user.is_some() {
            context.user.clone_from(&connection.user);
        }
        let cluster = kubeconfig
            .clusters
            .into_iter()
            .find(|cluster| cluster.name == context.cluster)
            .and_then(|cluster| cluster.cluster);
        let user = match context.user.as_deref().filter(|name| !name.is_empty()) {
            None => AuthInfo::default(),
            Some(name) => kubeconfig
                .auth_infos
                .into_iter()
                .find(|user| user.name == name)
                .ok_or_else(|| KubeconfigError::NoUser(name.to_owned()))?
                .auth_info
                .unwrap_or_default(),
        };
        let by_flags = connection.server.as_ref().map(|_| Cluster::default());
        let cluster = cluster
            .or(by_flags)
            .map(|cluster| of_flags(cluster, connection));
        let proxy = cluster
            .as_ref()
            .and_then(|cluster| cluster.proxy_url.clone())
            .filter(|url| !url.is_empty());
        Ok(Self {
            context,
            cluster,
            user: credentials(user, connection)?,
            proxy,
        })
    }

    /// A kubeconfig with these entries only.
    pub fn kubeconfig(self) -> Kubeconfig {
        let Self {
            mut context,
            cluster,
            user,
            ..
        } = self;
        if context.cluster.is_empty() {
            BY_FLAGS.clone_into(&mut context.cluster);
        }
        context.user = Some(BY_FLAGS.to_owned());
        let clusters = cluster.map(|cluster| NamedCluster {
            name: context.cluster.clone(),
            // The caller sets the proxy.
            cluster: Some(Cluster {
                proxy_url: None,
                ..cluster
            }),
            ..NamedCluster::default()
        });
        Kubeconfig {
            current_context: Some(BY_FLAGS.to_owned()),
            clusters: clusters.into_iter().collect(),
            auth_infos: vec![NamedAuthInfo {
                name: BY_FLAGS.to_owned(),
                auth_info: Some(user),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: BY_FLAGS.to_owned(),
                context: Some(context),
                ..NamedContext::default()
            }],
            ..Kubeconfig::default()
        }
    }
}

/// Applies the flags to a cluster.
pub fn of_flags(mut cluster: Cluster, connection: &Connection) -> Cluster {
    if connection.insecure_skip_tls_verify || connection.certificate_authority.is_some() {
        cluster.insecure_skip_tls_verify = Some(connection.insecure_skip_tls_verify);
        cluster
            .certificate_authority
            .clone_from(&connection.certificate_authority);
        cluster.certificate_authority_data = None;
    }
    if connection.server.is_some() || connection.tls_server_name.is_some() {
        cluster
            .tls_server_name
            .clone_from(&connection.tls_server_name);
    }
    if let Some(server) = &connection.server {
        // kubectl adds the scheme, too.
        cluster.server = Some(if server.contains("://") {
            server.clone()
        } else {
            format!("http://{server}")
        });
    }
    cluster
}

/// Applies the flags to a user.
pub fn credentials(
    mut user: AuthInfo,
    connection: &Connection,
) -> Result<AuthInfo, KubeconfigError> {
    if connection.token.is_some() || connection.username.is_some() {
        user.auth_provider = None;
        user.exec = None;
        user.token_file = None;
        user.token = connection.token.as_deref().map(Into::into);
        user.username.clone_from(&connection.username);
        user.password = connection.password.as_deref().map(Into::into);
    }
    if let Some(file) = &connection.client_certificate {
        user.client_certificate = Some(file.clone());
        user.client_certificate_data = None;
    }
    if let Some(file) = &connection.client_key {
        user.client_key = Some(file.clone());
        user.client_key_data = None;
    }
    impersonate(&mut user, connection)?;
    Ok(user)
}

pub fn impersonate(user: &mut AuthInfo, connection: &Connection) -> Result<(), KubeconfigError> {
    if connection.impersonate.is_some() {
        user.impersonate.clone_from(&connection.impersonate);
    }
    if connection.impersonate_uid.is_some() {
        user.impersonate_uid.clone_from(&connection.impersonate_uid);
    }
    if !connection.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(connection.impersonate_groups.clone());
    }
    let something = user.impersonate_uid.is_some()
        || user.impersonate_groups.is_some()
        || user.impersonate_user_extra.is_some();
    if something && user.impersonate.is_none() {
        return Err(KubeconfigError::ImpersonatesNobody);
    }
    Ok(())
}
